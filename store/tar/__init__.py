"""Tar archives: headers, a streaming reader, sparse files, a deterministic writer."""
