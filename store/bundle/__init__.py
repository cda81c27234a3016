"""One read-only file that is an image with its view: written, read, attached."""
