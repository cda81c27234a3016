"""What a container changed: compared, committed, exported, copied, applied."""
