"""One layer: its tree and index, made from a tar or a directory, and random access to its files."""
