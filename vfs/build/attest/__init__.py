"""Attestations of a build: provenance and bills of materials, in the forms that BuildKit writes."""
