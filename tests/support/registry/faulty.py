"""A pull from a fake registry that misbehaves: the image it has, who is logged in, and what must not be left behind."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path

import pytest

from rootlay.store.model.errors import RootlayError
from rootlay.store.registry.pull import pull
from rootlay.store.registry.retry import RetryRules
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from tests.support.archives.make import make_tar, sha256, snapshot
from tests.support.registry.fake import FakeRegistry, Seen

TAR = make_tar([("big", "f", os.urandom(3_000_000)), ("small", "f", "x")])
BLOB = gzip.compress(TAR, 1)
DIGEST = sha256(BLOB)
SECRET = "s3cr3t-pass"


def faulty_fake() -> FakeRegistry:
    """A fake that runs and has `app:1`, of the one layer BLOB. The caller stops it."""
    found = FakeRegistry().start()
    found.add("app:1", [TAR], [BLOB])
    return found


def impatient(directory: Path) -> Settings:
    """Settings that do not wait, and a login file of their own."""
    return Settings(
        docker_config=directory / "config.json", plain_http=True, retry=RetryRules(4, 0.02, 0.05), read_timeout_s=30
    )


def with_login(settings: Settings, host: str) -> Settings:
    """The settings of somebody who is logged in."""
    assert settings.docker_config is not None
    auth = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    settings.docker_config.write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    return settings


def rejected(
    store: ImageStore, reference: str, settings: Settings, error: type[RootlayError], match: str | None = None
) -> RootlayError:
    """Pull what must fail with nothing stored."""
    before = snapshot(store.root)
    with pytest.raises(error, match=match) as caught:
        pull(store, reference, settings)
    assert snapshot(store.root) == before
    assert not list((store.root / "tmp").iterdir())
    assert not list(store.layout.layers.iterdir())
    return caught.value


def is_blob(seen: Seen) -> bool:
    return seen.method == "GET" and seen.path.endswith(DIGEST)
