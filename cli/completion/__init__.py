"""Completion of command lines: `scripts` are for the shells, `words` finds candidates from the
tables of the verbs and the names of the store.
"""
