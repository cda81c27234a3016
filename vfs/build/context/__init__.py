"""Inputs of a build: contexts, ignore files, git, downloads, and the trees of its base images."""
