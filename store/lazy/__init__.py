"""Lazily pulled layers: their table of contents is here, their content comes as it is used (docs/format.md §11).

The order of the files, each on those before it: `identity` (which layers can be, and what they are called here), `toc`
(tables of contents), `tocindex` (the layer index that is made of one), `blockcache` (what has arrived of a blob),
`origin` (where the rest is), `segments` (content, fetched when it is missing), `fill` (all the rest). How a layer
becomes lazy is in `rootlay.store.registry.lazypull`. Nothing here is imported for images that are whole.
"""
