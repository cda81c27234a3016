"""Image configs that lie about how their program is run: what `rootlay run` must do with each.

The expectation is Docker's behaviour (moby 27, runc 1.2), or one clear error where Docker has an obscure one: an exit
code, and words of the output or of the one line of the error.
"""

# ruff: noqa: E501 -- tables: one case is one line

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHOW = ["/bin/sh", "-c", 'echo "u=$(id -u):$(id -g) w=$PWD A=$A"']
GIANT = "x" * (200 << 10)  # more than the kernel takes as one string


@dataclass(frozen=True)
class Lie:
    """What the config says, and what comes of it."""

    name: str
    config: dict[str, Any]
    code: int
    words: str  # of standard output with code 0, else of the error


def lies() -> list[Lie]:
    """All cases. The config is that of a sound image but for the fields given."""
    cases: list[tuple[str, dict[str, Any], int, str]] = []
    for name, env, code, words in (
        ("no equals sign", ["A"], 0, "A=\n"), ("no name", ["=x", "A=1"], 0, "A=1\n"), ("empty", ["", "A=1"], 0, "A=1\n"),
        ("twice", ["A=1", "A=2"], 0, "A=2\n"), ("equals signs", ["A=b=c=d"], 0, "A=b=c=d\n"),
        ("not UTF-8", ["A=\udcff"], 0, "A=\udcff\n"), ("newline", ["A=1\n2"], 0, "A=1\n2\n"),
        ("NUL", ["A=\0b"], 125, "null byte"), ("giant", ["A=" + GIANT], 125, "rgument list too long"),
        ("loader's", ["LD_PRELOAD=/nowhere.so", "A=1"], 0, "A=1\n"),
        ("no list", {"A": "b"}, 25, "Env"), ("no text", [1], 25, "Env"), ("null", None, 0, "A=\n"),
    ):  # fmt: skip
        cases.append((f"Env: {name}", {"Env": env}, code, words))
    for user, code, words in (
        ("", 0, "u=0:0"), ("0:0", 0, "u=0:0"), ("0:0:0", 0, "u=0:0"), ("7", 0, "u=7:0"), ("7:8", 0, "u=7:8"), (":8", 0, "u=0:8"),
        ("user", 0, "u=1234:1235"), ("user:extra", 0, "u=1234:77"), ("nobody-knows", 125, "nobody-knows"),
        ("0:nobody-knows", 125, "nobody-knows"), ("-1", 125, "-1"), ("4294967295", 125, "4294967295"), ("2147483648", 125, "2147483648"),
        ("2147483647", 0, "u=2147483647:0"), ("9" * 5000, 125, "999"), ("²", 125, "²"), (" 0", 125, " 0"), ("0 ", 125, "0 "),
        ("us\ner", 125, "us\\ner"), ("../etc/passwd", 125, "passwd"), ("0\0", 125, "0\\x00"),
    ):  # fmt: skip
        cases.append((f"User: {user[:20]!r}", {"User": user}, code, words))
    for place, code, words in (
        ("", 0, "w=/ "), ("/", 0, "w=/ "), ("/new/deep", 0, "w=/new/deep "), ("/../../new", 0, "w=/new "), ("/f", 125, "/f"),
        ("/f/below", 125, "/f"), ("new", 125, "new"), ("../x", 125, "../x"), ("/loop", 125, "/loop"), ("/loop/x", 125, "/loop"),
        ("/abs", 0, "w=/"), ("//a//b/.", 0, "w=/a/b "), ("/" + "n" * 300, 125, "nnn"), ("/" + "n/" * 3000, 125, "n/n"), ("/a\0b", 125, "null byte"), ("/a b\n", 0, "w=/a b"),
    ):  # fmt: skip
        cases.append((f"WorkingDir: {place[:20]!r}", {"WorkingDir": place}, code, words))
    nothing: dict[str, Any] = {"Cmd": None, "Entrypoint": None}
    config: dict[str, Any]
    for name, config, code, words in (
        ("nothing", nothing, 125, "no command"), ("empty lists", {"Cmd": [], "Entrypoint": []}, 125, "no command"),
        ("empty text", {"Cmd": [""]}, 127, ""), ("NUL", {"Cmd": ["/bin/sh\0"]}, 125, "null byte"),
        ("not there", {"Cmd": ["/nowhere"]}, 127, "/nowhere"), ("not there in PATH", {"Cmd": ["nowhere"]}, 127, "nowhere"),
        ("a directory", {"Cmd": ["/etc"]}, 126, "/etc"), ("not executable", {"Cmd": ["/f"]}, 126, "/f"),
        ("no program", {"Cmd": ["/noise"]}, 126, "/noise"), ("a script of itself", {"Cmd": ["/self"]}, 126, "/self"),
        ("a loop", {"Cmd": ["/loop"]}, 126, "/loop"), ("giant", {"Cmd": ["/bin/echo", GIANT]}, 125, "rgument list too long"),
        ("out of the root", {"Cmd": ["../../../../bin/echo", "in"]}, 0, "in\n"),
        ("no list", {"Cmd": {"a": 1}}, 25, "Cmd"), ("no text", {"Cmd": [["x"]]}, 25, "Cmd"),
        ("one text", {"Cmd": "/bin/true"}, 25, "Cmd"), ("only an entrypoint", {"Cmd": None, "Entrypoint": ["/bin/echo", "e"]}, 0, "e\n"),
        ("entrypoint not there", {"Entrypoint": ["nowhere"]}, 127, "nowhere"), ("many", {"Cmd": ["/bin/true"] + ["x"] * 20_000}, 0, ""),
    ):  # fmt: skip
        cases.append((f"program: {name}", config, code, words))
    for name, config, code, words in (
        ("relative", {"Volumes": {"v": {}}}, 0, "u=0"), ("outside", {"Volumes": {"/../../v": {}}}, 0, "u=0"), ("empty", {"Volumes": {"": {}}}, 0, "u=0"),
        ("a file", {"Volumes": {"/f": {}}}, 125, "/f in the container is a file"), ("list", {"Volumes": ["/v"]}, 25, "Volumes"),
    ):  # fmt: skip
        cases.append((f"Volumes: {name}", config, code, words))
    for name, config, code, words in (
        ("no number", {"ExposedPorts": {"http": {}}}, 0, "u=0"), ("too high", {"ExposedPorts": {"99999/tcp": {}}}, 0, "u=0"),
        ("no protocol", {"ExposedPorts": {"80/": {}}}, 0, "u=0"), ("list", {"ExposedPorts": [80]}, 25, "ExposedPorts"),
        ("unknown", {"StopSignal": "SIGNOPE"}, 0, "u=0"), ("zero", {"StopSignal": "0"}, 0, "u=0"), ("high", {"StopSignal": "99"}, 0, "u=0"),
        ("a number", {"StopSignal": 9}, 25, "StopSignal"), ("text", {"Healthcheck": "x"}, 0, "u=0"),
        ("negative", {"Healthcheck": {"Test": ["CMD", "x"], "Interval": -5}}, 0, "u=0"), ("shell", {"Shell": []}, 0, "u=0"),
    ):  # fmt: skip
        cases.append((f"{next(iter(config))}: {name}", config, code, words))
    return [Lie(*case) for case in cases]
