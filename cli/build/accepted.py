"""The options of `docker build` and `docker buildx build` that do nothing here, or are refused, with the reason."""

from __future__ import annotations

from rootlay.cli.spec import Kind, Option

_LIMIT = "a RUN has the limits of the caller; set them for the whole build: `systemd-run --user --scope -p …`"
_OF_CPU: tuple[tuple[str, Kind], ...] = (
    *((name, "int") for name in ("cpu-period", "cpu-quota", "cpu-shares")),
    *((name, "text") for name in ("cpuset-cpus", "cpuset-mems")),
)


def _accepted(flags: tuple[str, ...], kind: Kind, text: str, reason: str, metavar: str = "") -> Option:
    return Option(flags, kind, text, metavar, accepted=reason)


def _refused(flags: tuple[str, ...], kind: Kind, text: str, reason: str, metavar: str = "") -> Option:
    return Option(flags, kind, text, metavar, refused=reason)


ACCEPTED_OPTIONS = (
    _accepted(("--load",), "flag", "Keep the image in the store.", "it always is, unless -o says otherwise"),
    Option(
        ("--rm",), "flag", "Remove intermediate containers (default: true).", default=True,
        accepted="containers of RUN are always removed; --keep-failed keeps that of a failed one",
    ),
    _accepted(("--force-rm",), "flag", "Remove containers of failed steps.", "they are removed without --keep-failed"),
    _accepted(("--compress",), "flag", "Compress the context.", "the context is read in place"),
    _accepted(("--builder",), "text", "Builder to use.", "there is one builder", "NAME"),
    _accepted(("--allow",), "many", "Allow more rights.", "a RUN has the rights of the caller", "RIGHT"),
    _accepted(("--cgroup-parent",), "text", "Parent cgroup of RUN.", "a RUN stays in the caller's cgroup", "CGROUP"),
    _accepted(("--shm-size",), "text", "Size of /dev/shm.", "/dev/shm is the machine's", "BYTES"),
    _accepted(("--ulimit",), "many", "Limits of RUN.", "a RUN has the limits of the caller", "LIMIT"),
    _accepted(
        ("--security-opt",), "many", "Security options.",
        "no-new-privileges always holds, and the filter of system calls is the engine's own", "OPTION",
    ),
    Option(
        ("--isolation",), "text", "Isolation.", "KIND", accepted="there is one kind: the engine",
        refused="it exists for Windows only; leave it out", takes=("default",),
    ),
    Option(
        ("--disable-content-trust",), "flag", "Skip the verification of signatures (default: true).", default=True,
        accepted="images are verified by their digests",
        refused="signatures of content trust are not verified; pull by digest: NAME@sha256:…",
    ),
    _refused(("--squash",), "flag", "Squash the new layers.", "use -o type=tar and `rootlay import` for one layer"),
    _refused(("-m", "--memory"), "text", "Limit of memory.", _LIMIT, "BYTES"),
    _refused(("--memory-swap",), "text", "Limit of memory and swap.", _LIMIT, "BYTES"),
    *(
        _refused(("-c", f"--{name}") if name == "cpu-shares" else (f"--{name}",), kind, "Limit of CPUs.", _LIMIT, "N")
        for name, kind in _OF_CPU
    ),
)  # fmt: skip
