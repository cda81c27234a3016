"""Images in and out: pull, push, import, load and save. Progress is a stream of JSON lines, as Docker's."""

from __future__ import annotations

import base64
import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rootlay.cli.api.call import Call
from rootlay.cli.api.errors import ApiError, bad_parameter, explain, not_found
from rootlay.cli.api.images import platform_text
from rootlay.cli.registryoptions import default_settings
from rootlay.store.model.errors import NotAnArchive, UnknownImage
from rootlay.store.model.imageconfig import RunConfig
from rootlay.store.model.platform import parse_platform
from rootlay.store.model.reference import Reference
from rootlay.store.model.value import replace
from rootlay.store.registry.credential import Credential
from rootlay.store.registry.dockerconfig import DockerConfig
from rootlay.store.registry.errors import AccessDenied, NotInRegistry
from rootlay.store.registry.pull import pull
from rootlay.store.registry.push import push as push_image
from rootlay.store.registry.settings import Settings
from rootlay.store.store import ImageStore
from rootlay.store.tar.header import BLOCK_BYTES
from rootlay.vfs.build.result.changes import apply_changes
from rootlay.vfs.build.result.failure import RunFailed
from rootlay.vfs.containers.ensureview import ensure_view

if TYPE_CHECKING:
    from rootlay.cli.api.exchange import Body, Exchange

_INTERVAL_S = 0.1
NO_BUILDKIT = (
    "rootlay has no BuildKit server: set DOCKER_BUILDKIT=0, which makes docker send the build to rootlay's own"
)


