"""The Docker Engine API: a face of the library like the command line."""
