"""The store's directories, `index.json` and blobs, and which of them are needed."""
