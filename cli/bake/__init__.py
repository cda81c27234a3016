"""Bake files: several builds in one file, in JSON or HCL (docs.docker.com/build/bake)."""
