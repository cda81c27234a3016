"""From compressed bytes to random access: gzip and zstd streams, segments and their cache."""
