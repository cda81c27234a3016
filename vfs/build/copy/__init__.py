"""COPY and ADD: from sources to a layer."""
