"""Packages and extension modules of the image are imported; what they say of themselves are the image's names."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from rootlay.vfs import Container
from tests.vfs.hook.pointers import hooked_pointers

SITE = "/opt/inside"
NAMES = ("inside_package", "inside_extension")
INNER = "const char *inner(void) { return INNER; }\n"
EXTENSION = """
#define PY_SSIZE_T_CLEAN
#include <fcntl.h>
#include <unistd.h>

typedef struct _object PyObject;
typedef struct { long refs; void *type; void *init; long index; void *copy; const char *name, *doc; long size;
                 void *methods, *slots, *traverse, *clear, *free; } Def;
PyObject *PyModule_Create2(Def *, int);
int PyModule_AddStringConstant(PyObject *, const char *, const char *);
const char *inner(void);
static Def def = {1, 0, 0, 0, 0, "inside_extension", 0, -1, 0, 0, 0, 0, 0};

PyObject *PyInit_inside_extension(void)
{
    PyObject *module = PyModule_Create2(&def, 1013);
    static char text[100];
    int fd = open("/etc/motd", O_RDONLY);
    long n = read(fd, text, 99);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    PyModule_AddStringConstant(module, "read", text);
    PyModule_AddStringConstant(module, "inner", inner());
    return module;
}
"""


@pytest.fixture
def site(container: Container) -> Iterator[Container]:
    container.fs.makedirs(SITE + "/inside_package/sub")
    container.fs.writetext(SITE + "/inside_package/__init__.py", "from inside_package.sub import name\n")
    container.fs.writetext(
        SITE + "/inside_package/sub/__init__.py",
        "from pathlib import Path\n\nname = Path('/etc/motd').read_text()\n\n\ndef fail():\n    open('/not/there')\n",
    )
    container.fs.writetext(SITE + "/inside_package/data.txt", "data")
    yield container
    for name in [name for name in sys.modules if name.startswith(NAMES)]:
        del sys.modules[name]
    sys.path_importer_cache.pop(SITE, None)


def test_packages_have_the_images_names(site: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = importlib.import_module("importlib.resources")
    with site.activate():
        monkeypatch.syspath_prepend(SITE)
        package = importlib.import_module("inside_package")
        assert package.name == "welcome\n"
        assert package.__file__ == f"{SITE}/inside_package/__init__.py"
        assert package.sub.__spec__.origin == f"{SITE}/inside_package/sub/__init__.py"
        assert resources.files("inside_package").joinpath("data.txt").read_text() == "data"
        assert (Path(SITE) / "inside_package/__pycache__").is_dir() is not sys.dont_write_bytecode
        with pytest.raises(FileNotFoundError) as caught:
            package.sub.fail()
        assert caught.value.filename == "/not/there"
        said = "".join(traceback.format_exception(caught.value))
        assert f'File "{SITE}/inside_package/sub/__init__.py", line 7, in fail' in said
        assert "open('/not/there')" in said
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("inside_package.other")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_extension_modules_and_the_libraries_beside_them(site: Container, tmp_path: Path) -> None:
    library, extension = tmp_path / "libinner-of-the-image.so", tmp_path / "inside_extension.abi3.so"
    (tmp_path / "inner.c").write_text(INNER)
    (tmp_path / "extension.c").write_text(EXTENSION)
    flags = ["gcc", "-shared", "-fPIC", "-O1"]
    subprocess.run(
        [*flags, '-DINNER="of the image"', "-o", library, f"-Wl,-soname={library.name}", tmp_path / "inner.c"],
        check=True,
    )
    command: list[str | Path] = [*flags, "-o", extension, tmp_path / "extension.c", library, "-Wl,-rpath,$ORIGIN/libs"]
    subprocess.run(command, check=True)
    site.fs.makedirs(f"{SITE}/libs")
    site.fs.writebytes(f"{SITE}/libs/{library.name}", library.read_bytes())
    site.fs.writebytes(f"{SITE}/{extension.name}", extension.read_bytes())
    library.unlink()
    extension.unlink()
    code = f"""
import sys
from pathlib import Path
from rootlay.vfs import Store
with Store.open({str(site.record.root)!r}).container({site.id!r}) as container:
    for _ in range(2):
        with container.activate():
            sys.path.insert(0, {SITE!r})
            import inside_extension
            Path("/etc/motd").write_text("changed\\n")
            assert inside_extension.read == "welcome\\n", inside_extension.read
            assert inside_extension.inner == "of the image"
            assert inside_extension.__file__ == "{SITE}/{extension.name}", inside_extension.__file__
            del sys.path[0]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert hooked_pointers() == 0


PLUGIN = "const char *plugin(void) { return PLUGIN; }\n"
LOADER = """
#include <dlfcn.h>

const char *loaded(const char *name)
{
    void *handle = dlopen(name, RTLD_NOW);
    const char *(*plugin)(void) = handle ? (const char *(*)(void))dlsym(handle, "plugin") : 0;
    return plugin ? plugin() : handle ? "no such function" : dlerror();
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_libraries_by_their_bare_names(container: Container, tmp_path: Path) -> None:
    """As ctypes.util.find_library gives them, and as a library loads its plugins: whether they have a SONAME or not."""
    (tmp_path / "plugin.c").write_text(PLUGIN)
    (tmp_path / "loader.c").write_text(LOADER)
    flags = ["gcc", "-shared", "-fPIC", "-O1"]

    def build(name: str, source: str, *more: str) -> bytes:
        subprocess.run([*flags, "-o", tmp_path / name, tmp_path / source, *more], check=True)
        return (tmp_path / name).read_bytes()

    container.fs.makedirs("/opt/app/plugins")
    container.fs.makedirs("/usr/local/lib", recreate=True)
    for directory, name, *more in (
        ("/usr/local/lib", "libusual-of-the-image.so.1", "-Wl,-soname,libusual-of-the-image.so.1"),
        ("/opt/app/plugins", "libplugin-of-the-image.so"),
    ):
        container.fs.writebytes(f"{directory}/{name}", build(name, "plugin.c", f'-DPLUGIN="{directory}"', *more))
    loader = build("libloader.so", "loader.c", "-Wl,-rpath,$ORIGIN/plugins")
    container.fs.writebytes("/opt/app/libloader.so", loader)
    code = f"""
import ctypes
from rootlay.vfs import Store
with Store.open({str(container.record.root)!r}).container({container.id!r}) as container:
    with container.activate():
        usual = ctypes.CDLL("libusual-of-the-image.so.1")
        usual.plugin.restype = ctypes.c_char_p
        assert usual.plugin() == b"/usr/local/lib"
        loader = ctypes.CDLL("/opt/app/libloader.so")
        loader.loaded.restype = ctypes.c_char_p
        assert loader.loaded(b"libplugin-of-the-image.so") == b"/opt/app/plugins"
        assert loader.loaded(b"libusual-of-the-image.so.1") == b"/usr/local/lib"
        assert b"libnone-of-the-image.so: cannot open" in loader.loaded(b"libnone-of-the-image.so")
        assert loader.loaded(b"libm.so.6") == b"no such function"
    assert usual.plugin() == b"/usr/local/lib"
    assert b"cannot open" in loader.loaded(b"libother-of-the-image.so")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
