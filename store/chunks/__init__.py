"""The content of a lazily pulled layer, chunk by chunk: verified, kept, and fetched when it is not here."""
