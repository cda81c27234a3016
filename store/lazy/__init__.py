"""Lazily pulled layers: their table of contents is here, their content is fetched at its use (docs/format.md §11).

The order of the files, each depends on those before it: `identity` (which layers can be lazy, and their names here),
`toc` (tables of contents), `tocindex` (the layer index made from one), `blockcache` (the fetched part of a blob),
`origin` (the source of the rest), `segments` (content, fetched if it is missing), `fill` (all the rest).
`rootlay.store.registry.lazypull` makes a layer lazy. Nothing here is imported for images that are complete.
"""
