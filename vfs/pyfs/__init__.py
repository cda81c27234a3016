"""The merged tree as a PyFilesystem2 file system."""
