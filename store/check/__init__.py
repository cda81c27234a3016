"""`fsck`: every invariant of docs/format.md as a finding, and the repair of repairable damage.

One module for each kind of object in a store; each is a function from a `Scope` to findings. `run` calls them in order:
blobs before the images that name them, layers before the views that are made of them.
"""
