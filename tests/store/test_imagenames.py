"""The names of an index: `NameTable` against a list that is searched from its start."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rootlay.store.model.digest import Digest
from rootlay.store.model.imagenames import NameTable
from rootlay.store.model.manifest import OCI_MANIFEST, REF_NAME, Descriptor, Index
from rootlay.store.model.reference import Reference

pytestmark = pytest.mark.once

IMAGES = [Digest.of(bytes([number])) for number in range(4)]
NAMES = ["a", "a:1", "docker.io/library/a:latest", "b:latest", "localhost/a", f"a@{IMAGES[0]}", f"b@{IMAGES[1]}"]

Row = tuple[Digest, str | None]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(IMAGES), st.sampled_from([None, *NAMES])),
        st.tuples(st.just("remove name"), st.sampled_from(IMAGES), st.sampled_from(NAMES)),
        st.tuples(st.just("remove image"), st.sampled_from(IMAGES), st.none()),
    ),
    max_size=12,
)


def descriptor(digest: Digest, name: str | None = None) -> Descriptor:
    return Descriptor(OCI_MANIFEST, digest, 1, {} if name is None else {REF_NAME: name})


def same(stored: str | None, name: str) -> bool:
    if stored is None or stored.startswith("!"):
        return False
    one, two = Reference.parse(stored), Reference.parse(name)
    return one == two if two.tag is None else (one.name, one.tag) == (two.name, two.tag)


def model(rows: list[Row], action: str, digest: Digest, name: str | None) -> list[Row]:
    """The same changes, as slow as a list allows."""
    if action == "remove image":
        return [row for row in rows if row[0] != digest]
    if action == "remove name":
        return [row for row in rows if not same(row[1], str(name))]
    if name is None:
        return rows if any(row[0] == digest for row in rows) else [*rows, (digest, None)]
    lost = [row for row in rows if same(row[1], name)]
    kept = [row for row in rows if row not in lost and row != (digest, None)]
    for old, _ in lost:
        if old != digest and not any(row[0] == old for row in kept):
            kept.append((old, None))
    return [*kept, (digest, Reference.parse(name).familiar)]


@given(steps)
def test_the_table_equals_a_list(actions: list[tuple[str, Digest, str | None]]) -> None:
    rows: list[Row] = [(IMAGES[0], "!not a reference"), (IMAGES[2], "docker.io/library/b:latest")]
    table = NameTable(Index(tuple(descriptor(*row) for row in rows)))
    for action, digest, name in actions:
        rows = model(rows, action, digest, name)
        if action == "add":
            table.add(descriptor(digest), None if name is None else Reference.parse(name))
        elif action == "remove name":
            table.remove_name(Reference.parse(str(name)))
        else:
            table.remove_images((digest,))
    assert [(found.digest, found.ref_name) for found in table.index.manifests] == rows
    for name in NAMES:
        found = table.find(Reference.parse(name))
        assert (found and found.digest) == next((row[0] for row in rows if same(row[1], name)), None)
    for digest in IMAGES:
        assert table.names_of(digest) == tuple(sorted(row[1] for row in rows if row[0] == digest and row[1]))
