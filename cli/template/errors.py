"""The error of a template: its text is Go's."""

from __future__ import annotations


class TemplateError(Exception):
    """A template that cannot be parsed or executed. The message is the one of Go's text/template."""
