"""One repository of a registry: the calls of the distribution specification 1.1 ("API")."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from rootlay.store.model.digest import Digest
from rootlay.store.model.errors import BadManifest, DigestMismatch, UnsupportedMedia
from rootlay.store.model.jsonfield import DOCUMENT_BYTES_MAX, optional, parse_object, texts
from rootlay.store.model.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEXES,
    MANIFESTS,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from rootlay.store.model.reference import Reference
from rootlay.store.registry.address import next_page
from rootlay.store.registry.auth import Scopes
from rootlay.store.registry.blobrange import read_range
from rootlay.store.registry.blobstream import BlobStream
from rootlay.store.registry.errors import BadRegistryAnswer, NotInRegistry
from rootlay.store.registry.session import Call, Session
from rootlay.store.registry.transport import Body

_ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
_DIGEST_HEADER = "Docker-Content-Digest"
_TAG_PAGES_MAX = 1000
_TAGS_BYTES_MAX = 64 << 20


class Document:
    """A manifest or index of the registry, verified: its descriptor and its exact bytes."""

    __slots__ = ("data", "descriptor")

    def __init__(self, descriptor: Descriptor, data: bytes) -> None:
        self.descriptor = descriptor
        self.data = data

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests."""
        return self.descriptor.media_type in INDEXES


