"""The path-remapping virtual file system."""
