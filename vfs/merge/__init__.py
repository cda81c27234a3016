"""The rules of the merged tree: paths, whiteouts, records, look-up, listings. This package changes nothing."""