class Repository:
    """A repository in a session. Thread safe."""

    def __init__(self, session: Session, reference: Reference, *, push: bool = False, sources: tuple[str, ...] = ()):
        """Use a repository. `push`: request the right to write. `sources`: paths of repositories to mount from."""
        self.session = session
        self.name = reference.familiar_name
        self.path = reference.path
        self.scopes: Scopes = (f"repository:{self.path}:{'pull,push' if push else 'pull'}",)
        self.scopes += tuple(f"repository:{path}:pull" for path in sources)

    def _call(self, method: str, tail: str, what: str, **more: object) -> Call:
        url = tail if "://" in tail or tail.startswith("/") else f"/v2/{self.path}/{tail}"
        return Call(method, url, what, self.scopes, **more)  # type: ignore[arg-type]  # Call checks its own names

    # Manifests

    def get_manifest(self, target: str, what: str) -> Document:
        """Return the manifest or index of a tag or digest. A digest is verified against the bytes.

        Raises NotInRegistry, DigestMismatch, UnsupportedMedia, BadManifest, and as `Session.call`.
        """
        call = self._call("GET", f"manifests/{target}", what, headers={"Accept": _ACCEPT})
        data, response = self.session.document(call, DOCUMENT_BYTES_MAX)
        promised = target if ":" in target else response.header(_DIGEST_HEADER)
        digest = Digest.parse(promised) if promised else Digest.of(data)
        if not digest.fits(data):
            raise DigestMismatch(f"{what}: manifest", digest, Digest.of(data))
        kind = (response.header("Content-Type") or "").partition(";")[0].strip()
        return Document(Descriptor(_media_type(data, kind, what), digest, len(data)), data)

    def get_listed(self, descriptor: Descriptor) -> Document:
        """Return a document that an index lists. Raises as `get_manifest`; DigestMismatch also for another size."""
        what = f"{self.name}@{descriptor.digest}"
        document = self.get_manifest(str(descriptor.digest), what)
        descriptor.check_size(document.data, what)
        return document

    def list_tags(self) -> list[str]:
        """Return all tags of the repository, in the registry's order: of all pages of the list.

        Raises BadManifest, BadRegistryAnswer (a page elsewhere, or pages without end), and as `Session.call`.
        """
        what = f"{self.name}: tags"
        found: dict[str, None] = {}
        url = "tags/list"
        left = _TAGS_BYTES_MAX
        for _ in range(_TAG_PAGES_MAX):
            data, response = self.session.document(self._call("GET", url, what), DOCUMENT_BYTES_MAX)
            found |= dict.fromkeys(texts(parse_object(data, what), "tags", what) or ())
            following = next_page(response.url, response.header("Link"))
            if following is None:
                return list(found)
            url = following
            left -= len(data)
            if left < 0:
                break
        raise BadRegistryAnswer(
            self.session.domain,
            f"its list of tags has more than {_TAG_PAGES_MAX} pages, or {_TAGS_BYTES_MAX >> 20} MiB",
        )

    def find_digest(self, tag: str, what: str) -> Digest | None:
        """Return the target of a tag, without fetching it; None if the registry does not state it."""
        call = self._call("HEAD", f"manifests/{tag}", what, headers={"Accept": _ACCEPT})
        with self.session.call(call) as response:
            text = response.header(_DIGEST_HEADER)
        try:
            return None if text is None else Digest.parse(text)
        except BadManifest:
            return None

    def put_manifest(self, target: str, document: Document, what: str) -> None:
        """Publish a manifest under a tag or its digest. Idempotent. Raises as `Session.call`."""
        headers = {"Content-Type": document.descriptor.media_type}
        call = self._call(
            "PUT", f"manifests/{target}", what, headers=headers, body=Body.of(document.data), expected=(200, 201, 202)
        )
        self.session.call(call).close()

    # Blobs

    def has_blob(self, digest: Digest) -> bool:
        """Return whether the blob is in the repository."""
        try:
            self.session.call(self._call("HEAD", f"blobs/{digest}", str(digest))).close()
        except NotInRegistry:
            return False
        return True

    def read_blob(self, descriptor: Descriptor, what: str) -> bytes:
        """Return a small blob (a config), verified. Raises BadManifest, DigestMismatch, and as `Session.call`."""
        if descriptor.size > DOCUMENT_BYTES_MAX:
            raise BadManifest(what, f"longer than {DOCUMENT_BYTES_MAX} bytes")
        data = b"".join(self.iter_blob(descriptor, what))
        if not descriptor.digest.fits(data):
            raise DigestMismatch(what, descriptor.digest, Digest.of(data))
        return data

    def iter_blob(self, descriptor: Descriptor, what: str, start: int = 0) -> Iterator[bytes]:
        """Yield a blob's bytes from `start` on, exactly as many as promised; an interrupted transfer is resumed. The
        reader verifies the digest."""
        call = self._call("GET", f"blobs/{descriptor.digest}", what)
        return iter(BlobStream(self.session, call, descriptor.size, start))

    def read_range(self, descriptor: Descriptor, start: int, end: int, what: str) -> bytes:
        """Return a blob's bytes from `start` to before `end`, not verified. Raises NoRanges, and as `Session.call`."""
        return read_range(self.session, self._call("GET", f"blobs/{descriptor.digest}", what), start, end)

    # Uploads

    def mount(self, digest: Digest, source: str) -> str | None:
        """Request that the registry takes a blob over from the repository `source`.

        Returns None if it did; else the location of the upload that it started instead.
        """
        query = urlencode({"mount": str(digest), "from": source})
        return self._begin(f"blobs/uploads/?{query}", str(digest), (201, 202))

    def begin_upload(self, digest: Digest) -> str:
        """Start an upload and return its location."""
        location = self._begin("blobs/uploads/", str(digest), (202,))
        if location is None:
            raise BadRegistryAnswer(self.session.domain, "it returned no location for an upload")
        return location

    def _begin(self, tail: str, what: str, expected: tuple[int, ...]) -> str | None:
        call = self._call("POST", tail, what, body=Body.of(b""), expected=expected)
        with self.session.call(call) as response:
            return None if response.status == 201 else self.location(response.header("Location"), response.url)

    def location(self, text: str | None, base: str) -> str:
        """Return the next location of an upload, as a whole URL."""
        from rootlay.store.registry.address import follow

        return follow(base, text)

    @contextmanager
    def upload_call(self, method: str, url: str, what: str, **more: object) -> Iterator[tuple[int, str, str | None]]:
        """Make a call of an upload, without retries: return status, next location, Range."""
        with self.session.call(self._call(method, url, what, retry=False, **more)) as response:
            text = response.header("Location")
            yield response.status, self.location(text, response.url) if text else url, response.header("Range")


def _media_type(data: bytes, kind: str, what: str) -> str:
    """Return the media type in a document, or else that of the registry. Raises UnsupportedMedia, BadManifest."""
    source = parse_object(data, what)
    if source.get("schemaVersion") == 1:
        raise UnsupportedMedia(what, "a manifest of Docker's schema version 1, which is no longer supported")
    found = optional(source, "mediaType", str, what) or kind
    if found not in INDEXES | MANIFESTS and not optional(source, "mediaType", str, what):
        found = OCI_INDEX if "manifests" in source else OCI_MANIFEST
    if found not in INDEXES | MANIFESTS:
        raise UnsupportedMedia(what, f"not an image: {found[:100]}")
    if ("manifests" in source) is not (found in INDEXES) or ("layers" in source and found in INDEXES):
        raise BadManifest(what, f"its content does not have its media type {found}")
    return found
