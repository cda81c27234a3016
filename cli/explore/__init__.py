"""The terminal view of `rootlay explore` (Textual): `app` on `layerlist`, `filetree`, `details` and `fileview`."""
