"""`rootlay wrap`: make executables that enter an image.

Rules:
1. A directory of wrapped commands is of one image and has one container, which keeps the layers; it never runs, so
   `prune` leaves it alone. `relocatable` ones have a store of their own in the directory, on a bundle.
2. All files of the image are hydrated and synced first: a start needs no hydrator.
3. A command is a copy of one static program (`vfs/csrc/wrap`). What it does is in the settings.
4. Files of the directory that are not ours are never replaced or removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rootlay.store.containers.containers import Containers
from rootlay.store.containers.record import HOST_IMAGE, ContainerRecord
from rootlay.store.containers.upperstack import STACK_FILE
from rootlay.store.disk.durable import replace_file, replacing
from rootlay.store.disk.removetree import remove_tree
from rootlay.store.model.errors import UnknownContainer
from rootlay.store.model.progress import Progress, silent
from rootlay.store.model.value import replace, value
from rootlay.store.store import ImageStore, open_lower
from rootlay.vfs.containers.create import ContainerOptions, create_container
from rootlay.vfs.overlay.containerstack import open_overlay, read_small_file
from rootlay.vfs.overlay.overlay import Overlay
from rootlay.vfs.run.program import DEFAULT_PATH, Program, make_program
from rootlay.vfs.run.removal import remove_container
from rootlay.vfs.run.session import engine_path
from rootlay.vfs.wrap.options import OF_EACH_START, SHOWN, WrapOptions, iter_missing
from rootlay.vfs.wrap.settings import HIDDEN, UPPERS, VERSION, CannotWrap, Settings, pairs_of, relative
from rootlay.vfs.wrap.template import make_template, run_directory

LABEL = "rootlay.wrapped"
"""The label of a container of wrapped commands: their directory."""
_HIDDEN_VARIABLES = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT")
"""Variables of the caller that name libraries of the machine."""
_ANY_X = 0o111


@value
class Wrapped:
    """Wrapped commands: their directory, and its settings."""

    directory: Path
    settings: Settings

    @property
    def image(self) -> str:
        return self.settings.first("image")

    @property
    def upper(self) -> str:
        return self.settings.first("upper")

    @property
    def container(self) -> str:
        """The ID of their container."""
        return self.settings.first("id")

    @property
    def root(self) -> Path:
        """The store of their container."""
        text = self.settings.first("root")
        return self.directory / text[2:] if text.startswith("\1") else Path(text)


def wrap_programs(
    root: Path,
    directory: Path,
    programs: Sequence[str],
    options: WrapOptions,
    environ: Mapping[str, str],
    progress: Progress = silent,
) -> Wrapped:
    """Make commands in a directory, which is made if it is missing.

    Args:
        root: the store's root.
        programs: names that are looked up in the PATH of the image, paths inside, or `NAME=PATH`.
        environ: the caller's environment, for `-e NAME`.
        progress: receives the bytes of the image that are hydrated, and before that, if `relocatable`, those of its
            bundle.

    Raises:
        CannotWrap: a program that the image does not have, a name in use; commands of another image in the directory,
            or without one of the options.
        UnknownImage, UnknownUser, MissingDirectory: as from create_container.
        EngineMissing: this machine has no native engine.
        OSError: a file cannot be written.
    """
    if options.image == HOST_IMAGE:
        raise CannotWrap(HOST_IMAGE, "its programs need no wrapping")
    if options.upper not in ("", *UPPERS):
        raise CannotWrap(f"--upper {options.upper}", f"expected {', '.join(UPPERS)}")
    engine_path()
    directory.mkdir(parents=True, exist_ok=True)
    directory = Path(os.path.realpath(directory))
    if (directory / HIDDEN).exists():
        return _add(directory, programs, options, environ)
    options = replace(options, upper=options.upper or UPPERS[0])
    hidden = directory / HIDDEN
    hidden.mkdir()
    record: ContainerRecord | None = None
    try:
        record, program = _prepare(root, directory, options, environ, progress)
        with open_overlay(record) as overlay:
            paths = dict(_find(overlay, program, text, options.image) for text in programs)
        _check_free(directory, paths)
        settings = _settings(record, directory, program, options).with_programs(paths)
        replace_file(hidden / "settings", settings.to_bytes(), 0o644)
        _place(directory, paths)
    except BaseException:
        if record is not None:
            with contextlib.suppress(UnknownContainer):
                remove_container(record, force=True)
        remove_tree(hidden)
        raise
    return Wrapped(directory, settings)


def find_wrapped(directory: Path) -> Wrapped:
    """Return the commands of a directory. Raises CannotWrap: there are none."""
    directory = Path(os.path.realpath(directory))
    return Wrapped(directory, Settings.read(directory))


def iter_wrapped(root: Path) -> Iterator[Wrapped]:
    """Yield the commands that use the containers of a store. Those that were moved away are left out."""
    for record in Containers(root).iter_all():
        place = record.config.labels.get(LABEL)
        if place:
            with contextlib.suppress(CannotWrap):
                yield find_wrapped(Path(place))


def remove_wrapped(directory: Path, names: Sequence[str] = ()) -> None:
    """Remove commands, by default all, with their container and its upper.

    Raises:
        CannotWrap: there are none, or none of such a name.
        ContainerRunning: a program runs on the shared upper.
    """
    found = find_wrapped(directory)
    programs = found.settings.programs()
    for name in names:
        if name not in programs:
            raise CannotWrap(name, f"there is no wrapped program of that name in {found.directory}")
    left = {name: path for name, path in programs.items() if names and name not in names}
    if not left:
        with contextlib.suppress(UnknownContainer):
            remove_container(Containers(found.root).find(found.container))
    for name in names or programs:
        (found.directory / name).unlink(missing_ok=True)
    if left:
        settings = found.settings.with_programs(left)
        replace_file(found.directory / HIDDEN / "settings", settings.to_bytes(), 0o644)
        return
    remove_tree(found.directory / HIDDEN)
    with contextlib.suppress(OSError):  # other files are in it
        found.directory.rmdir()


def _add(directory: Path, programs: Sequence[str], options: WrapOptions, environ: Mapping[str, str]) -> Wrapped:
    """Add commands to those of a directory: all of them share its options."""
    found = find_wrapped(directory)
    if found.image != options.image:
        raise CannotWrap(str(directory), f"it has programs of {found.image}: use another directory")
    record = Containers(found.root).find(found.container)
    if missing := list(iter_missing(options, found.settings, record.config, environ)):
        raise CannotWrap(
            str(directory),
            f"its commands were made without {', '.join(missing)}: leave that out, use another directory, or remove "
            "its commands first",
        )
    with open_overlay(record) as overlay:
        program = make_program(record, lambda path: read_small_file(overlay, path), argv=["-"])
        paths = dict(_find(overlay, program, text, options.image) for text in programs)
    known = found.settings.programs()
    _check_free(directory, {name: path for name, path in paths.items() if name not in known})
    settings = found.settings.with_programs(known | paths)
    replace_file(directory / HIDDEN / "settings", settings.to_bytes(), 0o644)
    _place(directory, paths)
    return Wrapped(directory, settings)


def _prepare(
    root: Path, directory: Path, options: WrapOptions, environ: Mapping[str, str], progress: Progress
) -> tuple[ContainerRecord, Program]:
    """Make the container, hydrate its image and write the template."""
    hidden = directory / HIDDEN
    image, engine = options.image, engine_path()
    if options.relocatable:
        image = str(_own_bundle(root, image, hidden, progress))
        root = hidden / "store"
        for name in ("engine", "monitor"):
            shutil.copy(engine.with_name(name), hidden / name)
        engine = hidden / "engine"
    made = ContainerOptions(
        image=image,
        env=options.env,
        user=options.user,
        working_dir=options.working_dir,
        binds=options.binds,
        labels={LABEL: str(directory)},
        network=options.network or "host",
        confine=options.confine or "auto",
        need_command=False,
        to_run=True,
    )
    record = create_container(root, made, environ)
    try:
        view, hydrator = open_lower(record.root, record.config.chain)
        try:
            hydrator.hydrate_all(progress)
        finally:
            hydrator.close()
            view.close()
        template = make_template(record, directory, engine, shared=options.upper == "shared")
        replace_file(hidden / "template", template.pack(), 0o644)
        with open_overlay(record) as overlay:
            program = make_program(record, lambda path: read_small_file(overlay, path), argv=["-"])
        if options.relocatable:
            _let_others_read(hidden)
        os.sync()  # a power failure truncates no file that a start uses without a check
    except BaseException:
        remove_container(record, force=True)
        raise
    return record, program


def _own_bundle(root: Path, image: str, hidden: Path, progress: Progress) -> Path:
    """Write the image as a bundle next to the commands, or copy the bundle that it is."""
    from rootlay.store.bundle.format import is_bundle
    from rootlay.store.bundle.writer import write_bundle

    target = hidden / "image.rlay"
    if "/" in image and is_bundle(image):
        shutil.copy(image, target)
    else:
        store = ImageStore.open(root)
        write_bundle(store, store.image(image), target, progress)
    return target


def _let_others_read(tree: Path) -> None:
    """Let every user read what its owner can read: what a program may see is decided by the image's own modes."""
    for place, _, names in os.walk(tree):
        os.chmod(place, 0o755)
        for name in names:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                mode = os.stat(path).st_mode & 0o7777
                os.chmod(path, (mode & ~0o6000) | 0o444 | (_ANY_X if mode & _ANY_X else 0))


