"""What a machine has around the tests, chosen by `--on NAME`: packages, modules of the kernel, and a script of root's.

The script runs before the tests, as root of the machine; /work is where the tests keep their stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GANESHA = """
NFS_CORE_PARAM {{ Protocols = {version}; mount_path_pseudo = true; Enable_RQUOTA = false;
                 Enable_NLM = {locks}; }}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; }}
EXPORT {{ Export_Id = 1; Path = /export; Pseudo = /export; Protocols = {version}; Access_Type = RW; Squash = None;
         SecType = sys; FSAL {{ Name = VFS; }} }}
"""
#: Its log is printed if the mount fails.
SERVE = """
echo _rpc:x:102:65534::/run/rpcbind:/bin/false >>/etc/passwd; mkdir -p /run/rpcbind; rpcbind -w
ln -sf /proc/self/mounts /etc/mtab
mkdir -p /export /run/ganesha /var/lib/nfs/ganesha /var/log/ganesha; chmod 1777 /export
cat >/etc/ganesha.conf <<'END'{configuration}END
{before}ganesha.nfsd -f /etc/ganesha.conf -L /var/log/ganesha.log -p /run/ganesha.pid -N EVENT
t=0; until mount {options},retry=0 127.0.0.1:/export /work 2>/run/why; do
  sleep 2; t=$((t+1)); [ $t -lt 15 ] || {{ cat /run/why /var/log/ganesha.log; exit 2; }}
done
chmod 1777 /work
"""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Debian's packages and the kernel's modules beyond the usual ones, and the script."""

    packages: str = ""
    modules: tuple[str, ...] = ()
    script: str = ""


def _ganesha(version: int, options: str, modules: tuple[str, ...], before: str = "") -> Surroundings:
    configuration = GANESHA.format(version=version, locks="true" if version == 3 else "false")
    script = SERVE.format(configuration=configuration, options=options, before=before)
    return Surroundings("nfs-ganesha nfs-ganesha-vfs nfs-common dbus rpcbind iproute2", modules, script)


SURROUNDINGS: Mapping[str, Surroundings] = {
    "": Surroundings(),
    "nfs4": _ganesha(4, "-t nfs4 -o vers=4.2,sec=sys", ("nfsv4",)),
    "nfs3": _ganesha(3, "-t nfs -o vers=3,sec=sys", ("nfsv3",), "rpc.statd; "),
}
