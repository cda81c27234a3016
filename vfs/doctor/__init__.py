"""`rootlay doctor`: the capabilities of this machine."""
