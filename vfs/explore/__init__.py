"""Layers as a picture: what each layer of an image or container adds, changes and removes, and the bytes it wastes.

`source` is one layer, `layerstack` the layers of an image or container on top of each other, `opening` opens them by
name. `waste` counts wasted bytes as dive does, `rules` checks them, `report` is the JSON of dive, `page` an HTML page.
"""
