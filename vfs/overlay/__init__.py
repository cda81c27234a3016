"""The operations of a file system on a stack of layers, and all changes to the upper."""
