"""Completion of command lines: `scripts` are for the shells, `words` finds candidates from the tables of the verbs,
`names` lists what the store has.
"""
