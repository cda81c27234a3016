"""`rootlay doctor`: what this machine can do."""
