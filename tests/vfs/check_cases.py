"""What breaks each invariant of docs/format.md, and the findings that say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rootlay.store.containers.bloom import HEADER_BYTES
from rootlay.store.disk.lmdbfile import LmdbFile, write_sorted
from rootlay.store.model.entry import CHECKPOINT_PREFIX, META_KEY, Entry, entry_key
from rootlay.vfs.build.copy.digestfile import MAGIC
from rootlay.vfs.merge import filerecord
from rootlay.vfs.merge.bloom import Bloom
from tests.vfs.damaged_store import KEY, Damaged, cut, flip

DEAD = 2**22 + 1  # above the largest process number
LONG = "n" * 252  # a name whose whiteout is a link


def rewrite_index(layer: Path, change: Callable[[bytes, bytes], bytes]) -> None:
    """Write a layer's index anew, with other values."""
    file = LmdbFile(layer / "index.lmdb")
    rows = [(key, change(key, value)) for key, value in file.iter_from(b"\0")]
    file.close()
    (layer / "index.lmdb").unlink()
    write_sorted(layer / "index.lmdb", rows, sum(len(k) + len(v) for k, v in rows), len(rows))


def change_entry(key: bytes, value: bytes) -> bytes:
    """Another mode for the one file of one byte, which is not hydrated."""
    if key >= b"\xff\xff\xff\xfe" or Entry.unpack(value).size != 1:
        return value
    return value[:16] + (0o4777).to_bytes(4, "little") + value[20:]


def misplace(key: bytes, value: bytes) -> bytes:
    if key != entry_key(0, b""):
        return value
    root = Entry.unpack(value)
    return value.replace(root.id.to_bytes(4, "little"), (77).to_bytes(4, "little"), 1)


def lie_about_size(key: bytes, value: bytes) -> bytes:
    return value.replace(b'"entries": ', b'"entries": 1') if key == META_KEY else value


def rename_entry(old: bytes, new: bytes) -> Callable[[Path], None]:
    """Give an entry of a layer's index another name."""

    def change(layer: Path) -> None:
        file = LmdbFile(layer / "index.lmdb")
        rows = sorted((key[:4] + new if key[4:] == old else key, value) for key, value in file.iter_from(b"\0"))
        file.close()
        (layer / "index.lmdb").unlink()
        write_sorted(layer / "index.lmdb", rows, 2 * sum(len(k) + len(v) for k, v in rows), len(rows))

    return change


def orphan(key: bytes, value: bytes) -> bytes:
    """Make `d`, which has a child, a file."""
    return b"f" + value[1:] if key[4:] == b"d" and key < b"\xff" else value


def shift_content(key: bytes, value: bytes) -> bytes:
    """Content that lies outside the tar."""
    if key >= b"\xff\xff\xff\xfe" or Entry.unpack(value).size != 5000:
        return value
    return value[:48] + (1 << 40).to_bytes(8, "little") + value[56:]


def shorten_checkpoint(key: bytes, value: bytes) -> bytes:
    if not key.startswith(CHECKPOINT_PREFIX):
        return value
    return value[:12] + (int.from_bytes(value[12:16], "little") - 1).to_bytes(4, "little") + value[16:]


