"""The container for the RUNs of one stage, and their layers.

Rules:
1. Each layer has only the changes of its RUN: after it the upper is frozen in place (`vfs.containers.snapshots`), and
   the next RUN gets an empty one on top. Nothing is copied, no view is built.
2. If another instruction has added a layer meanwhile, the next RUN starts a new container on the image so far.
3. When the command ends, its remaining processes are killed, as at the end of a PID namespace.
4. This process owns the container (`rootlay.store.disk.owner`): after a crash the next build, or `prune`, removes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import (
    BUILD_IMAGE,
    CONFIG_COPY,
    MANIFEST_COPY,
    ContainerConfig,
    ContainerRecord,
)
from rootlay.store.containers.removal import trash_container
from rootlay.store.disk.durable import replace_file, write_private
from rootlay.store.disk.owner import own_name
from rootlay.store.layer.writer import LayerWriter, WrittenLayer
from rootlay.store.model.digest import Digest, chain_id
from rootlay.store.model.entry import Entry
from rootlay.store.model.manifest import OCI_CONFIG, OCI_MANIFEST, Descriptor, Manifest
from rootlay.store.model.value import replace
from rootlay.store.store import ImageStore
from rootlay.store.view.build import build_view, view_path
from rootlay.vfs.build.result.failure import BuildCancelled
from rootlay.vfs.build.result.state import ImageState
from rootlay.vfs.build.run.emptytrash import empty_trash_in_background
from rootlay.vfs.build.run.request import RunRequest
from rootlay.vfs.changes.diff import iter_layer
from rootlay.vfs.containers.snapshots import create_snapshot
from rootlay.vfs.overlay.containerstack import open_overlay, read_small_file
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.etcfiles import write_etc
from rootlay.vfs.run.hydrator import start_hydrator
from rootlay.vfs.run.killing import kill_guests
from rootlay.vfs.run.program import Program, make_program, set_default_owner
from rootlay.vfs.run.session import Session, open_session

HOSTNAME = "rootlay-build"
UMASK = 0o022
READ_BYTES = 1 << 16

Output = Callable[[bytes], None]
"""Receives the output of a command, as it arrives."""


class RunContainer:
    """The container of a stage, a context manager whose end removes it. One command at a time; any thread may `cancel`.

    Args:
        epoch_ns: no file of a layer is younger than this time (SOURCE_DATE_EPOCH); None for no limit.
        hosts: more lines of /etc/hosts: (address, name).
    """

    def __init__(self, store: ImageStore, epoch_ns: int | None = None, hosts: Sequence[tuple[str, str]] = ()) -> None:
        self._store = store
        self._containers = Containers(store.root)
        self._epoch_ns = epoch_ns
        self._hosts = hosts
        self._record: ContainerRecord | None = None
        self._session: Session | None = None
        self._hydrator: subprocess.Popen[bytes] | None = None
        self._targets: tuple[str, ...] = ()
        self.made_views: set[Digest] = set()
        self._shows: tuple[Digest, ...] = ()
        self._cancelled = False
        self._starting = threading.Lock()

    def run(self, state: ImageState, request: RunRequest, output: Output) -> int:
        """Run a command on the image so far, and return its exit code. `commit` makes its layer.

        Raises:
            UnknownUser: USER names a user that the image does not have.
            EngineMissing, BuildCancelled, StoreNotWritable, DiskFull.
        """
        record = self._prepare(state)
        config = replace(
            record.config,
            env=state.config.env,
            user=state.config.user,
            working_dir=state.config.working_dir or "/",
            binds=request.binds,
            network=request.network,
        )
        record = ContainerRecord(config, record.path)
        self._targets = tuple(bind.target for bind in request.binds)
        with open_overlay(record) as overlay:
            program = _program(record, overlay, request)
        session = open_session(record, renew=self._session)
        if self._session is None:
            self._hydrator = start_hydrator(session)
        self._session = session
        return self._execute(record, session.command(program.argv, program.cwd, program.identity), program.env, output)

    def _prepare(self, state: ImageState) -> ContainerRecord:
        """Return a container that shows the image so far, with an empty upper on top."""
        if self._record is not None and self._shows == state.diff_ids:
            create_snapshot(self._record, "", (self._session.launch,) if self._session else ())
            return self._record
        self.close()
        chain = chain_id(state.diff_ids)
        self._store.layout.claim("view", (chain,))
        if not view_path(self._store.root, chain).exists():
            self.made_views.add(chain)
            build_view(self._store, state.diff_ids)
        document = state.finished().to_bytes()
        manifest = Manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, Digest.of(document), len(document)), state.layers)
        config = ContainerConfig(
            id="",
            name=f"build-{os.urandom(4).hex()}",
            created_ns=0,
            image=BUILD_IMAGE,
            manifest=str(Digest.of(manifest.to_bytes())),
            chain=str(state.image.chain_id) if state.diff_ids else "",
            layers=tuple(map(str, state.diff_ids)),
            argv=(*(state.config.shell or ("/bin/sh",))[:1],),
            env=state.config.env,
            working_dir=state.config.working_dir or "/",
            user=state.config.user,
            hostname=HOSTNAME,
            owner=own_name(),
        )
        self._record = record = self._containers.create(config)
        set_default_owner(record)
        write_private(record.path / MANIFEST_COPY, manifest.to_bytes())
        write_private(record.path / CONFIG_COPY, document)
        write_etc(record)
        with open(record.path / "hosts", "a", encoding="utf-8") as file:
            file.writelines(f"{address}\t{name}\n" for address, name in self._hosts)
        self._shows = state.diff_ids
        return record

    def _execute(self, record: ContainerRecord, command: list[str], env: Mapping[str, str], output: Output) -> int:
        path = os.path.realpath(record.path)
        with self._starting:  # so that `cancel` runs before the start, or finds the started processes
            self._check()
            process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        reader = threading.Thread(target=_pass_on, args=(process, output), daemon=True)
        reader.start()
        try:
            code = process.wait()
        finally:
            kill_guests(path)
            process.wait()
            reader.join()
        self._check()
        return code if code >= 0 else 128 - code

    def commit(self, state: ImageState) -> WrittenLayer:
        """Return the changes of the last command, as a layer on top of `state`, on which it ran.

        Raises StoreNotWritable, DiskFull.
        """
        assert self._record is not None  # a command has run
        with open_overlay(self._record) as overlay, LayerWriter(self._store.layout, self._check) as writer:
            _remove_stubs(overlay, self._targets)
            root_is_old = _root_is_old(overlay)
            for path, entry, content in iter_layer(overlay):
                if not path and root_is_old:
                    continue
                if self._epoch_ns is not None and entry.mtime_ns > self._epoch_ns:
                    entry = _at_epoch(entry, self._epoch_ns)
                writer.add(path, entry, content)
            layer = writer.finish()
        self._shows = (*state.diff_ids, layer.diff_id)
        return layer

    def _check(self) -> None:
        if self._cancelled:
            raise BuildCancelled

    def cancel(self) -> None:
        """Stop the running command; `run` then raises BuildCancelled. Idempotent."""
        with self._starting:
            self._cancelled = True
        record = self._record
        if record is not None:
            kill_guests(os.path.realpath(record.path))

    def keep(self) -> str:
        """Leave the container to the user in its state after the last command. Return its name."""
        assert self._record is not None  # a command has run
        self._release()
        record, self._record = self._record, None
        config = replace(record.config, owner="", image="(failed build)")
        replace_file(record.path / "config.json", json.dumps(config.to_json()).encode())
        return record.name

    def _release(self) -> None:
        """Close session and hydrator. Precondition: no program runs inside."""
        if self._hydrator is not None:
            # It has no clients left: it writes each file by rename as a whole, and its staging is swept.
            self._hydrator.kill()
            self._hydrator.wait()
            if self._hydrator.stdin is not None:
                self._hydrator.stdin.close()
        if self._session is not None:
            self._session.forget()
        self._hydrator = self._session = None

    def close(self) -> None:
        """Remove the container. Idempotent."""
        record, self._record = self._record, None
        if record is not None:
            kill_guests(os.path.realpath(record.path))
            self._release()
            empty_trash_in_background(trash_container(record))

    def __enter__(self) -> RunContainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _program(record: ContainerRecord, overlay: Overlay, request: RunRequest) -> Program:
    program = make_program(record, lambda path: read_small_file(overlay, path), argv=request.argv, env=request.env)
    return replace(program, identity=replace(program.identity, umask=UMASK))


def _pass_on(process: subprocess.Popen[bytes], output: Output) -> None:
    stream = process.stdout
    assert stream is not None  # opened as a pipe
    with stream:
        while data := stream.read1(READ_BYTES):  # type: ignore[attr-defined]  # a BufferedReader
            output(data)


def _remove_stubs(overlay: Overlay, targets: Sequence[str]) -> None:
    """Remove what the engine made as targets of binds: new empty directories and files."""
    for target in targets:
        path = os.fsencode(target).rstrip(b"/")
        while path:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                found = overlay.find(path, follow=False)
                if found is not None and (found.merges or not found.parts or found.parts[0].layer != 0):
                    break  # the image has it
                if found is not None and found.is_dir and not overlay.listdir(path):
                    overlay.rmdir(path)
                elif found is not None and found.is_file and not overlay.lstat(path).size:
                    overlay.unlink(path)
                elif found is not None:
                    break
            path = path.rpartition(b"/")[0]


def _at_epoch(entry: Entry, epoch_ns: int) -> Entry:
    return replace(entry, mtime_ns=epoch_ns)


def _root_is_old(overlay: Overlay) -> bool:
    """Return whether the root directory equals the one below, apart from its times, as in Docker's layers."""
    context = overlay.context
    if len(overlay.stack.dirs) == 1 and overlay.stack.view is None:
        return False
    now, before = context.attributes(context.lookup.root()), context.attributes(context.lookup.root(1))
    return (now.mode, now.uid, now.gid) == (before.mode, before.uid, before.gid)
