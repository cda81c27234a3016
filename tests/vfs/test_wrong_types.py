"""What of a wrong type is given to the public API is told by one clear error, and changes nothing."""

from __future__ import annotations

import inspect
import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rootlay.store.model.errors import RootlayError
from rootlay.vfs import Bind, Container, Image, Store
from rootlay.vfs.api.arguments import KINDS

BAD: tuple[Any, ...] = (5, 1.5, True, b"bytes", "", "a\0b", "\udcff", [], ["a", 3], {}, {"a": 5}, ("x",), object(), len)
TOLD = (TypeError, ValueError, RootlayError, OSError, LookupError)
GIVEN: dict[str, Any] = {
    "args": ["true"], "snapshot": "s", "out": io.BytesIO(), "files": {}, "number": 0, "reference": "x",
    "path": "/nowhere", "context": "/nowhere", "stored": None, "root": "/nowhere",
}  # fmt: skip

SKIPPED = (
    *((Image, "of"), (Image, "remove"), (Container, "remove")),  # for the store itself; truth values
    *((Store, "pull"), (Store, "push"), (Store, "login"), (Store, "logout")),  # test_store_api.py: they need a registry
)


@pytest.fixture(scope="module")
def image(small_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return Store.open(tmp_path_factory.mktemp("types") / "store").import_rootfs(small_tree, "small")


def parameters() -> Iterator[tuple[type, str, str]]:
    for cls in (Store, Image, Container):
        for name, member in vars(cls).items():
            plain = member.__func__ if isinstance(member, classmethod) else member
            if name.startswith("_") or not inspect.isfunction(plain) or (cls, name) in SKIPPED:
                continue
            for parameter in list(inspect.signature(plain).parameters.values())[1:]:
                if parameter.kind != parameter.VAR_KEYWORD:
                    yield cls, name, parameter.name


def call(target: Any, image: Image, method: str, wrong: str, given: object) -> None:
    bound: Callable[..., object] = getattr(target, method)
    named, rest = {}, []
    fixed = {**GIVEN, "before": image, "after": image}
    if method == "ensure":
        fixed["reference"] = "small"  # an image that is here: no registry is asked
    for parameter in inspect.signature(bound).parameters.values():
        if parameter.name == wrong and parameter.kind == parameter.VAR_POSITIONAL:
            rest = [given]
        elif parameter.name == wrong:
            named[wrong] = given
        elif parameter.default is parameter.empty and parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            named[parameter.name] = fixed[parameter.name]
    result = bound(*named.values(), *rest) if rest else bound(**named)
    if isinstance(result, subprocess.Popen):
        result.wait()
    elif hasattr(result, "close"):
        result.close()


@pytest.mark.parametrize(("cls", "method", "wrong"), list(parameters()))
def test_each_argument_of_each_public_method(
    cls: type, method: str, wrong: str, image: Image, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(image.root / "tmp" if (image.root / "tmp").is_dir() else image.root)
    (plain,) = [getattr(cls, method)]
    annotation = str(inspect.signature(plain).parameters[wrong].annotation)
    known = all(part in KINDS for part in ([annotation] if annotation in KINDS else annotation.split(" | ")))
    for given in BAD:
        if given is len and annotation == "Progress":
            continue  # a callable: that it takes other arguments is found at its first call
        store = Store.open(image.root)
        with image.container() as c:
            target = {Store: store, Image: image, Container: c}[cls]
            if (cls, method) in ((Image, "remove"), (Container, "remove")):
                continue
            try:
                call(target, image, method, wrong, given)
            except TypeError as error:
                meant = known and not ("str" in annotation and isinstance(given, str))
                if meant and wrong not in str(error):
                    raise
            except TOLD:
                pass
            assert c.diff() == [] or method in ("popen", "run")  # a missing working directory is made


def test_options_and_binds_are_checked_too(image: Image, tmp_path: Path) -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("hostname", {"hostname": 5}),
        ("labels", {"labels": {"a": 1}}),
        ("there is no option 'colour'", {"colour": "red"}),
        ("host", {"binds": [Bind(5, "/x")]}),  # type: ignore[arg-type]
        ("binds", {"binds": ["/a:/b"]}),
        ("binds", {"binds": Bind("/a", "/b")}),
        ("env", {"env": {"A": 1}}),
        ("env", {"env": ["A=1"]}),
    ]
    for word, options in wrong:
        with pytest.raises(TypeError, match=word):
            image.container(**options)
    with pytest.raises(TypeError, match=r"Store\.build: there is no option 'color'"):
        Store.open(image.root).build(tmp_path, color=1)  # type: ignore[call-arg]


def test_the_message_names_argument_expectation_and_what_was_given(image: Image) -> None:
    with image.container() as c:
        with pytest.raises(TypeError) as caught:
            c.run("true")
        assert str(caught.value) == "Container.run: args is a sequence of strings or paths, not str: 'true'"
        with pytest.raises(TypeError, match=r"^Container\.activate: through is a sequence of strings or paths"):
            c.activate(through="/usr")  # it would be taken letter by letter
        asked: tuple[Any, ...] = (c.fsspec.info, c.fsspec.rm_file, c.fsspec.mkdir)
        for ask in asked:
            with pytest.raises(TypeError, match="a path is a string, not int: 5"):
                ask(5)
        for name in (None, 5, ["a"]):
            with pytest.raises(TypeError, match="name"):
                c.overlay.getxattr("/etc", name)  # type: ignore[arg-type]


def test_what_is_meant_clearly_is_taken(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths where subprocess takes them, numbers of users, None for a default."""
    (tmp_path / "f").write_text("bound")
    monkeypatch.chdir(tmp_path)
    with image.container(None, binds=[Bind(".", "mnt/x")], user=1234, cwd=Path("/tmp"), env=None) as c:  # type: ignore[arg-type]
        monkeypatch.chdir("/")  # a bind means what it meant
        done = c.run(["cat", Path("/mnt/x/f")], capture_output=True, cwd=Path("/usr"), user=0, env=None)
        assert done.stdout == b"bound"
        assert c.run(["id", "-u"], capture_output=True).stdout == b"1234\n"
        with c.activate(cwd=Path("/etc"), user=1234, through=[tmp_path]):
            assert Path("motd").read_text() == "welcome\n"
    with pytest.raises(ValueError, match="root is empty"):
        Store.open("")


def test_the_element_of_a_wrong_type_is_named(image: Image) -> None:
    wrong: Any = {"a": "b", "n": 1}
    with pytest.raises(TypeError, match=r"env is a mapping of strings to strings, but env\['n'\] is int: 1"):
        image.container(env=wrong)
    mixed: Any = [Bind("/tmp", "/x"), "/tmp"]
    with pytest.raises(TypeError, match=r"binds is a sequence of Bind, but binds\[1\] is str: '/tmp'"):
        image.container(binds=mixed)
