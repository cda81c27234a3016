"""Detached main programs: their monitors, and the heirs of these."""
