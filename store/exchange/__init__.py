"""Images in and out of the store as archives and directories: docker-archive, OCI layout, root file systems."""
