"""Servers: installed inside by apt with their maintainer scripts, started, used by a client, stopped.

Needs ROOTLAY_TEST_DEBIAN, ROOTLAY_TEST_NETWORK and ROOTLAY_TEST_LONG: 150 MB of packages, and a few minutes.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.programs.conftest import HANGS_S, Machine

pytestmark = pytest.mark.long_form

PACKAGES = (
    "redis-server mariadb-server apache2 openssh-server exim4-daemon-light bsd-mailx cron at varnish haproxy vsftpd "
    "rsync mosquitto mosquitto-clients screen expect netcat-openbsd curl psmisc"
).split()
PORT = """
wait_port() { for i in $(seq 200); do (exec 3<>/dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.1; done
echo "no $1"; }
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def servers(debian: Machine) -> Machine:
    if not os.environ.get("ROOTLAY_TEST_NETWORK") or not os.environ.get("ROOTLAY_TEST_LONG"):
        pytest.skip("takes minutes and package servers: set ROOTLAY_TEST_NETWORK and ROOTLAY_TEST_LONG")
    rootlay = debian.rootlay
    script = f"""export DEBIAN_FRONTEND=noninteractive; apt-get update -q >/dev/null
    apt-get install -qy --no-install-recommends {" ".join(PACKAGES)} >/tmp/log 2>&1 || {{ tail -50 /tmp/log; exit 1; }}
    dpkg --audit; dpkg --verify | grep -v /usr/share/ || true"""
    assert rootlay.out("run", "--name", "servers", "image", "--", "bash", "-ec", script, timeout_s=HANGS_S) == ""
    rootlay("commit", "servers", "servers", timeout_s=HANGS_S)
    return debian


def sh(machine: Machine, script: str, *options: str) -> str:
    words = ["run", "--rm", "-e", f"P={free_port()}", *options, "servers", "--", "bash", "-ec", PORT + script]
    return machine.rootlay.out(*words, timeout_s=HANGS_S)


def test_packages_belong_to_whom_they_should(servers: Machine) -> None:
    script = "stat -c '%U:%G %a' /var/lib/redis /var/lib/mysql /usr/bin/crontab /var/spool/cron/atjobs /usr/bin/at"
    script += " /usr/sbin/exim4 /var/spool/exim4/input /var/lib/mosquitto"
    owners = sh(servers, script).splitlines()
    expected = ["redis:redis 750", "mysql:mysql 755", "root:crontab 2755", "daemon:daemon 1770", "daemon:daemon 6755"]
    expected += ["root:root 4755", "Debian-exim:Debian-exim 750", "mosquitto:root 755"]
    assert owners == expected


def test_redis(servers: Machine) -> None:
    script = """
    mkdir -p /run/redis; chown redis:redis /run/redis; s=/run/redis/s
    runuser -u redis -- redis-server /etc/redis/redis.conf --port $P --unixsocket $s --appendonly yes --daemonize yes
    wait_port $P; redis-cli -p $P set k v; redis-cli -s $s get k; redis-cli -p $P debug sleep 0 >/dev/null
    redis-cli -p $P shutdown save || true; sleep 1; stat -c %U /var/lib/redis/dump.rdb
    ls /var/lib/redis/appendonlydir | wc -l
    """
    assert sh(servers, script) == "OK\nv\nredis\n3\n"


def test_mariadb(servers: Machine) -> None:
    script = """
    mkdir -p /run/mysqld; chown mysql:mysql /run/mysqld; mariadbd --user=mysql --port=$P 2>/tmp/log &
    for i in $(seq 100); do mariadb-admin ping >/dev/null 2>&1 && break; sleep 0.3; done
    mariadb -e "create database d; create table d.t (a int primary key auto_increment, b text) engine=innodb"
    for i in 1 2 3 4; do (for j in $(seq 25); do echo "insert into t(b) values ('$i');"
    done | mariadb d) & k="$k $!"; done
    wait $k; mariadb -N d -e 'select count(*) from t; select user(); optimize table t' | head -2
    mariadb-dump d | grep -c INSERT; mariadb-admin shutdown; wait; stat -c %U /var/lib/mysql/d
    """
    assert sh(servers, script) == "100\nroot@localhost\n1\nmysql\n"


def test_apache_as_its_own_user(servers: Machine) -> None:
    script = """
    a2enmod -q cgid dav dav_fs >/dev/null; sed -i "s/^Listen 80$/Listen $P/" /etc/apache2/ports.conf
    printf '#!/bin/sh\\necho Content-type: text/plain; echo; id -un\\n' > /usr/lib/cgi-bin/t
    chmod 755 /usr/lib/cgi-bin/t
    apache2ctl start 2>/dev/null; wait_port $P; curl -s http://127.0.0.1:$P/ | grep -c -m1 'Apache2 Debian Default Page'
    curl -s http://127.0.0.1:$P/cgi-bin/t; ps -C apache2 -o user= | sort -u; apache2ctl graceful 2>/dev/null; sleep 1
    curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:$P/none; apache2ctl stop 2>/dev/null
    """
    assert sh(servers, script) == "1\nwww-data\nroot\nwww-data\n404\n"


def test_sshd_lets_people_in_from_outside(servers: Machine, tmp_path: Path) -> None:
    if not shutil.which("ssh"):
        pytest.skip("ssh is not installed")
    port, key = free_port(), tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    script = """useradd -m -s /bin/bash joe; mkdir -p /run/sshd ~joe/.ssh; cp /key.pub ~joe/.ssh/authorized_keys
    chown -R joe:joe ~joe/.ssh; chmod 700 ~joe/.ssh; chmod 600 ~joe/.ssh/authorized_keys
    exec /usr/sbin/sshd -D -p 22 -e"""
    options = ["-p", f"127.0.0.1:{port}:22", "-v", f"{key}.pub:/key.pub:ro"]
    rootlay = servers.rootlay
    rootlay("run", "-d", "--name", "ssh", *options, "servers", "--", "bash", "-ec", script)
    known = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "BatchMode=yes"]
    command = ["ssh", "-q", "-p", str(port), "-i", str(key), *known]
    try:
        for _ in range(100):
            done = subprocess.run(
                [*command, "joe@127.0.0.1", "id -un; pwd; ls /root"], capture_output=True, check=False
            )
            if done.stdout:
                break
            time.sleep(0.2)
        assert done.stdout.decode() == "joe\n/home/joe\n", rootlay("logs", "ssh").stderr
        ask = "stat -c '%U %a' $(tty)"
        on_terminal = subprocess.run([*command, "-tt", "joe@127.0.0.1", ask], capture_output=True, check=False)
        assert on_terminal.stdout.decode().strip() in ("joe 620", "joe 600"), rootlay("logs", "ssh").stderr
    finally:
        rootlay("rm", "-f", "ssh")


