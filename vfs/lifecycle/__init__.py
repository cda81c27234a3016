"""The life of containers: start, stop, pause, restart, health, statistics."""
