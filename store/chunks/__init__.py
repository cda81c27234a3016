"""The content of a lazily pulled layer, chunk by chunk: verified, kept, and fetched if it is missing."""
