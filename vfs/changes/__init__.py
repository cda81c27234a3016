"""Changes of a container: compared, committed, exported, copied, applied."""
