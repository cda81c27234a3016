"""Attestations of a build: the form of BuildKit's (recorded from docker 26), the content of the image."""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.layout.catalog import Catalog
from rootlay.store.model.digest import Digest
from rootlay.store.model.manifest import Platform
from rootlay.store.model.platform import host_platform, is_attestation
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from rootlay.vfs.build.attest.request import Attestations, Provenance, attest_text, parse_attestations
from rootlay.vfs.build.attested import build_index
from rootlay.vfs.build.build import BuildResult, build
from rootlay.vfs.build.context.source import HostTree
from rootlay.vfs.build.language.errors import BadValue
from rootlay.vfs.build.language.parser import parse
from rootlay.vfs.build.options.options import BuildOptions

pytestmark = pytest.mark.once

RECORDED = json.loads(Path(__file__).with_name("buildkit_attestations.json").read_text(encoding="utf-8"))
TEXT = b"FROM scratch AS base\nCOPY f /f\nFROM base\nARG X=1\nCOPY g /g\nLABEL a=b\n"
DPKG = (
    "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12+deb13u1\n"
    "Description: C\n Version: 9\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
)
APK = "C:Q1x\nP:musl\nV:1.2.5-r9\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.37.0-r12\nA:x86_64\nL:GPL-2.0-only\n"
METADATA = "Metadata-Version: 2.4\nName: Foo_Bar\nVersion: 1.0\nLicense-Expression: MIT\n\nName: not-this\n"


def rpm_header(**texts: str) -> bytes:
    tags = {"name": 1000, "version": 1001, "release": 1002, "license": 1014, "arch": 1022}
    index, data = b"", b""
    for name, text in texts.items():
        index += struct.pack(">IIII", tags[name], 6, len(data), 1)
        data += text.encode() + b"\0"
    index += struct.pack(">IIII", 1003, 4, len(data), 1)
    data += struct.pack(">I", 2)
    return struct.pack(">II", len(texts) + 1, len(data)) + index + data


def build_with(
    store: ImageStore, context: Path, wanted: Attestations, *platforms: Platform, text: bytes = TEXT, **options: Any
) -> BuildResult:
    dockerfile = parse(text, "Dockerfile")

    def one(each: BuildOptions) -> BuildResult:
        return build(store, dockerfile, HostTree(context), each)

    given = BuildOptions(**options)
    return build_index(store, one, given, platforms or (host_platform(),), wanted, ("Dockerfile", text, ""))


def documents(store: ImageStore, result: BuildResult) -> dict[str, Any]:
    """The index, the attestation's manifest and config, and the statements."""

    def read(digest: str) -> Any:
        return json.loads(store.layout.read_blob(Digest.parse(digest)))

    index = read(str(result.image.entry.digest))
    manifest = read(index["manifests"][-1]["digest"])
    statements = [read(layer["digest"]) for layer in manifest["layers"]]
    return {
        "index": index,
        "manifest": manifest,
        "config": read(manifest["config"]["digest"]),
        "statements": statements,
    }


def shape(item: Any) -> Any:
    """The names and constant values of a document, without what differs from build to build."""
    if isinstance(item, Mapping):
        return {key: shape(each) for key, each in item.items()}
    if isinstance(item, list):
        return [shape(each) for each in item]
    if isinstance(item, bool) or (isinstance(item, str) and ":" not in item and len(item) < 24):
        return item
    if isinstance(item, str) and item.startswith("http"):
        return item
    return type(item).__name__


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore.open(tmp_path / "store")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    for name in ("f", "g"):
        (directory / name).write_text(name)
    return directory


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_documents_have_the_form_of_buildkit(store: ImageStore, context: Path, mode: str) -> None:
    wanted = parse_attestations([f"type=provenance,mode={mode}"])
    arguments = {"build_args": {"X": "5"}} if mode == "max" else {"tags": ("img",)}
    found = documents(store, build_with(store, context, wanted, Platform("linux", "amd64"), **arguments))
    theirs = RECORDED[mode]
    for name in ("index", "manifest", "config"):
        assert shape(found[name]) == shape(theirs[name])
    mine, other = found["statements"][0], theirs["statement"]
    other["predicate"].pop("buildConfig", None)  # BuildKit's graph, which there is not here
    details = "https://mobyproject.org/buildkit@v1#metadata"
    for document in (mine, other):
        data = document["predicate"]["metadata"].pop(details)
        if mode == "max":
            info = data["source"]["infos"][0]
            assert {"filename": info["filename"], "language": info["language"]} == {
                "filename": "Dockerfile", "language": "Dockerfile",
            }  # fmt: skip
    assert shape(mine) == shape(other)


def test_provenance_names_bases_and_hides_arguments(store: ImageStore, context: Path) -> None:
    base = build(store, parse(b"FROM scratch\nCOPY f /f\n", "D"), HostTree(context), BuildOptions(tags=("base:2",)))
    text = b"FROM base:2\nCOPY g /g\n"
    secret = {"build_args": {"TOKEN": "hidden"}, "labels": {"k": "hidden"}, "secrets": {"id": b"hidden"}}
    for mode, shown in (("min", False), ("max", True)):
        for version in ("v0.2", "v1"):
            wanted = parse_attestations([f"type=provenance,mode={mode},version={version},builder-id=https://b"])
            statement = documents(store, build_with(store, context, wanted, text=text, **secret))["statements"][0]
            assert ("hidden" in json.dumps(statement)) is shown
            predicate = statement["predicate"]
            source = predicate if version == "v0.2" else predicate["buildDefinition"]
            (material,) = source["materials" if version == "v0.2" else "resolvedDependencies"]
            assert material["uri"].startswith("pkg:docker/base@2?platform=linux%2F")
            assert material["digest"] == {"sha256": base.image.manifest_digest.hex}
            builder = predicate["builder"] if version == "v0.2" else predicate["runDetails"]["builder"]
            assert builder == {"id": "https://b"}


