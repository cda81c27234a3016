"""`-v`: where a bind appears in the container."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Rootlay


def test_a_targets_links_are_the_images(small: Rootlay, tmp_path: Path) -> None:
    """As with Docker: `-v X:/var/run/y`, where /var/run is a link to /run, is a bind at /run/y."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("bound\n")
    links = (
        "mkdir -p /real/sub; ln -s /real /absolute; ln -s real/sub /relative; ln -s . /real/again; echo x > /real/file"
    )
    small("run", "--name", "c", "small", "sh", "-c", f"{links}; ln -s file /real/link")
    small("commit", "c", "linked")
    for target, real in (
        ("/absolute/new", "/real/new"),
        ("/relative/a/b", "/real/sub/a/b"),
        ("/absolute/again/again/sub", "/real/sub"),
        ("/nowhere/a", "/nowhere/a"),
    ):
        script = f"cat {target}/f {real}/f; cd {target}; pwd -P; echo new > made"
        out = small.out("run", "--rm", "-v", f"{source}:{target}", "linked", "sh", "-c", script)
        assert out == f"bound\nbound\n{real}\n", target
        assert (source / "made").read_text() == "new\n"
        (source / "made").unlink()
    out = small.out("run", "--rm", "-v", f"{source}/f:/absolute/link:ro", "linked", "sh", "-c", "cat /real/file")
    assert out == "bound\n"