def _settings(record: ContainerRecord, directory: Path, program: Program, options: WrapOptions) -> Settings:
    place = directory / HIDDEN if options.relocatable else engine_path().parent
    identity, own = program.identity, dict(entry.partition("=")[::2] for entry in options.env if "=" in entry)
    variables = {name: text for name, text in program.env.items() if name not in {*OF_EACH_START, *own}} | own
    if not options.home:
        variables.setdefault("HOME", identity.home)
    stack = record.stack()
    shown = [name for name in SHOWN if getattr(options, name)]
    return Settings(
        (
            ("version", VERSION),
            ("image", options.image),
            ("root", _short(record.root, directory)),
            ("id", record.id),
            ("upper", options.upper),
            ("run", run_directory(record, directory)),
            ("upper-name", stack.upper),
            ("filter-name", record.bloom_of(stack).name),
            ("stack", _stack_text(record)),
            ("engine", _short(place / "engine", directory)),
            ("monitor", _short(place / "monitor", directory)),
            ("uid", str(identity.uid)),
            ("gid", str(identity.gid)),
            ("groups", ",".join(map(str, identity.groups))),
            ("directory", program.cwd),
            *((name, "1") for name in shown),
            *pairs_of("ro-bind", ("/etc/resolv.conf", "/etc/hosts")),
            *pairs_of("env", [f"{name}={text}" for name, text in variables.items()]),
            *pairs_of("unset", [name for name in _HIDDEN_VARIABLES if name not in variables]),
            *pairs_of("prepare", (sys.executable, "-P", "-E", "-m", "rootlay.vfs.wrap.prepare")),
        )
    )


