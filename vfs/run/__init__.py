"""Engines: what makes a program see a container."""
