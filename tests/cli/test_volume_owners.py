"""Owners and modes in volumes: a script in a volume and in the container's own directory gives the same answers."""

from __future__ import annotations

import os

import pytest

from tests.cli.conftest import Rootlay

SCRIPTS = {
    "chown of files, directories and links": (
        "mkdir d; echo x > d/f; ln -s f d/l; mkfifo d/p; chown 999:998 d d/f d/p; chown -h 997:996 d/l; chmod 700 d; "
        "chmod 640 d/f"
    ),
    "as another user": 'chown 1000:1000 .; su() { setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "$1"; }; '
    "su 'mkdir a; echo x > a/f; ln -s f a/l; mkfifo a/p; chmod 600 a/f; chmod 500 a'",
    "access is by the recorded mode": (
        "echo secret > s; chmod 600 s; mkdir closed; echo x > closed/f; chmod 700 closed; echo y > open; "
        "chmod 644 open; "
        "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c "
        "'cat s; cat closed/f; cat open; echo no > open; touch new; rm open; mkdir d; chmod 777 s; chown 1000 s; true' "
        "2>&1 | sed 's/^[^:]*: //'"
    ),
    "set-id bits and sticky directories": (
        "echo x > f; chmod 4755 f; chown 5:6 f; echo y > g; chown 5:6 g; chmod 6711 g; mkdir s; chown 0:77 s; "
        "chmod 2775 s; echo z > s/in; mkdir s/sub; mkdir t; chmod 1777 t; echo q > t/root; "
        "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'rm -f t/root; echo w > t/mine; mv t/root t/x' "
        "2>&1 | sed 's/^[^:]*: //'"
    ),
    "files without permission for the owner": (
        "echo x > f; chmod 0 f; cat f; echo more >> f; mkdir d; chmod 0 d; ls d; touch d/in; "
        "setpriv --reuid 1000 --regid 1000 --clear-groups sh -c 'cat f; ls d' 2>&1 | sed 's/^[^:]*: //'"
    ),
    "renamed and replaced links": (
        "ln -s a one; chown -h 10:11 one; mv one two; ln -s b three; mv -T two three; mkfifo p; chown 12 p; mv p q; "
        "rm q; mkfifo q; echo f > file; mv -f file three; ln -s z file"
    ),
    "a descriptor's file": (
        "echo x > f; exec 3>>f; rm f; chown 5:6 /proc/self/fd/3 || true; exec 3>&-; "
        "echo a > g; exec 4<g; chown 7:8 /proc/self/fd/4; chmod 604 /proc/self/fd/4"
    ),
    "copies that keep owners": (
        "mkdir a; echo x > a/f; chown 3:4 a/f; ln -s f a/l; chown -h 5:6 a/l; chmod 440 a/f; cp -a a b; "
        "tar -cf t.tar a; mkdir c; tar -xpf t.tar -C c; rm t.tar"
    ),
}
LIST = "find . -printf '%p %y %m %U:%G %l\\n' | LC_ALL=C sort"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_volume_behaves_as_the_containers_own_directory(debian: Rootlay, name: str) -> None:
    said = {}
    for place in ("/own", "/vol"):
        script = f"mkdir -p {place}; cd {place}; {{ {SCRIPTS[name]}; }} 2>&1; {LIST}"
        said[place] = debian.out("run", "--rm", "-v", f"{os.urandom(4).hex()}:/vol", "debian", "bash", "-c", script)
    assert said["/vol"] == said["/own"]


def test_owners_persist_and_are_seen_by_the_next_container_of_any_user(debian: Rootlay) -> None:
    write = "chown 999:998 /v; echo x > /v/f; chown 33:34 /v/f; chmod 600 /v/f; ln -s f /v/l; chown -h 7:8 /v/l"
    debian("run", "--rm", "-v", "kept:/v", "debian", "bash", "-c", write)
    read = "stat -c '%u:%g %a' /v /v/f; stat -c %u:%g /v/l"
    for options in ((), ("-u", "999"), ("-u", "1000:1000")):
        out = debian.out("run", "--rm", *options, "-v", "kept:/v", "debian", "bash", "-c", read)
        assert out == "999:998 755\n33:34 600\n7:8\n", options
    made = debian.out(
        "run", "--rm", "-u", "999:998", "-v", "kept:/v", "debian", "bash", "-c", "> /v/n; stat -c %u:%g /v/n"
    )
    assert made == "999:998\n"


def test_the_copy_of_the_images_content_keeps_owners(debian: Rootlay) -> None:
    make = "mkdir -p /d/s; echo x > /d/s/f; chown 999:999 /d /d/s/f; chmod 700 /d; ln -s f /d/s/l; chown -h 5:6 /d/s/l"
    debian("run", "--name", "c", "debian", "bash", "-c", make)
    debian("commit", "c", "made")
    debian("rm", "c")
    read = f"cd /d; {LIST}"
    image = debian.out("run", "--rm", "made", "bash", "-c", read)
    assert debian.out("run", "--rm", "-v", "new:/d", "made", "bash", "-c", read) == image
    assert "999:999" in image


def test_programs_do_not_see_the_records(debian: Rootlay) -> None:
    script = (
        "import os; os.chdir('/v'); open('f', 'w').close(); os.chown('f', 5, 6); os.symlink('f', 'l'); "
        "os.lchown('l', 7, 8); os.setxattr('f', 'user.mine', b'1'); fd = os.open('f', os.O_RDONLY); "
        "print(os.listxattr('f'), os.listxattr(fd), os.listxattr('.'))\n"
        "for call in (lambda: os.getxattr('f', 'user.rootlay.record'), "
        "lambda: os.setxattr('f', 'user.rootlay.record', b'u=9'), "
        "lambda: os.removexattr('f', 'user.rootlay.record')):\n"
        "    try:\n        call()\n    except OSError as error:\n        print(error.errno)\n"
        "print(os.stat('f').st_uid)"
    )
    out = debian.out("run", "--rm", "-v", "seen:/v", "debian", "python3", "-c", script)
    assert out == "['user.mine'] ['user.mine'] []\n61\n1\n61\n5\n"


def test_a_tmpfs_has_owners_too(debian: Rootlay) -> None:
    script = "chown 5:6 /t; > /t/f; chown 7:8 /t/f; chmod 600 /t/f; stat -c '%u:%g %a' /t /t/f"
    out = debian.out("run", "--rm", "--tmpfs", "/t", "debian", "bash", "-c", script)
    assert out == "5:6 1777\n7:8 600\n"


def test_a_volume_of_an_earlier_version_shows_its_files_as_the_callers(debian: Rootlay) -> None:
    debian("volume", "create", "old")
    place = debian.root / "volumes/old/_data"
    os.removexattr(place, "user.rootlay.record")
    (place / "f").write_text("x")
    out = debian.out("run", "--rm", "-u", "77:78", "-v", "old:/v", "debian", "stat", "-c", "%u:%g", "/v/f")
    assert out == "77:78\n"


def test_a_removed_volume_leaves_nothing(debian: Rootlay) -> None:
    debian("run", "--rm", "-v", "shut:/v", "debian", "bash", "-c", "mkdir /v/d; > /v/d/f; chmod 0 /v/d /v/d/f")
    debian("volume", "rm", "shut")
    assert not (debian.root / "volumes/shut").exists()
