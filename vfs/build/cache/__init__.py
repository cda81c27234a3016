"""The build cache: its records, its transfer, its use."""
