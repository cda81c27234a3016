"""Lower files, written to their real paths when they are first needed."""
