"""`exec`, `run` and `shell`: a container for one program, removed at its end.

1. The image is read-only; --writable-tmpfs gives the container a layer for changes, --overlay one that is kept.
2. Programs run as the caller, under the caller's name; with --fakeroot as root.
3. The caller's lines of passwd and group are in the container's own layer.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from rootlay.cli.apptainer.bring import bring
from rootlay.cli.apptainer.environment import given_variables, program_environment
from rootlay.cli.apptainer.mounts import Place, binds_of, place_of
from rootlay.cli.apptainer.report import Report
from rootlay.cli.apptainer.sources import Source, parse_source
from rootlay.cli.bundlestore import for_image
from rootlay.cli.runcommand import attach
from rootlay.cli.spec import Context, UsageError, Values
from rootlay.store.containers.record import Bind, ContainerRecord
from rootlay.store.containers.settings import Settings
from rootlay.store.disk.owner import own_name
from rootlay.store.model.errors import RootlayError
from rootlay.store.model.value import replace
from rootlay.vfs.containers.create import ContainerOptions, create_container

if TYPE_CHECKING:
    from rootlay.vfs.overlay.overlay import Overlay

SANDBOX_RUNSCRIPT = "/.singularity.d/runscript"


def run_action(command: str, values: Values, context: Context, report: Report) -> int:
    """Run a program of an image and return its exit code. `command`: exec, run or shell."""
    fakeroot = values.flag("fakeroot")
    place = place_of(values, context.environ, fakeroot=fakeroot)
    binds = binds_of(values, place)
    variables = given_variables(values.many("env_file"), values.many("env"))
    if values.flag("nv"):
        _add_cards(binds, variables, report)
    source = parse_source(values.required("image"))
    context, options = _of_source(source, values, context, report)
    if source.kind == "file":
        context = for_image(context, source.place)
    options = replace(
        options,
        argv=values.many("command"),
        entrypoint="" if command != "run" else None,
        user="0:0" if fakeroot else f"{os.getuid()}:{os.getgid()}",
        hostname=values.text("hostname") or "",
        binds=tuple(binds.values()),
        upper=_overlay(values),
        stdin=True,
        auto_remove=True,
        need_command=False,
        to_run=True,
        network="none" if values.text("network") == "none" else "host",
        settings=_settings(values),
        owner=own_name(),
    )
    record = create_container(context.root, options, context.environ)
    try:
        record = _prepared(record, command, values, context, place, variables, source)
    except BaseException:
        from rootlay.vfs.run.removal import remove_container

        remove_container(record, force=True, volumes=True)
        raise
    return attach(record, trace=None, patch=True)


def _of_source(source: Source, values: Values, context: Context, report: Report) -> tuple[Context, ContainerOptions]:
    if source.kind == "directory":
        return context, ContainerOptions(lowers=(source.place,))
    if source.kind == "file":
        return context, ContainerOptions(image=source.place)
    return context, ContainerOptions(image=str(bring(source, values, context, report).id))


def _overlay(values: Values) -> str:
    given = [text for text in values.many("overlay") if not text.endswith(":ro")]
    if len(given) != len(values.many("overlay")) or len(given) > 1:
        raise UsageError("--overlay: expected one directory; use --bind DIR:DIR:ro to show one")
    if given and not os.path.isdir(given[0]):
        raise UsageError(f"--overlay {given[0]}: not a directory: make it first; image files cannot be mounted")
    return str(Path(given[0], "upper").absolute()) if given else ""


def _settings(values: Values) -> Settings:
    writable = values.flag("writable_tmpfs") or values.flag("compat") or bool(values.many("overlay"))
    dns = tuple(filter(None, (values.text("dns") or "").split(",")))
    return Settings(read_only=not writable, dns=dns)


def _add_cards(binds: dict[str, Bind], variables: dict[str, str], report: Report) -> None:
    from rootlay.vfs.containers.cdi import find_graphics_cards

    try:
        device = find_graphics_cards(None)
    except RootlayError as error:
        report.warning(f"--nv: {error}")
        return
    binds |= {bind.target: bind for bind in device.binds if bind.target not in binds}
    variables |= dict(text.split("=", 1) for text in device.env)


def _prepared(
    record: ContainerRecord,
    command: str,
    values: Values,
    context: Context,
    place: Place,
    variables: dict[str, str],
    source: Source,
) -> ContainerRecord:
    """Return the record with the program and its environment; its layer gets what the program expects (rule 3)."""
    from rootlay.vfs.overlay.containerstack import open_overlay

    config = record.config
    clean = values.flag("cleanenv") or values.flag("containall") or values.flag("compat")
    env = program_environment(context.environ, config.env, variables, place.inside, clean=clean)
    env |= _names(command, source, config.binds)
    with open_overlay(record) as overlay:
        if not values.flag("fakeroot"):
            _add_caller(overlay, place.inside)
        argv = _program(command, values, config.argv, overlay, is_directory=source.kind == "directory")
        cwd = _directory(values, place, config.binds, overlay)
    written = replace(config, argv=argv, env=tuple(f"{name}={text}" for name, text in env.items()), working_dir=cwd)
    return replace(record, config=written)


def _names(command: str, source: Source, binds: tuple[Bind, ...]) -> dict[str, str]:
    """Return the variables by which programs know where they are."""
    path = source.place if source.kind in ("file", "directory") else source.text
    shown = ",".join(f"{bind.host}:{bind.target}" for bind in binds if bind.host and bind.host != bind.target)
    found = {"CONTAINER": path, "NAME": os.path.basename(path), "BIND": shown}
    names = {f"{prefix}_{name}": text for name, text in found.items() for prefix in ("APPTAINER", "SINGULARITY")}
    return {**names, "APPTAINER_COMMAND": command, "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh"}


def _program(
    command: str, values: Values, usual: tuple[str, ...], overlay: Overlay, *, is_directory: bool
) -> tuple[str, ...]:
    words = values.many("command")
    if command == "exec":
        return words
    shell = "/bin/bash" if overlay.find(b"/bin/bash") is not None else "/bin/sh"
    if command == "shell":
        given = values.text("shell") or shell
        return (given, *(("--norc",) if given.endswith("/bash") and not words else ()), *words)
    if is_directory and overlay.find(os.fsencode(SANDBOX_RUNSCRIPT)) is not None:
        return ("/bin/sh", SANDBOX_RUNSCRIPT, *words)
    return usual or (shell,)


def _directory(values: Values, place: Place, binds: tuple[Bind, ...], overlay: Overlay) -> str:
    """Return the first working directory: --pwd, the caller's if it exists inside, the home, the root."""
    given = values.text("pwd")
    if given is not None:
        if not given.startswith("/"):
            raise UsageError(f"--pwd {given[:80]}: expected an absolute path")
        return given
    for path in (place.cwd, place.inside):
        bound = [bind for bind in binds if path == bind.target or path.startswith(bind.target.rstrip("/") + "/")]
        deepest = max(bound, key=lambda bind: len(bind.target), default=None)
        if deepest is None:
            if path and overlay.find(os.fsencode(path)) is not None:
                return path
        elif deepest.target == path or (
            deepest.kind == "bind" and os.path.isdir(deepest.host + path[len(deepest.target.rstrip("/")) :])
        ):
            return path
    return "/"


def _add_caller(overlay: Overlay, home: str) -> None:
    """Add the caller to the image's passwd and group files, as far as they are there and do not have the number."""
    from rootlay.vfs.overlay.containerstack import read_small_file

    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid)
        name, gecos, shell = user.pw_name, user.pw_gecos, user.pw_shell
    except KeyError:
        name, gecos, shell = f"user{uid}", "", "/bin/sh"
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = f"group{gid}"
    lines = {
        b"/etc/passwd": (uid, f"{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n"),
        b"/etc/group": (gid, f"{group}:x:{gid}:{name}\n"),
    }
    for path, (number, line) in lines.items():
        content = read_small_file(overlay, path)
        if content is None or any(row.split(b":")[2:3] == [b"%d" % number] for row in content.splitlines()):
            continue
        fd = overlay.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, (b"" if content.endswith(b"\n") or not content else b"\n") + os.fsencode(line))
        finally:
            os.close(fd)
