"""Digests and chain IDs."""

from __future__ import annotations

import hashlib

import pytest

from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.errors import BadManifest


def test_parse_and_print_are_inverse() -> None:
    text = "sha256:" + "0123456789abcdef" * 4
    assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:ab",
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        "sha256:" + "0" * 63 + "\n",
        "../x:y",
    ],
)
def test_malformed_digests_are_refused(text: str) -> None:
    with pytest.raises(BadManifest):
        Digest.parse(text)


def test_chain_id_of_one_layer_is_its_diff_id() -> None:
    assert chain_id([Digest.of(b"a")]) == Digest.of(b"a")


def test_chain_id_follows_the_specification() -> None:
    a, b, c = (Digest.of(x) for x in (b"a", b"b", b"c"))
    ab = "sha256:" + hashlib.sha256(f"{a} {b}".encode()).hexdigest()
    abc = "sha256:" + hashlib.sha256(f"{ab} {c}".encode()).hexdigest()
    assert str(chain_id([a, b, c])) == abc


def test_chain_id_of_nothing_is_the_digest_of_nothing() -> None:
    assert chain_id([]).hex == hashlib.sha256(b"").hexdigest()
