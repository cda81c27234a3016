"""The versions that clients of Docker parse."""

from __future__ import annotations

API_VERSION = "1.47"
MIN_API_VERSION = "1.24"
ENGINE_VERSION = "27.5.1"
"""The Docker Engine whose API this is. The version of rootlay is a component of its own."""