def forget_name(d: Damaged) -> None:
    """Clear the bits of one thing that is in an upper."""
    with Bloom(d.container() / "bloom") as bloom:
        bits = bloom.bits(b"/etc/motd")
    data = bytearray((d.container() / "bloom").read_bytes())
    for bit in bits:
        data[HEADER_BYTES + bit // 8] &= ~(1 << bit % 8)
    (d.container() / "bloom").write_bytes(data)


def step_of(d: Damaged) -> Path:
    return d.root / "build" / "steps" / KEY[:2] / f"{KEY}.json"


def snapshot_of(d: Damaged) -> Path:
    return d.container() / "snapshots" / "s.json"


def replace_link(path: Path, target: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def record_of(d: Damaged) -> Path:
    return d.frozen() / "etc" / ".wh..wh.m.motd"


def bare_bloom(d: Damaged) -> None:
    bloom = d.container() / "bloom"
    data = bytearray(bloom.read_bytes())
    data[HEADER_BYTES:] = bytes(len(data) - HEADER_BYTES)
    bloom.write_bytes(data)


def flip_and_cut(path: Path) -> None:
    path.chmod(0o600)
    cut(path)


def same_mode_flip(path: Path) -> None:
    mode = path.stat().st_mode & 0o7777
    flip(path, 100)
    path.chmod(mode)


def to_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"")


def link_half(d: Damaged) -> None:
    link = next((d.root / "views").glob("*.bundle"))
    Path(f"{link}.{DEAD}.abcd").symlink_to("x")


@dataclass(frozen=True)
class Case:
    """How to damage, the codes that say so, and whether only `deep` sees it. `lost`: damage that cannot be repaired."""

    damage: Callable[[Damaged], object]
    codes: tuple[str, ...]
    deep: bool = False
    lost: bool = False
    kept: bool = False  # something goes into the quarantine


CASES: dict[str, Case] = {
    "oci-layout empty": Case(lambda d: (d.root / "oci-layout").write_bytes(b"{}"), ("layout-file",), kept=True),
    "oci-layout missing": Case(lambda d: (d.root / "oci-layout").unlink(), ("layout-file",)),
    "index.json cut": Case(lambda d: cut(d.root / "index.json"), ("index-damaged",), kept=True),
    "index.json missing": Case(lambda d: (d.root / "index.json").unlink(), ("index-damaged",)),
    "store open to all": Case(lambda d: d.root.chmod(0o777), ("store-open",)),
    "blobs open to all": Case(lambda d: (d.root / "blobs").chmod(0o777), ("store-open",)),
    "strange file": Case(lambda d: (d.root / "x").write_bytes(b"mine"), ("unknown-file",), kept=True),
    "strange layer": Case(lambda d: (d.root / "layers" / "x").mkdir(), ("unknown-file",), kept=True),
    "strange file in a layer": Case(lambda d: (d.layer() / "x").write_bytes(b""), ("unknown-file",), kept=True),
    "strange blob": Case(lambda d: (d.root / "blobs/sha256/x").write_bytes(b""), ("unknown-file",), kept=True),
    "strange view": Case(lambda d: (d.root / "views/x").write_bytes(b""), ("unknown-file",), kept=True),
    "strange container": Case(lambda d: (d.root / "containers/x").mkdir(), ("unknown-file",), kept=True),
    "strange name": Case(lambda d: (d.root / "containers/names/x").mkdir(), ("unknown-file",), kept=True),
    "strange file in a container": Case(lambda d: (d.container() / "x").write_bytes(b""), ("unknown-file",), kept=True),
    "manifest changed": Case(lambda d: flip(d.blob("manifest"), 9), ("blob-damaged", "image-broken"), kept=True),
    "config missing": Case(lambda d: d.blob("config").unlink(), ("image-broken",), kept=True),
    "small blob changed": Case(
        lambda d: flip(d.blob("layer"), 30), ("blob-damaged", "image-incomplete", "layer-lost"), lost=True, kept=True
    ),
    "blob cut": Case(
        lambda d: cut(d.blob("layer")), ("blob-damaged", "image-incomplete", "layer-lost"), lost=True, kept=True
    ),
    "blob missing": Case(lambda d: d.blob("layer").unlink(), ("image-incomplete", "layer-lost"), lost=True),
    "linked blob away": Case(
        lambda d: replace_link(d.blob("layer"), "/nowhere/blob"), ("blob-link", "layer-lost"), lost=True
    ),
    "layer index cut": Case(lambda d: cut(d.layer() / "index.lmdb"), ("layer-damaged",)),
    "another layer's index": Case(
        lambda d: shutil.copy(d.layer(1) / "index.lmdb", d.layer() / "index.lmdb"), ("layer-damaged",)
    ),
    "layer index without a root": Case(lambda d: rewrite_index(d.layer(), misplace), ("layer-damaged",)),
    "layer index of wrong size": Case(lambda d: rewrite_index(d.layer(), lie_about_size), ("layer-damaged",)),
    "layer index with an impossible name": Case(
        lambda d: rename_entry(b"motd", b"..")(d.layer()), ("layer-damaged",)
    ),
    "layer index with a lost child": Case(lambda d: rewrite_index(d.layer(), orphan), ("layer-damaged",)),
    "layer index with content outside": Case(lambda d: rewrite_index(d.layer(), shift_content), ("layer-damaged",)),
    "layer index with a gap": Case(lambda d: rewrite_index(d.layer(), shorten_checkpoint), ("layer-damaged",)),
    "layer index says otherwise": Case(lambda d: rewrite_index(d.layer(), change_entry), ("layer-damaged",), deep=True),
    "layer index missing": Case(lambda d: (d.layer() / "index.lmdb").unlink(), ("layer-lost",)),
    "view cut": Case(lambda d: cut(d.view(".lmdb")), ("view-damaged",), kept=True),
    "native view cut": Case(lambda d: cut(d.view(".view")), ("view-damaged",), kept=True),
    "native view changed": Case(lambda d: flip(d.view(".view"), -2), ("view-damaged",), deep=True, kept=True),
    "native view's header": Case(lambda d: flip(d.view(".view"), 9), ("view-damaged",), kept=True),
    "view of another stack": Case(
        lambda d: [shutil.copy(d.view(s), d.root / "views" / f"{'0' * 64}{s}") for s in (".lmdb", ".view")],
        ("view-damaged",), kept=True,
    ),
    "view missing": Case(lambda d: [d.view(s).unlink() for s in (".lmdb", ".view")], ("view-lost",)),
    "an incomplete view": Case(lambda d: d.view(".lmdb").unlink(), ("leftover", "view-lost")),
    "bundle gone": Case(lambda d: (d.base / "app.rlay").unlink(), ("bundle-gone",), lost=True),
    "bundle changed": Case(lambda d: flip(d.base / "app.rlay", 1 << 16), ("bundle-gone",), deep=True, lost=True),
    "hydrated file cut": Case(lambda d: flip_and_cut(d.layer() / "tree/bin/tool"), ("tree-damaged",)),
    "hydrated file changed": Case(lambda d: same_mode_flip(d.layer() / "tree/bin/tool"), ("tree-damaged",), deep=True),
    "hydrated file's mode": Case(lambda d: (d.layer() / "tree/bin/tool").chmod(0o777), ("tree-damaged",)),
    "hydrated directory's mode": Case(lambda d: (d.layer() / "tree/bin").chmod(0o777), ("tree-damaged",)),
    "hydrated directory half made": Case(lambda d: (d.layer() / "tree/bin").chmod(0o700), ("leftover",)),
    "hydrated directory a file": Case(lambda d: to_file(d.layer(1) / "tree/etc"), ("tree-damaged",), kept=True),
    "strange hydrated file": Case(lambda d: (d.layer() / "tree/x").write_bytes(b""), ("tree-unknown",), kept=True),
    "record cut": Case(lambda d: cut(d.container() / "config.json"), ("container-damaged", "leftover"), kept=True),
    "record of another": Case(
        lambda d: shutil.copy(d.container("b") / "config.json", d.container() / "config.json"),
        ("container-damaged", "leftover"), kept=True,
    ),
    "stack cut": Case(lambda d: cut(d.container() / "stack.json"), ("container-damaged", "leftover"), kept=True),
    "name missing": Case(lambda d: (d.root / "containers/names/c").unlink(), ("name-broken",)),
    "name of another": Case(
        lambda d: replace_link(d.root / "containers/names/c", f"../{d.container('b').name}"),
        ("name-broken",),
        lost=True,
    ),
    "state not JSON": Case(lambda d: (d.container() / "state.json").write_bytes(b"{"), ("state-damaged",), kept=True),
    "snapshot cut": Case(lambda d: cut(d.container() / "snapshots/s.json"), ("snapshot-damaged",), kept=True),
    "snapshot of another name": Case(
        lambda d: snapshot_of(d).rename(snapshot_of(d).with_name("t.json")), ("snapshot-damaged",), kept=True
    ),
    "stack of another version": Case(
        lambda d: (d.container() / "stack.json").write_bytes(b'{"version": 9}'),
        ("container-damaged", "leftover"), kept=True,
    ),
    "frozen upper gone": Case(
        lambda d: shutil.rmtree(d.frozen()), ("snapshot-damaged", "upper-lost"), lost=True, kept=True
    ),
    "filter cut": Case(lambda d: cut(d.container() / "bloom"), ("bloom-damaged",), kept=True),
    "filter missing": Case(lambda d: (d.container() / "bloom").unlink(), ("bloom-damaged",)),
    "filter empty": Case(bare_bloom, ("bloom-damaged",)),
    "filter of another size": Case(
        lambda d: flip(d.container() / "bloom", 12), ("bloom-damaged",), kept=True
    ),
    "filter forgets one name": Case(forget_name, ("bloom-damaged",)),
    "record that is a file": Case(
        lambda d: (d.upper() / ".wh..wh.m.x").write_bytes(b""), ("mark-damaged",), kept=True
    ),
    "redirect to nowhere": Case(
        lambda d: (d.upper() / ".wh..wh.m.x").symlink_to("r=relative"), ("mark-damaged",), kept=True
    ),
    "opaque with content": Case(
        lambda d: (d.frozen() / "etc/.wh..wh..opq").write_bytes(b"x"), ("mark-damaged", "bloom-damaged"), kept=True
    ),
    "whiteout of another long name": Case(
        lambda d: (d.upper() / ".wh..wh.w.0123456789abcdef").symlink_to(LONG), ("mark-damaged",), kept=True
    ),
    "record of no meaning": Case(lambda d: replace_link(record_of(d), "u=x"), ("mark-damaged",), kept=True),
    "linked record that is not there": Case(lambda d: replace_link(record_of(d), "l=7"), ("mark-damaged",), kept=True),
    "linked record of no meaning": Case(
        lambda d: (d.upper() / ".wh..wh.l.7").symlink_to("u=x"), ("mark-damaged",), kept=True
    ),
    "record in a file of no meaning": Case(
        lambda d: os.setxattr(d.frozen() / "etc/motd", filerecord.NAME, b"u=x"), ("mark-damaged",)
    ),
    "record in the root of no meaning": Case(
        lambda d: os.setxattr(d.upper(), filerecord.NAME, b"r=.."), ("mark-damaged",)
    ),
    "filter denies a record in a directory": Case(
        lambda d: os.setxattr(d.frozen() / "etc", filerecord.NAME, b"u=5"), ("bloom-damaged",)
    ),
    "whiteout with content": Case(
        lambda d: (d.upper() / ".wh.bin").write_bytes(b"content"), ("mark-damaged",), kept=True
    ),
    "upper unreadable": Case(lambda d: (d.frozen() / "etc/motd").chmod(0), ("upper-mode",)),
    "half-made in an upper": Case(lambda d: (d.upper() / ".wh..wh.t.x").write_bytes(b""), ("leftover",)),
    "half a record": Case(lambda d: (d.container() / f".state.json.{DEAD}.ab").write_bytes(b""), ("leftover",)),
    "half removed": Case(lambda d: (d.root / f"tmp/removed-{DEAD}-ab").write_bytes(b""), ("leftover",)),
    "half a link": Case(lambda d: link_half(d), ("leftover",)),
    "step cut": Case(lambda d: cut(step_of(d)), ("cache-damaged",), kept=True),
    "step of another version": Case(
        lambda d: step_of(d).write_text(step_of(d).read_text().replace('"version": 1', '"version": 7', 1)),
        ("cache-damaged",), kept=True,
    ),
    "step in another place": Case(
        lambda d: step_of(d).rename(step_of(d).with_name("cd" * 32 + ".json")), ("unknown-file",), kept=True
    ),
    "digests cut": Case(
        lambda d: (d.root / "build/digests").write_bytes(MAGIC + b"[" * 51), ("cache-damaged",), kept=True
    ),
    "digests of another version": Case(
        lambda d: (d.root / "build/digests").write_bytes(b"RLdigst\2"), ("cache-damaged",), kept=True
    ),
    "strange file in the build cache": Case(
        lambda d: (d.root / "build/x").write_bytes(b""), ("unknown-file",), kept=True
    ),
    "half a step": Case(
        lambda d: step_of(d).with_name(f".{KEY}.json.{DEAD}.ab12cd").write_bytes(b""), ("leftover",)
    ),
    "name without container": Case(
        lambda d: (d.root / "containers/names/x").symlink_to("../" + "0" * 64), ("leftover",)
    ),
}  # fmt: skip
