"""The test suites that suites.py runs: how each is built, how it is run, and which lines of its output are results."""

from __future__ import annotations

from dataclasses import dataclass

#: Results of Automake: one file for each test, printed after the run.
AUTOMAKE = (
    "make check -k V=0 {flags} >/dev/null 2>&1; "
    'find . -name \'*.trs\' | sort | while read -r f; do sed -n "s|^:test-result: |$f: |p" "$f"; done'
)
AUTOMAKE_LINE = r"^\./(?P<name>\S+?)\.trs: (?P<result>[A-Z]+)(?P<more>.*)$"
CONFIGURE = "./configure -q {flags} >/dev/null && make -j2 V=0 >/dev/null"


@dataclass(frozen=True)
class Suite:
    source: str
    """Debian's name of the source package."""
    run: str
    """Shell script, run in the source's directory; prints the results."""
    line: str
    """Regular expression of a result: `name` and `result`, and `more`, if the same name has several results."""
    build: str = CONFIGURE.format(flags="") + "\nmake check TESTS= -j2 -k V=0 >/dev/null"
    as_root: bool = False
    """Also as root: with user ID 0 in both places."""
    environment: str = ""


def automake(source: str, flags: str = "", configure: str = "", *, as_root: bool = False) -> Suite:
    build = CONFIGURE.format(flags=configure) + f"\nmake check TESTS= {flags} -j2 -k V=0 >/dev/null"
    return Suite(source, AUTOMAKE.format(flags=flags), AUTOMAKE_LINE, build, as_root)


AUTOTEST_LINE = (
    r"^(?:\d+\. \S+\.at:\d+: )?(?P<name>\d+\. .*?) \(\S+:\d+\): +(?P<result>ok|FAILED|skipped|expected failure)\b"
)

SUITES = {
    "sed": automake("sed", "SUBDIRS=."),
    "grep": automake("grep", "-C tests"),
    "gzip": automake("gzip", "-C tests"),
    "diffutils": automake("diffutils", "-C tests"),
    "patch": automake("patch", "-C tests"),
    "findutils": Suite(
        "findutils",
        "for d in xargs tests; do make -k -C $d check V=0 >/dev/null 2>&1; done; "
        "cat */testsuite/*.sum; find tests -name '*.trs' | sort | while read -r f; "
        "do sed -n \"s|^:test-result: \\([A-Z]*\\).*|\\1: $f|p\" \"$f\"; done",
        r"^(?P<result>PASS|FAIL|XFAIL|XPASS|SKIP|ERROR|UNTESTED|UNSUPPORTED): (?P<name>.*)$",
        CONFIGURE.format(flags=""),
    ),
    "acl": automake("acl", as_root=True),
    "attr": automake("attr", as_root=True),
    "tar": Suite(
        "tar", "make -C tests check >/dev/null 2>&1; cat tests/testsuite.log", AUTOTEST_LINE,
        CONFIGURE.format(flags="") + "\nmake -C tests check TESTSUITEFLAGS=-l >/dev/null", as_root=True,
    ),
    "bash": Suite(
        "bash",
        "cd tests; export THIS_SH=$PWD/../bash BUILD_DIR=$PWD/.. PATH=$PWD:$PATH BASH_TSTOUT=/tmp/tstout; "
        "unset LC_ALL LANG; for t in run-*; do case $t in run-all|run-minimal|*~|*.orig) continue;; esac; "
        "if timeout 60 sh ./$t >/tmp/out 2>&1 </dev/null; then echo \"result $t ok\"; "
        "else echo \"result $t fails $(cksum </tmp/out)\"; fi; done",
        r"^result (?P<name>\S+) (?P<result>ok|fails)",
        CONFIGURE.format(flags="") + "\nmake recho zecho printenv xcase >/dev/null"
        "\ncp recho zecho printenv xcase tests/",
    ),
}  # fmt: skip
