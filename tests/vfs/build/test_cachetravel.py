"""Steps that come from other places: directories and registries, good and bad ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rootlay.store.store import ImageStore
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.options.cacheplaces import CachePlace, parse_cache_place
from tests.support.registry.real import running
from tests.vfs.build.conftest import Notes, Yard

TEXT = (
    "FROM base AS made\nRUN echo expensive > /made\nRUN echo more > /more\n"
    "FROM base\nCOPY --from=made /made /taken\nRUN cat /taken > /copied\n"
)


@pytest.fixture
def elsewhere(yard: Yard, tmp_path: Path) -> Yard:
    """A machine that has the base image, and nothing else."""
    yard.store.save(["base"], tmp_path / "base.tar")
    store = ImageStore.open(tmp_path / "other-store")
    store.load(tmp_path / "base.tar")
    context = tmp_path / "other"
    context.mkdir()
    return Yard(store, context)


@pytest.mark.parametrize(
    ("text", "to", "expected"),
    [
        ("host/app:cache", False, CachePlace("registry", "host/app:cache")),
        ("type=registry,ref=host/app", True, CachePlace("registry", "host/app")),
        ("type=local,src=d", False, CachePlace("local", "d")),
        ("type=local,dest=d,mode=max,ignore-error=true", True, CachePlace("local", "d", all_steps=True, may_fail=True)),
    ],
)
def test_places_are_read_as_docker_reads_them(text: str, to: bool, expected: CachePlace) -> None:
    assert parse_cache_place(text, to=to) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=inline", "type=local or type=registry"),
        ("type=local,src=d", "dest is missing"),
        ("type=registry", "ref is missing"),
        ("type=local,dest=d,mode=most", "min or max"),
        ("", "expected"),
    ],
)
def test_what_is_no_place_is_refused(text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        parse_cache_place(text, to=True)


@pytest.mark.parametrize(("all_steps", "cached"), [(True, ["RUN", "RUN", "COPY", "RUN"]), (False, ["COPY", "RUN"])])
def test_a_directory_brings_the_steps(
    yard: Yard, elsewhere: Yard, tmp_path: Path, all_steps: bool, cached: list[str]
) -> None:
    place = CachePlace("local", str(tmp_path / "cache"), all_steps=all_steps)
    first = yard.build(TEXT, cache_to=(place,), epoch_s=1)
    second = elsewhere.build(TEXT, cache_from=(place,), epoch_s=1)
    assert second.notes.cached == cached
    assert second.image.id == first.image.id
    assert second.read("/copied") == "expensive\n"
    assert elsewhere.build(TEXT, epoch_s=1).notes.cached == ["RUN", "RUN", "COPY", "RUN"]  # now they are here


def test_a_registry_brings_the_steps(yard: Yard, elsewhere: Yard, tmp_path: Path) -> None:
    with running(tmp_path / "registry") as registry:
        place = CachePlace("registry", f"{registry.host}/app:cache", all_steps=True)
        empty = Notes()
        yard.build(TEXT, empty, cache_from=(place,), cache_to=(place,))
        assert "app:cache" in empty.notes[0]  # nothing there yet: a note
        second = elsewhere.build(TEXT, cache_from=(place,))
        assert second.notes.cached == ["RUN", "RUN", "COPY", "RUN"]
        assert second.notes.notes == []


@pytest.mark.parametrize("damage", ["blob", "missing", "list", "index", "nothing", "foreign"])
def test_a_damaged_cache_is_a_note_and_the_steps_are_done(
    yard: Yard, elsewhere: Yard, tmp_path: Path, damage: str
) -> None:
    cache = tmp_path / "cache"
    place = CachePlace("local", str(cache))
    text = "FROM base\nRUN echo for-the-cache > /made\n"
    yard.build(text, cache_to=(place,))
    index = json.loads((cache / "index.json").read_text())
    manifest = cache / "blobs/sha256" / index["manifests"][0]["digest"].removeprefix("sha256:")
    parts = json.loads(manifest.read_text())
    layer = cache / "blobs/sha256" / parts["layers"][0]["digest"].removeprefix("sha256:")
    if damage == "blob":
        data = bytearray(layer.read_bytes())
        data[len(data) // 2] ^= 1
        layer.write_bytes(data)
    elif damage == "missing":
        layer.unlink()
    elif damage == "list":
        (cache / "blobs/sha256" / parts["config"]["digest"].removeprefix("sha256:")).write_text('{"steps": [{}]}')
    elif damage == "index":
        (cache / "index.json").write_text("{")
    elif damage == "nothing":
        shutil.rmtree(cache)
    else:
        shutil.rmtree(cache)
        yard.store.save(["base"], cache, "oci-dir")
    built = elsewhere.build(text, cache_from=(place,))
    assert built.notes.cached == []
    assert len(built.notes.notes) == 1
    assert str(cache) in built.notes.notes[0]
    assert built.read("/made") == "for-the-cache\n"


def test_a_cache_that_cannot_be_written_fails_the_build_unless_it_may(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = "FROM base\nRUN true\n"
    with pytest.raises(OSError, match="file"):
        yard.build(text, cache_to=(CachePlace("local", str(tmp_path / "file/cache")),))
    notes = yard.build(text, cache_to=(CachePlace("local", str(tmp_path / "file/cache"), may_fail=True),)).notes.notes
    assert len(notes) == 1
