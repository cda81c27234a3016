"""Two PostgreSQL servers on port 5432 at once, each found by name from a third container."""

from __future__ import annotations

import os

import pytest

from tests.programs.conftest import HANGS_S, Machine

SERVER = """
export PATH=$(ls -d /usr/lib/postgresql/*/bin):$PATH
mkdir /data; chown postgres /data
runuser -u postgres -- initdb -D /data -A trust >/dev/null
echo "host all all all trust" >> /data/pg_hba.conf
exec runuser -u postgres -- postgres -D /data -c listen_addresses='*' -c "cluster_name=$NAME"
"""
CLIENT = """
for h in one two; do for i in $(seq 300); do
psql -h $h -U postgres -Atc "show cluster_name; select host(inet_server_addr()) = host(inet_client_addr())" && break
sleep 0.3; done 2>/dev/null; done
"""


@pytest.mark.long_form
@pytest.mark.skipif(not os.environ.get("ROOTLAY_TEST_LONG"), reason="ROOTLAY_TEST_LONG is not set")
def test_two_databases_on_one_port(machine: Machine) -> None:
    machine.sh("true", needs="psql runuser")
    rootlay = machine.rootlay
    rootlay("network", "create", "data")
    for name in ("one", "two"):
        words = ["run", "-d", "--name", name, "-e", f"NAME={name}", "--network", "data", machine.image]
        rootlay(*words, "bash", "-ec", SERVER)
    try:
        asked = rootlay.out("run", "--rm", "--network", "data", machine.image, "bash", "-c", CLIENT, timeout_s=HANGS_S)
        assert asked == "one\nf\ntwo\nf\n", rootlay.out("logs", "one")
        local = ["exec", "two", "psql", "-h", "localhost", "-U", "postgres", "-Atc", "show cluster_name"]
        assert rootlay.out(*local, timeout_s=HANGS_S) == "two\n"
    finally:
        rootlay("rm", "-f", "one", "two")
        rootlay("network", "rm", "data")
