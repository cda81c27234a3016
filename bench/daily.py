"""What people do all day, as commands for `bench.engine --only daily`.

Nothing is downloaded: the set-up makes packages, wheels and repositories. An image that lacks a program has no such
line.
"""

from __future__ import annotations

NPM = """[ -d /tmp/npm ] || python3 - <<'END'
import io, json, os, tarfile
os.makedirs("/tmp/npm/packages")
for number in range(300):
    with tarfile.open(f"/tmp/npm/packages/p{number}.tgz", "w:gz") as tar:
        files = {"package.json": json.dumps({"name": f"p{number}", "version": "1.0.0"})}
        files |= {f"lib/{part}/file{part}.js": f"module.exports = {number};" * 50 for part in range(12)}
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
wanted = {f"p{number}": f"file:packages/p{number}.tgz" for number in range(300)}
open("/tmp/npm/package.json", "w").write(json.dumps({"name": "app", "version": "1.0.0", "dependencies": wanted}))
END
rm -rf /tmp/npm/node_modules /tmp/npm/package-lock.json"""
WHEELS = """[ -d /tmp/wheels ] || python3 - <<'END'
import os, zipfile
os.makedirs("/tmp/wheels")
for number in range(40):
    name, info = f"pack{number}", f"pack{number}-1.0.dist-info"
    files = {f"{name}/__init__.py": "", f"{info}/WHEEL": "Wheel-Version: 1.0\\nTag: py3-none-any\\n"}
    files |= {f"{name}/module{part}.py": f"def f{part}(x):\\n    return x + {part}\\n" * 20 for part in range(50)}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"/tmp/wheels/{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
END
rm -rf /tmp/venv; python3 -m venv /tmp/venv"""
TESTS = """[ -d /tmp/tests ] || python3 - <<'END'
import os
os.makedirs("/tmp/tests")
for number in range(100):
    with open(f"/tmp/tests/test_{number}.py", "w") as file:
        file.write("import os, tempfile, unittest\\nclass T(unittest.TestCase):\\n")
        for part in range(20):
            file.write(f"    def test_{part}(self):\\n        with tempfile.TemporaryDirectory() as d:\\n")
            file.write("            open(d + '/f', 'w').write('x'); self.assertEqual(os.listdir(d), ['f'])\\n")
END"""
REPOSITORY = """[ -d /tmp/big ] || { mkdir /tmp/big; cd /tmp/big; git init -q .
git config --global user.email a@b; git config --global user.name a
for d in $(seq 200); do mkdir d$d; for f in $(seq 100); do echo $d $f > d$d/f$f; done; done
git add .; git commit -qm all; }; rm -rf /tmp/clone"""
GO = """mkdir -p /tmp/hello; cd /tmp/hello; rm -rf /tmp/cache; echo 'module hello' > go.mod
printf 'package main\\nimport "fmt"\\nfunc main() { fmt.Println("hello") }\\n' > main.go"""
POSTGRES = "/usr/lib/postgresql/17/bin"
AS_POSTGRES = (
    'as() { if [ $(id -u) = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }'
)
DATABASE = f"""{AS_POSTGRES}; cd /tmp; [ -d /tmp/db ] || {{
mkdir /tmp/db; [ $(id -u) != 0 ] || chown postgres /tmp/db
as {POSTGRES}/initdb -D /tmp/db >/dev/null
as {POSTGRES}/pg_ctl -D /tmp/db -o '-k /tmp' -l /tmp/db/log -w start >/dev/null
as createdb -h /tmp b; as pgbench -h /tmp -qi b 2>/dev/null; as {POSTGRES}/pg_ctl -D /tmp/db -w stop >/dev/null; }}"""
SERVE = f"""{AS_POSTGRES}; cd /tmp; as {POSTGRES}/postgres -D /tmp/db -k /tmp 2>/dev/null & server=$!
until as psql -h /tmp b -c 'select 1' >/dev/null 2>&1; do sleep 0.05; done
as pgbench -h /tmp -c 2 -t 500 b >/dev/null 2>&1; kill -INT $server; wait $server"""

DAILY = {
    "npm install of 300": ("cd /tmp/npm && npm install --offline --no-audit --no-fund --silent", NPM),
    "pip install of 40 wheels": (
        "/tmp/venv/bin/pip install -q --no-index -f /tmp/wheels $(seq -f pack%g 0 39)",
        WHEELS,
    ),
    "unittest of 2,000": ("cd /tmp/tests && python3 -m unittest -q 2>/dev/null", TESTS),
    "git status of 20,000": ("git -C /tmp/big status >/dev/null", REPOSITORY),
    "git clone of 20,000": ("git clone -q /tmp/big /tmp/clone", REPOSITORY),
    "go build, cold": ("cd /tmp/hello && GOCACHE=/tmp/cache GOFLAGS=-p=2 go build -o hello .", GO),
    "pgbench, 1,000": (SERVE, DATABASE),
}
"""Name: (command, what is done before and not timed)."""
