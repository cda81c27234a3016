"""What the user of a build asks for, and how option values are read."""
