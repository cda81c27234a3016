"""Builds whose result is an index: for several platforms, or with attestations.

Rules:
1. Each platform is built on its own, one after the other; they share the cache.
2. The names lead to the index, after everything in it is stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing

from rootlay.store.model.image import Image
from rootlay.store.model.manifest import Platform
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from rootlay.vfs.build.attest import sbom
from rootlay.vfs.build.attest.provenance import PREDICATE_TYPES, BuildFacts, predicate
from rootlay.vfs.build.attest.request import Attestations
from rootlay.vfs.build.attest.statement import Attested, Statement, record_index
from rootlay.vfs.build.build import BuildResult
from rootlay.vfs.build.context.trees import Trees
from rootlay.vfs.build.options.options import BuildOptions

BuildOne = Callable[[BuildOptions], BuildResult]


def build_index(
    store: ImageStore,
    build_one: BuildOne,
    options: BuildOptions,
    platforms: Sequence[Platform],
    wanted: Attestations | None,
    source: tuple[str, bytes, str],
) -> BuildResult:
    """Build an index.

    Args:
        build_one: makes one image.
        options: those of the build; `tags` name the index.
        wanted: the attestations about each image.
        source: name and content of the Dockerfile, and the URL of the context (empty: a local one).

    Raises as `rootlay.vfs.build.build.build`, and SbomNeedsLibrary.
    """
    wanted = wanted or Attestations()
    if wanted.sbom:
        sbom.check_library()
    tags = tuple(Reference.parse(tag).with_default_tag().familiar for tag in options.tags)
    with store.layout.holding():
        results = [build_one(replace(options, tags=(), platform=platform)) for platform in platforms]
        attested = [
            Attested(result.image, tuple(_statements(store, result, options, wanted, source))) for result in results
        ]
        image = record_index(store, attested, tags)
    first = results[0]
    return replace(
        first,
        image=image,
        names=tags,
        cached_steps=sum(result.cached_steps for result in results),
        made_steps=sum(result.made_steps for result in results),
        seconds=sum(result.seconds for result in results),
        is_new=True,
    )


def _statements(
    store: ImageStore, result: BuildResult, options: BuildOptions, wanted: Attestations, source: tuple[str, bytes, str]
) -> list[Statement]:
    found = []
    if wanted.sbom:
        found.append(Statement(sbom.PREDICATE_TYPE, _bill(store, result.image, options)))
    if wanted.provenance is not None:
        kind = PREDICATE_TYPES[wanted.provenance.version]
        found.append(Statement(kind, predicate(_facts(result, options, source), result.image, wanted.provenance)))
    return found


def _bill(store: ImageStore, image: Image, options: BuildOptions) -> dict[str, object]:
    store.prepare(image)
    name = options.tags[0] if options.tags else image.id.short
    with closing(Trees(store)) as trees:
        return sbom.document(trees.open(image.diff_ids), image, name, options.epoch_s)


def _facts(result: BuildResult, options: BuildOptions, source: tuple[str, bytes, str]) -> BuildFacts:
    file, text, remote = source
    arguments = {
        **({"target": options.target} if options.target else {}),
        **({"no-cache": ""} if options.no_cache else {}),
        **({"context": remote} if remote else {}),
        **{f"build-arg:{key}": text for key, text in options.build_args.items()},
        **{f"label:{key}": text for key, text in options.labels.items()},
    }
    return BuildFacts(
        os.path.basename(file), text, remote, arguments, tuple(options.secrets), tuple(options.sockets), result.bases,
        result.started, result.finished, os.urandom(16).hex(),
    )  # fmt: skip
