"""The images of a store: look-up, records, and their layers."""
