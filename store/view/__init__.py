"""The merged look-up table of one stack of layers, for Python and for the C core."""
