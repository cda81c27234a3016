"""Containers as a whole: made from images, snapshots, checked and pruned."""
