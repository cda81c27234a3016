"""The options, outputs and progress of `rootlay build` and `bake`."""
