"""The store's directories, `index.json` and blobs, and the computation of the needed ones."""
