"""The settings of a container on this machine: limits, signals, the places of mounts."""
