"""The options that make a container, and their translation."""
