"""One layer: its tree and index, from a tar or a directory, and random access to its files."""
