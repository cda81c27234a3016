"""Registries: images over the network, by the OCI distribution specification 1.1 and Docker's registry API V2.

Nothing here is imported by `rootlay run`. The order of the files, each depends on those before it: `errors`, `address`,
`proxies`, `settings`, `retry`, `challenge`, `credential`, `dockerconfig`, `transport` (one exchange), `auth`, `session`
(redirects, tokens, retries), `repository` (the API), `blobstream`, `upload`, `work`; then `pull`, `push`, `login`.
"""
