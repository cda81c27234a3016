"""Import and export of images as archives and directories: docker-archive, OCI layout, root file systems."""
