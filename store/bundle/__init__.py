"""One read-only file that is an image with its view: writing, reading, attaching."""
