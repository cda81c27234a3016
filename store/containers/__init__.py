"""Container records, their names, and the uppers that they use."""
