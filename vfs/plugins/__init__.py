"""Integrations with other libraries: fsspec, universal_pathlib, PyFilesystem2's URLs, pytest."""
