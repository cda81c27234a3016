"""What a minimal Debian image is used for: packages, git, Python, C, whole trees."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from tests.programs.conftest import HERE, Machine


def test_tar_as_root_into_a_bind(debian: Machine, tmp_path: Path) -> None:
    script = "mkdir /t; echo x > /t/f; chown 7:8 /t/f; tar -C / -cf /t.tar t"
    script += "; tar -C /out -xf /t.tar; stat -c %s /out/t/f"
    assert debian.sh(script, "-v", f"{tmp_path}:/out") == "2\n"
    assert (tmp_path / "t" / "f").stat().st_uid == os.geteuid() or os.geteuid() == 0


def test_chown_on_a_read_only_bind_fails(debian: Machine, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert "no" in debian.sh("chown 7:8 /out/f 2>/dev/null || echo no", "-v", f"{tmp_path}:/out:ro")


def test_dpkg_finds_every_file_as_installed(debian: Machine) -> None:
    lines = debian.sh("dpkg --verify || true", needs="dpkg").splitlines()
    assert [line for line in lines if "/usr/share/" not in line] == []


def test_a_package_is_made_installed_and_removed(debian: Machine) -> None:
    script = """
    mkdir -p /p/DEBIAN /p/opt/probe; echo data > /p/opt/probe/f
    printf 'Package: probe\\nVersion: 1\\nArchitecture: all\\n' > /p/DEBIAN/control
    printf 'Maintainer: a <a@b>\\nDescription: d\\n' >> /p/DEBIAN/control
    printf '#!/bin/sh\\nset -e\\nchown games:games /opt/probe/f\\nldconfig\\n' > /p/DEBIAN/postinst
    chmod 755 /p/DEBIAN/postinst; dpkg-deb -b /p /probe.deb >/dev/null
    dpkg -i /probe.deb >/dev/null; stat -c '%U %G' /opt/probe/f; dpkg --verify probe
    dpkg -P probe >/dev/null 2>&1; test ! -e /opt/probe; echo gone
    """
    assert debian.sh(script, needs="dpkg") == "games games\ngone\n"


def test_static_ldconfig_acts_on_the_image(debian: Machine) -> None:
    host = Path("/etc/ld.so.cache")
    before = host.stat().st_mtime_ns if host.exists() else None
    assert debian.sh("rm -f /etc/ld.so.cache; ldconfig; ldconfig -p | grep -c 'libc.so.6 '").strip() != "0"
    assert (host.stat().st_mtime_ns if host.exists() else None) == before


@pytest.mark.parametrize("patch", [(), ("--no-patch",)], ids=["patched", "trapped"])
def test_git_every_day(debian: Machine, patch: tuple[str, ...]) -> None:
    script = """
    mkdir /r; cd /r; git init -q -b main .; git config user.email a@b; git config user.name n
    for i in $(seq 300); do mkdir -p d$((i % 10)); echo $i > d$((i % 10))/f$i; done
    git add .; git commit -qm one; git checkout -qb b; git mv d1 e1; git commit -qam move; git checkout -q main
    git merge -q b; echo x >> d2/f2; git stash -q; git stash pop -q; git commit -qam two; git rebase -q HEAD~1
    git worktree add -q /w b; git -C /w status --porcelain; git gc -q; git fsck --no-dangling 2>&1
    git clone -q /r /c; git clone -q file:///r /d; diff -r --exclude=.git /c /d; git -C /d log --oneline | wc -l
    git rm -rq d3; git clean -fdxq; git reset -q --hard; git status --porcelain
    """
    assert debian.sh(script, *patch, needs="git") == "3\n"


def test_python_pool_sqlite_and_virtual_environment(debian: Machine) -> None:
    script = """
    cat > /t.py <<'P'
import multiprocessing, sqlite3
def work(i):
    db = sqlite3.connect("/x.db", timeout=60)
    for _ in range(20):
        db.execute("insert into t values (?)", (i,)); db.commit()
    return i
if __name__ == "__main__":
    db = sqlite3.connect("/x.db")
    print(db.execute("pragma journal_mode=wal").fetchone()[0])
    db.execute("create table t (a)"); db.commit()
    with multiprocessing.Pool(4) as pool:
        print(sum(pool.map(work, range(8))))
    print(db.execute("select count(*) from t").fetchone()[0])
