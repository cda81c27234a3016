"""The hook engine: the running Python process sees a container when a context variable says so (docs/adr/0009)."""