def _short(path: Path, directory: Path) -> str:
    return os.fsdecode(relative(os.fsencode(path), directory))


def _stack_text(record: ContainerRecord) -> str:
    """Return what shows that the stack of uppers was not changed by a snapshot since."""
    with contextlib.suppress(FileNotFoundError):
        return (record.path / STACK_FILE).read_text(encoding="utf-8")
    return ""


def _find(overlay: Overlay, program: Program, text: str, image: str) -> tuple[str, str]:
    """Return the name of a command, and the path of its program inside."""
    name, sign, path = text.partition("=")
    path = path if sign else text
    name = name if sign else path.rpartition("/")[2]
    if not name or "/" in name or name in (".", "..", HIDDEN):
        raise CannotWrap(text, "not a name for a command: give NAME=PATH")
    found = program.env.get("PATH", DEFAULT_PATH).split(":")
    for place in [path] if "/" in path else [f"{where or '.'}/{path}" for where in found]:
        inside = os.path.normpath(os.path.join("/", place))
        with contextlib.suppress(OSError):
            mode = overlay.stat(inside).mode
            if mode & _ANY_X and not stat.S_ISDIR(mode):
                return name, inside
    raise CannotWrap(path, f"image {image} has no such program")


def _check_free(directory: Path, names: Mapping[str, str]) -> None:
    for name in names:
        if os.path.lexists(directory / name):
            raise CannotWrap(str(directory / name), "there is a file of that name: remove it, or give NAME=PATH")


def _place(directory: Path, names: Mapping[str, str]) -> None:
    for name in names:
        with replacing(directory / name) as staged:
            shutil.copyfile(engine_path().with_name("wrapper"), staged)
            os.chmod(staged, 0o755)
