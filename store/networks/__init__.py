"""Networks: their records, the addresses of containers, and names."""
