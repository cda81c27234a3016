"""The options of a build, and the parsing of their values."""
