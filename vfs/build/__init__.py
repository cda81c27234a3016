"""Images from Dockerfiles: the language, the build context and the builder.

From Python: `Store.build` and `Image.add_layer` (`rootlay.vfs`); `rootlay.vfs.build.build.build` with a context and a
parsed Dockerfile of the caller's own; `rootlay.vfs.build.options.options.BuildOptions` has all options.
"""
