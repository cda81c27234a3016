"""Sandboxes: code that is not trusted, each piece in a clean fork of one prepared container."""