class Lines:
    """A stream of JSON lines that begins with its first line: an error before that is an ordinary error."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._lock = threading.Lock()
        self._body: Body | None = None
        self._said: dict[str, float] = {}

    def send(self, **members: Any) -> None:
        """Send a line. Thread safe."""
        with self._lock:
            if self._body is None:
                self._body = self._exchange.stream()
            self._body.send(members)

    def progress(self, status: str, identity: str, done: int, total: int | None) -> None:
        """Send a line about work in progress: not more often than ten times a second for each part of it."""
        now = time.monotonic()
        if done != total and now - self._said.get(identity, 0.0) < _INTERVAL_S:
            return
        self._said[identity] = now
        detail = {"current": done, **({"total": total} if total else {})}
        self.send(status=status, progressDetail=detail, progress=_bar(done, total), id=identity)

    @contextlib.contextmanager
    def whole(self, *, begun: bool = False) -> Iterator[None]:
        """End the stream at the end of the block; with an error line if it failed after the first line.

        Args:
            begun: an error before the first line is a line, too.
        """
        try:
            yield
        except Exception as error:
            if self._body is None and not begun:
                raise
            _, message = explain(error)
            code = {"code": error.status} if isinstance(error, RunFailed) else {}
            self.send(errorDetail={**code, "message": message}, error=message)
        if self._body is None:
            self._body = self._exchange.stream()
        self._body.close()


def _bar(done: int, total: int | None) -> str:
    if not total:
        return f"{done / 1e6:.1f}MB"
    filled = min(50, done * 50 // total)
    return f"[{'=' * filled}>{' ' * (50 - filled)}]  {done / 1e6:.1f}MB/{total / 1e6:.1f}MB"


@contextlib.contextmanager
def settings_of(call: Call, domain: str) -> Iterator[Settings]:
    """Return the settings for registries: the server's own, with the login of the request's header if it has one."""
    settings = default_settings(call.context)
    login = _header(call, "x-registry-auth")
    credential = _credential(login) if login else None
    if credential is None:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="rootlay-login-") as directory:
        path = Path(directory) / "config.json"
        DockerConfig(path).save(domain, credential)
        yield replace(settings, docker_config=path)


def _header(call: Call, name: str) -> dict[str, Any]:
    text = call.exchange.headers.get(name, "")
    try:
        found = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) or b"{}")
    except ValueError:
        raise bad_parameter(f"invalid {name} header") from None
    return found if isinstance(found, dict) else {}


def _credential(login: dict[str, Any]) -> Credential | None:
    found = Credential(
        str(login.get("username") or ""), str(login.get("password") or ""), str(login.get("identitytoken") or "")
    )
    return found if found.username or found.identity_token else None


def _reference(name: str, tag: str) -> str:
    """Return the reference of a name and a separate tag or digest."""
    if not tag:
        return name
    return f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}"


def create(call: Call) -> None:
    """POST /images/create"""
    if call.text("fromImage"):
        _pull(call)
    elif call.text("fromSrc"):
        _import(call)
    else:
        raise bad_parameter("fromImage or fromSrc is needed")


def _pull(call: Call) -> None:
    text = _reference(call.text("fromImage"), call.text("tag"))
    reference = Reference.parse(text)
    if reference.path == "moby/buildkit":
        raise ApiError(501, NO_BUILDKIT)  # buildx wants to run it as a container, which needs mounts
    wanted = call.text("platform")
    platform = parse_platform(platform_text(wanted)) if wanted else None
    for _ in call.exchange.body():
        pass
    store, lines = ImageStore.open(call.root), Lines(call.exchange)

    def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
        lines.progress("Downloading", _short(label), done_bytes, total_bytes)

    with lines.whole(), settings_of(call, reference.domain) as settings:
        try:
            found = pull(store, text, settings, platform=platform, progress=progress)
        except NotInRegistry as error:
            raise ApiError(404, f"manifest for {reference.familiar} not found: manifest unknown: {error}") from None
        except AccessDenied as error:
            raise ApiError(
                404, f"pull access denied for {reference.familiar_name}, repository does not exist or may require "
                f"'docker login': {error}",
            ) from None  # fmt: skip
        ensure_view(store, found.image)
        lines.send(status=f"Pulling from {reference.path}", id=reference.tag or str(reference.digest))
        for layer in found.image.manifest.layers:
            lines.send(status="Pull complete", progressDetail={}, id=_short(str(layer.digest)))
        lines.send(status=f"Digest: {found.digest}")
        news = "Downloaded newer image for" if found.fetched_layers else "Image is up to date for"
        lines.send(status=f"Status: {news} {reference.familiar}")


def _short(label: str) -> str:
    return label.rpartition("sha256:")[2][:12] if "sha256:" in label else label[-12:]


def _import(call: Call) -> None:
    repository, tag = call.text("repo"), call.text("tag")
    if call.text("fromSrc") != "-":
        raise bad_parameter("fromSrc: only '-', the request's body, can be imported")
    changes = [line for text in call.query["changes"] for line in text.splitlines() if line.strip()]
    store, lines = ImageStore.open(call.root), Lines(call.exchange)
    with lines.whole():
        with spooled(call, store) as path:
            image = store.import_rootfs(
                path, _reference(repository, tag) if repository else None,
                config=apply_changes(RunConfig(), changes), message=call.text("message") or "Imported from -",
            )  # fmt: skip
        lines.send(status=str(image.id))


@contextlib.contextmanager
def spooled(call: Call, store: ImageStore) -> Iterator[Path]:
    """Write the request's body to a file of the store's own, until the end of the block."""
    with store.staging() as directory:
        path = directory / "body"
        with path.open("wb") as file:
            for piece in call.exchange.body():
                file.write(piece)
        yield path


def push(call: Call) -> None:
    """POST /images/{name}/push"""
    name = call.names["name"]
    tag = call.text("tag") or ("" if ":" in name.rpartition("/")[2] else "latest")
    text = _reference(name, tag)
    reference = Reference.parse(text)
    for _ in call.exchange.body():
        pass
    store, lines = ImageStore.open(call.root), Lines(call.exchange)
    wanted = call.text("platform")
    platform = parse_platform(platform_text(wanted)) if wanted else None
    try:
        image = store.image(text)
    except LookupError:
        raise ApiError(404, f"An image does not exist locally with the tag: {reference.familiar_name}") from None

    def progress(done_bytes: int, total_bytes: int | None, label: str) -> None:
        lines.progress("Pushing", _short(label), done_bytes, total_bytes)

    with lines.whole(), settings_of(call, reference.domain) as settings:
        lines.send(status=f"The push refers to repository [{reference.name}]")
        pushed = push_image(store, text, settings, platform=platform, progress=progress)
        for layer in image.manifest.layers:
            lines.send(status="Pushed", progressDetail={}, id=_short(str(layer.digest)))
        size = image.entry.size
        lines.send(status=f"{reference.tag}: digest: {pushed.digest} size: {size}")
        lines.send(progressDetail={}, aux={"Tag": reference.tag, "Digest": str(pushed.digest), "Size": size})


def load(call: Call) -> None:
    """POST /images/load"""
    store, lines = ImageStore.open(call.root), Lines(call.exchange)
    with lines.whole(begun=True):
        with spooled(call, store) as path:
            try:
                images = store.load(path)
            except NotAnArchive:
                short = path.stat().st_size < BLOCK_BYTES
                raise bad_parameter("unexpected EOF" if short else "archive/tar: invalid tar header") from None
        for image in images:
            ensure_view(store, image)
            if image.references:
                lines.send(stream=f"Loaded image: {image.references[0]}\n")
            else:
                lines.send(stream=f"Loaded image ID: {image.id}\n")


def get(call: Call) -> None:
    """GET /images/{name}/get"""
    _save(call, [call.names["name"]])


def get_all(call: Call) -> None:
    """GET /images/get"""
    names = [name for text in call.query["names"] for name in text.split(",") if name]
    if not names:
        raise bad_parameter("names: at least one image is needed")
    _save(call, names)


def _save(call: Call, names: list[str]) -> None:
    store = ImageStore.open(call.root)
    for name in names:
        try:
            store.image(name)
        except UnknownImage:
            raise not_found("image", name) from None
    with call.exchange.stream("application/x-tar") as body:
        store.save(names, body)  # type: ignore[arg-type]  # it only writes
