"""Programs of a larger image: databases, runtimes, compilers, terminals, debuggers."""

from __future__ import annotations

import os

import pytest

from tests.programs.conftest import Machine

pytestmark = pytest.mark.long_form


def test_postgresql_as_its_own_user(machine: Machine) -> None:
    script = """
    b=$(echo /usr/lib/postgresql/*/bin); d=/var/lib/postgresql/x; o="-h /tmp -p 54391"
    test -x $b/initdb || { echo none; exit; }
    runuser -u postgres -- $b/initdb -A peer -D $d >/dev/null
    runuser -u postgres -- $b/pg_ctl -D $d -o "-p 54391 -c listen_addresses= -k /tmp" -l /tmp/log -w start >/dev/null
    su postgres -c "$b/createdb $o b; $b/pgbench -q -i $o b; $b/pgbench $o -c 4 -T 2 b" >/tmp/bench 2>&1
    grep 'failed transactions' /tmp/bench
    psql $o -U postgres b -c 'select 1' 2>&1 | grep -c 'Peer authentication failed'
    runuser -u postgres -- $b/pg_ctl -D $d -m fast -w stop >/dev/null; stat -c '%U %a' $d
    """
    out = machine.sh(script, needs="runuser psql")
    assert out == "number of failed transactions: 0 (0.000%)\n1\npostgres 700\n"


def test_java(machine: Machine) -> None:
    script = """
    cd /root; cat > A.java <<'J'
import java.nio.file.*;
public class A { public static void main(String[] a) throws Exception {
  var pool = java.util.concurrent.Executors.newFixedThreadPool(8);
  for (int i = 0; i < 50; i++) { int k = i; pool.submit(() -> Files.writeString(Path.of("/tmp/j" + k), "x")); }
  pool.shutdown(); pool.awaitTermination(20, java.util.concurrent.TimeUnit.SECONDS);
  try (var s = Files.list(Path.of("/tmp"))) {
    System.out.println(s.filter(p -> p.toString().startsWith("/tmp/j")).count()); }
  System.out.println(new ProcessBuilder("ls", "/etc/hostname").inheritIO().start().waitFor());
}}
J
    javac A.java; java A; jar cf a.jar A.class; java -cp a.jar A | tail -1
    """
    assert machine.sh(script, needs="javac java") == "50\n/etc/hostname\n0\n0\n"


def test_go(machine: Machine) -> None:
    script = """
    mkdir /g; cd /g; printf 'module x\\n\\ngo 1.21\\n' > go.mod; cat > main.go <<'G'
package main
import ("fmt"; "os"; "sync")
func main() { var w sync.WaitGroup
  for i := 0; i < 50; i++ { w.Add(1); go func(i int) {
    defer w.Done(); os.WriteFile(fmt.Sprintf("/tmp/g%d", i), nil, 0644) }(i) }
  w.Wait(); d, _ := os.ReadDir("/tmp"); fmt.Println(len(d) >= 50) }
G
    go build -o a . && ./a; CGO_ENABLED=0 go build -o b . && ./b
    """
    assert machine.sh(script, needs="go") == "true\ntrue\n"


def test_node_and_npm(machine: Machine) -> None:
    script = """
    mkdir -p /n/p /n/a; cd /n/p; echo '{"name":"loc","version":"1.0.0","main":"i.js"}' > package.json
    echo 'module.exports=42' > i.js; npm pack --silent >/dev/null; cd ../a; npm init -y >/dev/null
    npm install --offline --no-audit --no-fund --silent ../p/loc-1.0.0.tgz; node -e 'console.log(require("loc"))'
    node -e 'require("child_process").execFile("echo",["hi"],(e,o)=>console.log(e,o.trim()))'
    cat > w.js <<'J'
const {Worker} = require("worker_threads"), fs = require("fs");
new Worker('require("fs").writeFileSync("/tmp/worker", "x")', {eval: true}).on("exit", code => {
  console.log("worker", code, fs.existsSync("/tmp/worker"));
  fs.mkdirSync("/tmp/watched");
  const watcher = fs.watch("/tmp/watched", (event, name) => { console.log(event, name); watcher.close(); });
  setTimeout(() => fs.writeFileSync("/tmp/watched/new", "x"), 100);
});
J
    node w.js
    """
    assert machine.sh(script, needs="node npm") == "42\nnull hi\nworker 0 true\nrename new\n"


def test_pip_installs_a_local_wheel(machine: Machine) -> None:
    script = """
    python3 -m venv /v; mkdir -p /w/probe-1.dist-info; cd /w; echo 'x = 5' > probe.py
    printf 'Metadata-Version: 2.1\\nName: probe\\nVersion: 1\\n' > probe-1.dist-info/METADATA
    printf 'Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n' > probe-1.dist-info/WHEEL
    printf 'probe.py,,\\nprobe-1.dist-info/METADATA,,\\nprobe-1.dist-info/WHEEL,,\\nprobe-1.dist-info/RECORD,,\\n' \
      > probe-1.dist-info/RECORD
    python3 -m zipfile -c /probe-1-py3-none-any.whl probe.py probe-1.dist-info
    /v/bin/pip install -q --no-index /probe-1-py3-none-any.whl; cd /; /v/bin/python -c 'import probe; print(probe.x)'
    /v/bin/pip uninstall -qy probe
    """
    assert machine.sh(script, needs="python3 pip") == "5\n"