def test_sbom_lists_the_packages_of_each_manager(store: ImageStore, context: Path) -> None:
    pytest.importorskip("spdx_tools", reason="spdx-tools is not installed")
    from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    files = {
        "var/lib/dpkg/status": DPKG, "var/lib/dpkg/status.d/tz": "Package: tzdata\nVersion: 2025b\nArchitecture: all\n",
        "lib/apk/db/installed": APK, "etc/os-release": 'ID="debian"\nVERSION_ID=13\n',
        "usr/lib/python3/foo_bar-1.0.dist-info/METADATA": METADATA,
        "app/node_modules/left/package.json": '{"name": "left", "version": "1.2.3", "license": "MIT"}',
        "app/node_modules/@s/right/package.json": '{"name": "@s/right", "version": "4.5.6"}',
        "app/node_modules/left/test/package.json": '{"name": "fixture", "version": "0.0.0"}',
        "app/node_modules/bad/package.json": "{",
    }  # fmt: skip
    for name, content in files.items():
        (context / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (context / "root" / name).write_text(content)
    database = context / "root/var/lib/rpm/rpmdb.sqlite"
    database.parent.mkdir()
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        header = rpm_header(name="bash", version="5.2", release="1.fc42", license="GPL-3.0-or-later", arch="x86_64")
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (header,))
    connection.close()
    text = b"FROM scratch\nCOPY root /\n"
    found = documents(store, build_with(store, context, Attestations(sbom=True), text=text, tags=("app:1",)))
    statement = found["statements"][0]
    assert statement["predicateType"] == "https://spdx.dev/Document"
    assert found["manifest"]["layers"][0]["annotations"] == {"in-toto.io/predicate-type": "https://spdx.dev/Document"}
    packages = [
        reference["referenceLocator"]
        for package in statement["predicate"]["packages"]
        for reference in package.get("externalRefs", [])
    ]
    assert sorted(packages) == [
        "pkg:apk/debian/busybox@1.37.0-r12?arch=x86_64",
        "pkg:apk/debian/musl@1.2.5-r9?arch=x86_64",
        "pkg:deb/debian/libc6@2.41-12%2Bdeb13u1?arch=amd64",
        "pkg:deb/debian/tzdata@2025b?arch=all",
        "pkg:npm/%40s/right@4.5.6",
        "pkg:npm/left@1.2.3",
        "pkg:pypi/foo-bar@1.0",
        "pkg:rpm/debian/bash@2%3A5.2-1.fc42?arch=x86_64",
    ]
    document = JsonLikeDictParser().parse(statement["predicate"])
    assert validate_full_spdx_document(document) == []


def test_several_platforms_make_one_index(store: ImageStore, context: Path) -> None:
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64", "v8"), Platform("linux", "riscv64"))
    result = build_with(store, context, Attestations(Provenance()), *platforms, tags=("many:1", "many:2"))
    members = Catalog(store.layout).members(result.image.entry)
    assert [member.platform for member in members] == list(platforms)
    assert result.image.references == ("many:1", "many:2")
    assert len(store.layout.read_index().manifests) == 2, "no entry of a single image"
    index = documents(store, result)["index"]["manifests"]
    assert [each["platform"]["architecture"] for each in index] == ["amd64", "arm64", "riscv64"] + ["unknown"] * 3
    for platform in platforms:
        assert store.image("many:1", platform).config.platform == replace(platform)
    store.remove("many:1")
    store.remove("many:2")
    assert not list((store.layout.blobs / "sha256").iterdir()) or not store.images()


def test_a_rebuild_without_attestations_has_the_same_image(store: ImageStore, context: Path) -> None:
    plain = build(store, parse(TEXT, "Dockerfile"), HostTree(context), BuildOptions(tags=("x",), epoch_s=5))
    attested = build_with(store, context, Attestations(Provenance()), tags=("x",), epoch_s=5)
    assert attested.image.manifest_digest == plain.image.manifest_digest
    assert attested.image.references == ("x:latest",)
    assert is_attestation(Catalog(store.layout).documents(attested.image.entry)[1].descriptor)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["type=sbom"], Attestations(sbom=True)),
        (["type=sbom", "type=sbom,disabled=true"], Attestations()),
        (["type=provenance"], Attestations(Provenance())),
        (["type=provenance,mode=full,reproducible=true"], Attestations(Provenance("max", reproducible=True))),
        ([attest_text("provenance", "false")], Attestations()),
        ([attest_text("provenance", "mode=max,version=v1")], Attestations(Provenance("max", "v1"))),
        ([attest_text("sbom", "true")], Attestations(sbom=True)),
    ],
)
def test_options(texts: list[str], expected: Attestations) -> None:
    assert parse_attestations(texts) == expected


@pytest.mark.parametrize("text", ["", "type=other", "type=provenance,mode=some", "type=provenance,version=v9",
                                  "type=sbom,generator=x", "type=provenance,what=1", "mode=min"])  # fmt: skip
def test_bad_options_are_refused(text: str) -> None:
    with pytest.raises(BadValue):
        parse_attestations([text])
