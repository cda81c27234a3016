"""`fsck`: every invariant of docs/format.md as a finding, and the repair of what can be repaired.

One module for each kind of thing in a store; each is a function from a `Scope` to findings, and `run` goes through
them in order: blobs before the images that name them, layers before the views that are made of them.
"""
