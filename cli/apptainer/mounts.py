"""What of the host a program sees: Apptainer's defaults, --bind, --mount, --home, --scratch and --contain.

1. By default: the home directory, /tmp, /var/tmp and the working directory; /proc, /sys and /dev always.
2. With --contain these four are new empty directories (of --workdir, if given), and the working directory is not shown;
   a home that --home names is.
3. A target that the user names twice keeps the last; one that is a default gives way.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from rootlay.cli.container.mountforms import parse_mount
from rootlay.cli.spec import UsageError, Values
from rootlay.store.containers.record import Bind
from rootlay.store.model.value import value

TEMPORARY = ("/tmp", "/var/tmp")
_NO_CWD = frozenset("/ /etc /bin /mnt /usr /var /opt /sbin /lib /lib64".split())
"""Working directories that Apptainer does not show: the image has its own."""


@value
class Place:
    """The caller's directories: the home on the host and inside, the working directory (empty: removed)."""

    home: str
    inside: str
    cwd: str


def place_of(values: Values, environ: Mapping[str, str], *, fakeroot: bool) -> Place:
    """Return the directories. Raises UsageError."""
    home = environ.get("HOME") or os.path.expanduser("~")
    inside = "/root" if fakeroot else home
    if text := values.text("home"):
        home, sign, inside = text.partition(":")
        home = os.path.abspath(os.path.expanduser(home))
        inside = inside if sign else home
        if not os.path.isdir(home):
            raise UsageError(f"--home {text}: {home} is not a directory: make it first")
    if not inside.startswith("/"):
        raise UsageError(f"--home {inside[:80]}: expected an absolute path")
    try:
        cwd = os.getcwd()
    except FileNotFoundError:
        cwd = ""
    return Place(home, os.path.normpath(inside), cwd)


def binds_of(values: Values, place: Place) -> dict[str, Bind]:
    """Return the binds by their targets. Raises UsageError."""
    found: dict[str, Bind] = {}
    contained = values.flag("contain") or values.flag("containall") or values.flag("compat")
    left_out = {name for text in values.many("no_mount") for name in text.split(",")}
    if contained:
        _contained(found, values, place, left_out)
    else:
        _usual(found, values, place, left_out)
    top = values.text("workdir")
    for target in _split(values.many("scratch")):
        if not target.startswith("/"):
            raise UsageError(f"--scratch {target[:80]}: expected an absolute path")
        host = f"{top}/scratch{os.path.normpath(target)}"
        _add(found, Bind(_made(host), target) if top else Bind.empty(target))
    for text in _bind_texts(values.many("bind")):
        _add(found, parse_bind(text))
    for text in values.many("mount"):
        bind = parse_mount(text)
        if bind.kind == "bind" and not os.path.exists(bind.host):
            raise UsageError(f"--mount {text}: {bind.host} does not exist on the host")
        _add(found, bind)
    return found


def _usual(found: dict[str, Bind], values: Values, place: Place, left_out: set[str]) -> None:
    for path in TEMPORARY if "tmp" not in left_out else ():
        if os.path.isdir(path):
            _add(found, Bind(path, path))
    shown = not (values.flag("no_home") or "home" in left_out)
    if shown and os.path.isdir(place.home) and place.inside != "/":
        _add(found, Bind(place.home, place.inside))
    covered = any(_is_below(place.cwd, bind.host) and bind.host == bind.target for bind in found.values())
    if "cwd" not in left_out and place.cwd and place.cwd not in _NO_CWD and not covered:
        _add(found, Bind(place.cwd, place.cwd))


def _contained(found: dict[str, Bind], values: Values, place: Place, left_out: set[str]) -> None:
    top = values.text("workdir")
    names = {"/tmp": "tmp", "/var/tmp": "var_tmp"}
    for path in TEMPORARY if "tmp" not in left_out else ():
        _add(found, Bind(_made(f"{top}/{names[path]}"), path) if top else Bind.empty(path))
    if values.flag("no_home") or "home" in left_out or place.inside == "/":
        return
    if values.text("home"):
        _add(found, Bind(place.home, place.inside))
    else:
        _add(found, Bind(_made(f"{top}/home"), place.inside) if top else Bind.empty(place.inside))


def parse_bind(text: str) -> Bind:
    """Parse `SRC[:DEST[:OPTION,…]]`. Raises UsageError."""
    source, _, rest = text.partition(":")
    target, _, options = rest.partition(":")
    unknown = set(filter(None, options.split(","))) - {"ro", "rw"}
    if unknown:
        raise UsageError(f"--bind {text}: option {min(unknown)[:40]}: expected ro or rw")
    host = os.path.abspath(os.path.expanduser(source)) if source else ""
    target = target or host
    if not host or not target.startswith("/"):
        raise UsageError(f"--bind {text}: expected SRC[:DEST[:ro]], with an absolute DEST")
    if not os.path.exists(host):
        raise UsageError(f"--bind {text}: {host} does not exist on the host")
    return Bind(host, target, "ro" in options.split(","))


def _bind_texts(texts: Iterable[str]) -> Iterator[str]:
    """Yield each bind: commas are between binds, and between the options of one."""
    for text in texts:
        found: list[str] = []
        for word in text.split(","):
            if word in ("ro", "rw") and found:
                found[-1] += f",{word}"
            elif word:
                found.append(word)
        yield from found


def _split(texts: Iterable[str]) -> list[str]:
    return [word for text in texts for word in text.split(",") if word]


def _add(found: dict[str, Bind], bind: Bind) -> None:
    target = os.path.normpath(bind.target)
    if target == "/":
        raise UsageError(f"{bind.host or bind.source}: the target / is the image itself: bind a directory in it")
    found[target] = bind


def _is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _made(path: str) -> str:
    found = os.path.abspath(path)
    os.makedirs(found, exist_ok=True)
    return found
