"""RUN: the container of a stage, its mounts and caches."""