def test_mail_is_delivered(servers: Machine) -> None:
    script = """
    useradd -m joe; sed -i "s/^dc_eximconfig_configtype=.*/dc_eximconfig_configtype='local'/" \
      /etc/exim4/update-exim4.conf.conf; update-exim4.conf
    runuser -u www-data -- sh -c 'echo body | mail -s hello joe'
    for i in $(seq 100); do test -s /var/mail/joe && break; sleep 0.1; done
    grep -c '^Subject: hello' /var/mail/joe; grep -o 'www-data@' /var/mail/joe | sort -u
    stat -c '%U %G %a' /var/mail/joe
    """
    assert sh(servers, script) == "1\nwww-data@\njoe mail 660\n"


def test_people_give_jobs_to_cron_and_at(servers: Machine) -> None:
    script = """
    useradd -m joe; cron; atd
    runuser -u joe -- sh -c "echo '* * * * * id -un > /tmp/cron' | crontab -
    echo 'id -un > /tmp/at' | at now" 2>/dev/null
    for i in $(seq 130); do test -s /tmp/cron && test -s /tmp/at && break; sleep 1; done; cat /tmp/cron /tmp/at
    stat -c '%U:%G %a' /var/spool/cron/crontabs/joe; killall cron atd
    """
    assert sh(servers, script) == "joe\njoe\njoe:crontab 600\n"


