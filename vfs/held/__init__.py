"""Programs that are held: by limits, by a time-out, and with their whole tree."""
