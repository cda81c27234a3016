"""Images from Dockerfiles: the language, the build context and the builder."""