P
    python3 /t.py; python3 -m venv --without-pip /v; /v/bin/python -c 'import sys; print(sys.prefix)'
    """
    assert debian.sh(script, needs="python3") == "wal\n28\n160\n/v\n"


def test_make_and_gcc(debian: Machine) -> None:
    if not debian.sh("ls /usr/lib/x86_64-linux-gnu/crt1.o 2>/dev/null || true"):
        pytest.skip("the image has no libc6-dev")
    script = r"""
    mkdir /c; cd /c; for i in $(seq 30); do echo "int f$i(void){return $i;}" > f$i.c; done
    echo 'int f30(void);int main(void){return f30();}' > main.c
    printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' > Makefile
    make -s -j4; ./prog || echo $?; gcc -static -o s *.o; ./s || echo $?; make -q; touch f1.c; make -q || echo stale
    """
    assert debian.sh(script, needs="gcc make") == "30\n30\nstale\n"


def test_usr_is_copied_compared_and_removed(debian: Machine) -> None:
    script = """
    cp -a /usr /a; diff -r --no-dereference /usr /a; mkdir /b; tar -C / -cf - usr | tar -C /b -xpf -
    diff -r --no-dereference /usr /b/usr; tar -C /b -cf - usr | tar -C / -df -
    for t in usr a b/usr; do (cd /$t; find . -printf '%p %y %m %U %G %T@ %l\\n' | sort | md5sum); done | uniq | wc -l
    rm -r /a /b /usr; test ! -e /usr; echo *
    """
    out = debian.sh(script, needs="diff tar find").splitlines()
    assert out[0] == "1", "modes, owners, times and links are kept"
    assert "usr" not in out[1].split()
    assert "etc" in out[1].split()


def test_perl(debian: Machine) -> None:
    out = debian.sh("perl /library.pl", "-v", f"{HERE / 'library.pl'}:/library.pl:ro", needs="perl")
    assert out == "found\nin\nlocked\nsh\n3\nq 40960 same\nLinux root\n"


def test_a_large_git_repository_is_cloned_and_collected(debian: Machine) -> None:
    script = r"""
    cat > /stream.py <<'P'
print("commit refs/heads/main\ncommitter n <a@b> 1 +0000\ndata 0")
for i in range(3000):
    text = f"file {i}\n" * (i % 40 + 1)
    print(f"M 644 inline d{i % 50}/e{i % 7}/f{i}\ndata {len(text)}\n{text}")
for n in range(2000):
    text = f"commit {n}\n"
    print(f"commit refs/heads/main\ncommitter n <a@b> {n + 2} +0000\ndata 0")
    print(f"M 644 inline d{n % 50}/e{n % 7}/g{n % 900}\ndata {len(text)}\n{text}")
P
    mkdir /r; cd /r; git init -q -b main .; python3 /stream.py | git fast-import --quiet; git checkout -q -f main
    git repack -q -a -d; git gc -q; git fsck --no-dangling 2>&1; git clone -q file:///r /c; diff -r -x .git /r /c
    git checkout -q HEAD~1000; git status --porcelain; git checkout -q main; git -C /c log --oneline | wc -l
    git ls-files | wc -l; git rm -rq d1; git stash -q; git status --porcelain
    """
    commits, files = debian.sh(script, needs="git python3").split()
    assert int(commits) == 2001
    assert int(files) > 3000


def _needs_package_servers() -> None:
    if not os.environ.get("ROOTLAY_TEST_NETWORK"):
        pytest.skip("ROOTLAY_TEST_NETWORK is not set: no package server to ask")


def test_lua_is_built_from_its_source_package(debian: Machine) -> None:
    _needs_package_servers()
    script = """
    sed 's/^deb /deb-src /' /etc/apt/sources.list > /etc/apt/sources.list.d/sources.list; apt-get update -q >/dev/null
    mkdir /src; chown _apt /src; cd /src; apt-get source -q --download-only lua5.4 >/dev/null
    tar -xf lua5.4_*.orig.tar.*
    cd lua-5.4*; make -s -j2 linux >/dev/null; make -s install INSTALL_TOP=/opt/lua; cd /
    echo 'local t = {} for l in io.lines("/etc/passwd") do t[#t + 1] = l end' > /t.lua
    echo 'os.rename("/t.lua", "/u.lua") print(#t > 5, io.open("/t.lua"), _VERSION)' >> /t.lua
    /opt/lua/bin/lua /t.lua; /opt/lua/bin/luac -o /u.out /u.lua; ls /opt/lua/include | wc -l
    """
    out = debian.sh(script, needs="apt-get gcc make")
    assert out == "true\tnil\tLua 5.4\n5\n"


def test_apt_installs_and_removes_packages(debian: Machine) -> None:
    _needs_package_servers()
    script = """
    rm -f /etc/ld.so.cache
    apt-get update -q >/dev/null; apt-get install -qy tree rsync openssh-client >/dev/null 2>&1
    tree --version >/dev/null; rsync --version >/dev/null; ssh -V; dpkg --audit; dpkg --verify rsync openssh-client
    stat -c %G /usr/bin/ssh-agent; ldconfig -p | grep -c 'libc.so.6 '
    grep -c 'status installed libc-bin' /var/log/dpkg.log
    apt-get purge -qy tree rsync openssh-client >/dev/null 2>&1; dpkg --audit
    ls /usr/bin/tree /usr/bin/rsync /usr/bin/ssh /etc/ssh 2>&1 | grep -c 'No such file'
    """
    host = Path("/etc/ld.so.cache")
    before = (host.stat().st_mtime_ns, host.read_bytes()) if host.exists() else None
    group, cached, triggers, gone = debian.sh(script, needs="apt-get").split()
    assert group == "_ssh"
    assert int(cached) >= 1, "the trigger of libc-bin has made the image's cache anew"
    assert int(triggers) >= 1
    assert gone == "4"
    assert ((host.stat().st_mtime_ns, host.read_bytes()) if host.exists() else None) == before


FACTS = """
import os, stat
for top in ("/srv/facts",):
    for name in sorted(os.listdir(top)):
        path = f"{top}/{name}"
        st = os.lstat(path)
        capability = {x: os.getxattr(path, x).hex() for x in os.listxattr(path)} if stat.S_ISREG(st.st_mode) else {}
        print(name, oct(st.st_mode), st.st_uid, st.st_gid, os.major(st.st_rdev), os.minor(st.st_rdev), capability)
