"""The rules of the merged tree: paths, whiteouts, records, look-up, listings. Nothing is changed here."""
