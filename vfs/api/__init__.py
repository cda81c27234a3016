"""The objects of the public Python API."""