"""
MAKE_FACTS = """
import os, stat
os.makedirs("/srv/facts"); os.chdir("/srv/facts"); os.umask(0)
for name, uid, gid, mode in (("plain", 0, 0, 0o644), ("owned", 100, 65534, 0o600), ("setuid", 0, 42, 0o4755),
                             ("setgid", 7, 42, 0o2755), ("closed", 33, 33, 0)):
    open(name, "w").close(); os.chown(name, uid, gid); os.chmod(name, mode)
os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 3)); os.mknod("disk", stat.S_IFBLK | 0o660, os.makedev(8, 1))
os.mkfifo("fifo", 0o622); os.mkdir("sticky"); os.chown("sticky", 5, 6); os.chmod("sticky", 0o3777)
os.symlink("plain", "link"); os.lchown("link", 11, 12)
open("capable", "w").close()
os.setxattr("capable", "security.capability", bytes.fromhex("0100000200040000" + "00" * 12))
if os.fork() == 0:  # a daemon that has left root makes files of its own
    os.setgroups([]); os.setgid(34); os.setuid(33); os.chdir("/srv/facts/sticky")
    open("/srv/facts/sticky/own", "w").close(); os._exit(0)
os.wait(); os.rename("sticky/own", "dropped")
"""


def test_stat_tar_commit_and_export_agree_on_owners_devices_and_capabilities(debian: Machine, tmp_path: Path) -> None:
    rootlay = debian.rootlay
    (tmp_path / "make.py").write_text(MAKE_FACTS)
    (tmp_path / "facts.py").write_text(FACTS)
    script = "python3 /x/make.py; cd /srv; tar -cf /facts.tar --numeric-owner facts; mv facts first"
    script += "; tar -xpf /facts.tar --numeric-owner; rm /facts.tar; python3 - <<'P'\n"
    script += "import os; os.setxattr('/srv/facts/capable', 'security.capability', os.getxattr('/srv/first/capable',"
    script += " 'security.capability'))\nP\nrm -r first; python3 /x/facts.py"
    inside = rootlay.out("run", "--name", "facts", "-v", f"{tmp_path}:/x", "image", "--", "bash", "-ec", script)
    assert "capable 0o100666 0 0 0 0 {'security.capability': '0100000200040000" in inside
    assert "device 0o20666 0 0 1 3 {}" in inside
    assert "dropped 0o100666 33 6 0 0 {}" in inside
    assert len(inside.splitlines()) == 12
    try:
        rootlay("commit", "facts", "facts:1")
        again = rootlay.out("run", "--rm", "-v", f"{tmp_path}:/x", "facts:1", "--", "python3", "/x/facts.py")
        assert again == inside
        rootlay("export", "facts", "-o", str(tmp_path / "out.tar"))
        with tarfile.open(tmp_path / "out.tar") as archive:
            members = {m.name.removeprefix("./"): m for m in archive}
        for line in inside.splitlines():
            name, mode, uid, gid, major, minor = line.split()[:6]
            m = members[f"srv/facts/{name}"]
            assert (m.mode, m.uid, m.gid) == (int(mode, 8) & 0o7777, int(uid), int(gid)), name
            if m.ischr() or m.isblk():
                assert (m.devmajor, m.devminor) == (int(major), int(minor)), name
        assert "SCHILY.xattr.security.capability" in members["srv/facts/capable"].pax_headers
    finally:
        rootlay("rm", "-f", "facts")
