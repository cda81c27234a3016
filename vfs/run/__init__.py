"""Engines, sessions and processes: the code that runs programs in a container."""
