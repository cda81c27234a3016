"""Values of the image formats: digests, manifests, configs, references, entries, errors. No I/O."""
