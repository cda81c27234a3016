"""`rootlay python`: run a Python script of this machine, in this interpreter, with an image as its file system."""

from __future__ import annotations

from rootlay.cli.bundlestore import for_image
from rootlay.cli.container.programoptions import variables, working_directory
from rootlay.cli.container.runoptions import CREATE_OPTIONS
from rootlay.cli.spec import Argument, Context, UsageError, Values, Verb

SHARED = ("name", "env", "workdir", "user", "volume")
PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def action(values: Values, context: Context) -> int:
    from rootlay.cli.container.mountoptions import binds_of
    from rootlay.vfs.containers.create import ContainerOptions, create_container
    from rootlay.vfs.run.removal import remove_container

    words = _words(values)
    context = for_image(context, values.required("image"))
    name = values.text("name") or ""
    wanted = ContainerOptions(
        image=values.required("image"),
        name=name,
        env=variables(values),
        working_dir=working_directory(values),
        user=values.text("user"),
        binds=binds_of(values),
        make_sources=True,
        need_command=False,
    )
    record = create_container(context.root, wanted, context.environ)
    given = {entry.partition("=")[0] for entry in values.many("env")}
    inside = dict(entry.split("=", 1) for entry in record.config.env)
    env = {**context.environ, **{key: inside[key] for key in ("PATH", *given) if key in inside}}
    try:
        return _run([str(context.root), record.id, values.text("workdir") or "", *words], env)
    finally:
        if not name:
            remove_container(record, force=True, volumes=True)


def _words(values: Values) -> list[str]:
    import os

    words = list(values.many("command"))
    words = words[1:] if words[:1] == ["--"] else words
    if not words:
        raise UsageError("a script is needed: rootlay python [OPTIONS] IMAGE SCRIPT [ARGUMENT…]")
    if words[0] in ("-m", "-c"):
        if len(words) < 2:
            raise UsageError(f"{words[0]} needs a {'module' if words[0] == '-m' else 'line of code'}")
    elif not os.path.isfile(words[0]):
        raise UsageError(f"{words[0]}: no such script on this machine; to run a program of the image, use rootlay run")
    return words


def _run(words: list[str], env: dict[str, str]) -> int:
    """Run the script; return Docker's exit code. A terminal's signals reach the script directly; pass others on."""
    import signal
    import subprocess
    import sys

    passed_on = [getattr(signal, name) for name in PASSED_ON]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    command = [sys.executable, "-P", "-m", "rootlay.cli.pythonmain", *words]

    # A signal that arrives before there is a handler waits.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    try:
        process = subprocess.Popen(command, env=env, preexec_fn=restore)
        for number in passed_on:
            before[number] = signal.signal(number, lambda number, _: process.send_signal(number))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        code = process.wait()
    finally:
        restore()
    return code if code >= 0 else 128 - code


VERB = Verb(
    name="python",
    help="Run a Python script in this interpreter, with an image as its file system.",
    action=action,
    options=tuple(option for option in CREATE_OPTIONS if option.name in SHARED),
    arguments=(
        Argument("image", "Image: a name, an ID, the path of a bundle, or `host`."),
        Argument(
            "command", "Script and its arguments; -m MODULE and -c CODE work as for python.", required=False, many=True
        ),
    ),
    passes_on=True,
    exits="The script's exit code; 128 + n if signal n ended it; 125 an error in rootlay itself.",
    examples=(
        "rootlay python debian script.py --option /etc/os-release",
        'rootlay python -v "$PWD:/work" -w /work debian -m pytest',
        "rootlay python debian -c 'print(open(\"/etc/os-release\").read())'",
    ),
)
