"""Wrapped programs: executables that enter their image without Python."""