def test_varnish_gives_all_its_threads_one_alternate_stack(servers: Machine) -> None:
    script = """
    printf 'vcl 4.1;\\nbackend default none;\\nsub vcl_recv { return (synth(200)); }\\n' > /v.vcl
    for i in $(seq 5); do varnishd -a 127.0.0.1:$P -f /v.vcl -n /v -s malloc,10m -P /v.pid -j none >/log 2>&1
    wait_port $P
      curl -s -o /dev/null -w '%{http_code} ' http://127.0.0.1:$P/; grep -c Panic /log || true; kill $(cat /v.pid)
      for k in $(seq 100); do (exec 3<>/dev/tcp/127.0.0.1/$P) 2>/dev/null || break; sleep 0.1; done; done
    """
    assert sh(servers, script) == "200 0\n" * 5


def test_servers_in_a_root_of_their_own(servers: Machine) -> None:
    script = """
    mkdir -p /srv/m/d /var/lib/haproxy; echo in > /srv/m/d/f; chown -R nobody /srv/m
    printf 'uid = nobody\\nuse chroot = yes\\n[m]\\npath = /srv/m\\nread only = no\\n' > /etc/rsyncd.conf
    rsync --daemon --port=$P --log-file=/tmp/log; wait_port $P; rsync -a --port=$P 127.0.0.1::m/d/ /copy/; cat /copy/f
    rsync -a --port=$P /etc/hostname 127.0.0.1::m/d/; stat -c %U /srv/m/d/hostname; killall rsync; sleep 0.5
    useradd -m joe; echo joe:pw | chpasswd; mkdir -p /run/vsftpd/empty; echo x > /home/joe/f
    printf "listen=YES\\nlisten_port=$P\\nlocal_enable=YES\\nchroot_local_user=YES\\n" > /v.conf
    printf 'allow_writeable_chroot=YES\\nbackground=YES\\nwrite_enable=YES\\n' >> /v.conf
    printf 'secure_chroot_dir=/run/vsftpd/empty\\nseccomp_sandbox=NO\\n' >> /v.conf
    vsftpd /v.conf; wait_port $P; curl -s ftp://joe:pw@127.0.0.1:$P/f
    curl -s -T /etc/passwd ftp://joe:pw@127.0.0.1:$P/p
    stat -c %U /home/joe/p; killall vsftpd; sleep 0.5
    printf 'global\\n daemon\\n chroot /var/lib/haproxy\\n user haproxy\\ndefaults\\n mode http\\n' > /h.cfg
    printf ' timeout client 5s\\n' >> /h.cfg
    printf "frontend f\\n bind 127.0.0.1:$P\\n http-request return status 200 content-type text/plain string hi\\n" \\
      >> /h.cfg
    haproxy -f /h.cfg 2>/dev/null; wait_port $P; curl -s http://127.0.0.1:$P/; killall haproxy
    """
    assert sh(servers, script) == "in\nnobody\nx\njoe\nhi"


def test_mosquitto(servers: Machine) -> None:
    script = """
    printf "listener $P 127.0.0.1\\nallow_anonymous true\\n" > /m.conf; mosquitto -c /m.conf -d 2>/dev/null
    wait_port $P
    mosquitto_sub -p $P -t a -C 1 -W 20 & sleep 1; mosquitto_pub -p $P -t a -m hello; wait; ps -C mosquitto -o user=
    """
    assert sh(servers, script) == "hello\nmosquitto\n"


def test_people_become_others(servers: Machine) -> None:
    script = """
    useradd -m -u 4321 -s /bin/bash joe; echo joe:pw | chpasswd; echo root:rootpw | chpasswd
    cat > /su.exp <<'X'
set timeout 20
spawn su root -c "id -un"
expect assword:
send rootpw\\r
expect eof
X
    runuser -u joe -- expect /su.exp | tail -1 | tr -d '\\r'
    sleep 30 & userdel -r joe 2>/dev/null || true; id joe 2>/dev/null || echo gone
    ps -o user= -p $!; pgrep -u root -P $$ -x sleep | wc -l
    """
    assert sh(servers, script) == "root\ngone\nroot\n1\n"
