"""Content digests and chain IDs (OCI image specification: descriptor.md "Digests", config.md "Layer ChainID")."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rootlay.store.model.errors import BadManifest, printable_text
from rootlay.store.model.value import value

if sys.version_info >= (3, 12):  # a module of the interpreter: `hashlib` loads OpenSSL, which takes 3 ms of each start
    from _sha2 import sha256
else:
    from _sha256 import sha256  # type: ignore[import-not-found]  # typeshed knows only its successor

_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}


def is_hex(text: str) -> bool:
    """Return whether a text consists of lower-case hexadecimal digits. Takes no regular expression at a start."""
    return not text.strip("0123456789abcdef")


@value
class Digest:
    """`algorithm:hex`, always valid: a known algorithm and lower-case hex of its length."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        """Raise BadManifest unless this is a digest."""
        length = _HEX_LENGTH.get(self.algorithm)
        if length is None:
            raise BadManifest(
                printable_text(f"{self.algorithm}:{self.hex}"[:100]), "unknown digest algorithm: use sha256 or sha512"
            )
        if len(self.hex) != length or not is_hex(self.hex):
            raise BadManifest(printable_text(f"{self.algorithm}:{self.hex}"[:160]), "malformed digest")

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parse `sha256:…`. Raises BadManifest."""
        algorithm, colon, hexa = text.partition(":")
        if not colon:
            raise BadManifest(printable_text(text[:100]), "malformed digest")
        return cls(algorithm, hexa)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the SHA-256 digest of a document in memory."""
        return cls("sha256", sha256(data).hexdigest())

    def fits(self, data: bytes) -> bool:
        """Return whether `data` has this digest."""
        if self.algorithm == "sha256":
            return bool(sha256(data).hexdigest() == self.hex)
        import hashlib

        return hashlib.new(self.algorithm, data).hexdigest() == self.hex

    @property
    def raw(self) -> bytes:
        """The digest's own bytes (32 for SHA-256)."""
        return bytes.fromhex(self.hex)

    @property
    def short(self) -> str:
        """The first 12 hex digits, as listings show them."""
        return self.hex[:12]

    def __lt__(self, other: Digest) -> bool:
        """Compare by algorithm, then by hex."""
        return (self.algorithm, self.hex) < (other.algorithm, other.hex)

    def __str__(self) -> str:
        """Return `algorithm:hex`."""
        return f"{self.algorithm}:{self.hex}"


def chain_id(diff_ids: Iterable[Digest]) -> Digest:
    """Return the chain ID of a stack of layers, base layer first.

    `ChainID(L0) = DiffID(L0)`; `ChainID(L0|…|Ln) = SHA256(ChainID(L0|…|Ln-1) + " " + DiffID(Ln))`, over the text
    forms. The specification does not define the empty stack: here it is the digest of the empty string.
    """
    chain: Digest | None = None
    for diff_id in diff_ids:
        chain = diff_id if chain is None else Digest.of(f"{chain} {diff_id}".encode("ascii"))
    return Digest.of(b"") if chain is None else chain