def test_musl_static_and_dynamic(machine: Machine) -> None:
    script = """
    cd /root; echo 'int puts(const char *); int access(const char *, int);' > m.c
    echo 'int main(void) { return puts(access("/etc/passwd", 0) ? "no" : "yes") < 0; }' >> m.c
    musl-gcc -static m.c -o a; ./a; musl-gcc m.c -o b; ./b
    """
    assert machine.sh(script, needs="musl-gcc") == "yes\nyes\n"


def test_tmux(machine: Machine) -> None:
    script = """
    tmux -L x new-session -d 'ls / > /tmp/out; sleep 20'; sleep 2; tmux -L x ls | cut -d: -f1; grep -c etc /tmp/out
    tmux -L x kill-server
    """
    assert machine.sh(script, "-e", "TERM=xterm", needs="tmux") == "0\n1\n"


def test_strace(machine: Machine) -> None:
    script = """
    strace -f ls /etc/hostname 2>/tmp/trace; grep -c 'exited with 0' /tmp/trace
    strace -o /tmp/trace sh -c 'sh -c "exit 3"' || echo $?; grep -c 'execve("/usr/bin/sh"' /tmp/trace
    """
    assert machine.sh(script, needs="strace") == "/etc/hostname\n1\n3\n1\n"


@pytest.mark.parametrize("link", ["-pie", "-no-pie", "-static"])
def test_gdb_runs_a_program_and_attaches_to_one(machine: Machine, link: str) -> None:
    script = """
    cd /root; cat > a.c <<'C'
#include <unistd.h>
#include <sys/stat.h>
int g(int x) { struct stat st; return stat("/etc/passwd", &st) + x; }
int main(int argc, char **argv) { int sum = 0; for (;;) { sum += g(argc); if (argc > 1) return sum; sleep(1); } }
C
    gcc -g LINK -o a a.c; quiet='handle SIGSYS nostop noprint pass'
    set -- -ex "$quiet" -ex 'break g'
    gdb -q -batch "$@" -ex 'run one two' -ex bt -ex 'info proc exe' -ex finish -ex c ./a >/tmp/gdb 2>&1
    grep -c '^#1 .* main (argc=3' /tmp/gdb; grep 'Value returned\\|exited with\\|^exe' /tmp/gdb
    ./a & sleep 1; gdb -q -batch -p $! "$@" -ex c -ex bt >/tmp/gdb 2>&1
    grep -c '^#1 .* main (argc=1' /tmp/gdb; readlink /proc/$!/exe; kill $!
    """
    out = machine.sh(script.replace("LINK", link), needs="gdb gcc")
    said = ["exe = '/root/a'", "Value returned is $1 = 3"]
    assert out.splitlines()[1:3] == said
    assert out.splitlines()[3].endswith("exited with code 03]")
    assert (out.splitlines()[0], out.splitlines()[4:]) == ("1", ["1", "/root/a"])


@pytest.mark.parametrize("half", [0, 1] if os.environ.get("ROOTLAY_TEST_LONG") else [0])
def test_stress_ng_verifies(machine: Machine, half: int) -> None:
    """The stressors of its class `filesystem`, a second each, two of each and two kinds at once: half of them, with
    ROOTLAY_TEST_LONG all. `statmount` needs a call that is refused (docs/compatibility.md)."""
    script = r"""
    one() {
      mkdir -p /tmp/$1
      stress-ng --$1 2 --timeout 1 --verify --temp-path /tmp/$1 >/tmp/$1.log 2>&1 || { echo $1; cat /tmp/$1.log; }
    }
    all=$(stress-ng --class filesystem? 2>&1 | sed -n 's/.*stressors: //p'); number=0
    for s in $all xattr; do
      number=$((number + 1)); [ $((number % 2)) = HALF ] || continue
      case $s in
        statmount) ;;
        inotify) wait; one $s ;; # it gives each event one second to come
        *) one $s & [ $((number / 2 % 2)) = 0 ] || wait ;;
      esac
    done
    wait; passed=$(grep -l 'passed: 2' /tmp/*.log | wc -l)
    [ $passed -ge 24 ] || echo $passed passed
    """
    assert machine.sh(script.replace("HALF", str(half)), needs="stress-ng") == ""


@pytest.mark.timeout(1800)
def test_stress_ng_verifies_for_a_minute(machine: Machine) -> None:
    """The whole class at once, one of each. `inotify` is left to the test above: it gives each event one second to
    come, which fifty others at work do not."""
    if not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("ROOTLAY_TEST_LONG is not set")
    script = """
    class="--class filesystem --all 1 --exclude inotify,statmount"
    stress-ng $class --timeout 60 --verify --temp-path /tmp >/tmp/log 2>&1 || cat /tmp/log
    grep -o 'failed: .*\\|passed: [0-9]*\\|^.*fail: .*' /tmp/log
    """
    out = machine.sh(script, needs="stress-ng").splitlines()
    assert out[1:] == ["failed: 0"], out
    assert int(out[0].removeprefix("passed: ")) >= 45
