"""The options of `run` and `create` that few command lines have (`Verb.rare`), and those of `update`.

Each does one of three things: see rootlay.cli.spec. The names and kinds are those of Docker's command line.
"""

from __future__ import annotations

from typing import cast

from rootlay.cli.spec import Kind, Option

ONLY_WINDOWS = "it exists for Windows only, in Docker too; leave it out"
NO_IO_LIMIT = (
    "a rate of a device needs the io controller of a cgroup of root; run the program below `ionice`, or leave it out"
)
NO_ADDRESS = "a container has no network interface; publish ports with -p, or leave it out"
NO_REALTIME = "real-time time slices need a cgroup of root; start the program with `chrt`, or leave it out"
WEIGHT = "a weight counts only between cgroups"
PENDING = "it is not built yet; leave it out"

SECURITY = (
    Option(
        ("--cap-add",),
        "many",
        "Linux capabilities to add.",
        "CAP",
        accepted="programs have the rights of the user who runs rootlay; inside, the engine answers for user 0",
    ),
    Option(
        ("--cap-drop",),
        "many",
        "Linux capabilities to drop.",
        "CAP",
        accepted="programs have no capability outside the container that could be dropped",
    ),
    Option(
        ("--privileged",),
        "flag",
        "Extended privileges.",
        accepted="programs have the rights of the user who runs rootlay, and /dev, /proc and /sys are the host's",
    ),
    Option(
        ("--security-opt",),
        "many",
        "Security options.",
        "OPTION",
        accepted="no-new-privileges always holds, and the filter of system calls is the engine's own; see --confine",
    ),
    Option(
        ("--device-cgroup-rule",),
        "many",
        "Rule for devices.",
        "RULE",
        accepted="the permissions of a device file alone say who may use it",
    ),
    Option(
        ("--disable-content-trust",),
        "flag",
        "Skip the verification of signatures (default: true).",
        default=True,
        accepted="images are verified by their digests",
        refused="signatures of content trust are not verified; pull by digest: NAME@sha256:…",
    ),
    Option(
        ("--use-api-socket",),
        "flag",
        "Give the container the socket of the Engine API.",
        refused="there is no daemon; start `rootlay api` and bind its socket with -v",
    ),
)
NAMESPACES = (
    Option(
        ("--cgroupns",),
        "text",
        "Cgroup namespace: host or private.",
        "MODE",
        accepted="programs stay in the cgroup namespace of the caller",
        refused="expected host or private",
        takes=("host", "private"),
    ),
    Option(
        ("--ipc",),
        "text",
        "IPC namespace: host, private, shareable, none or container:NAME.",
        "MODE",
        accepted="there are no namespaces: IPC objects are the host's",
        refused="expected host, private, shareable, none or container:NAME",
        takes=("host", "private", "shareable", "none", "container:"),
    ),
    Option(
        ("--pid",),
        "text",
        "PID namespace: host or container:NAME.",
        "MODE",
        accepted="there are no namespaces: process numbers are the host's",
        refused="expected host or container:NAME",
        takes=("host", "container:"),
    ),
    Option(
        ("--userns",),
        "text",
        "User namespace: host.",
        "MODE",
        accepted="there are no namespaces: the engine shows the users inside",
        refused="there are no user namespaces; leave it out, or use -u",
        takes=("host",),
    ),
    Option(
        ("--uts",),
        "text",
        "UTS namespace: host.",
        "MODE",
        accepted="there are no namespaces: without -h the host name is the host's",
        refused="expected host",
        takes=("host",),
    ),
    Option(
        ("--isolation",),
        "text",
        "Isolation technology.",
        "NAME",
        accepted="there is one on Linux",
        refused=ONLY_WINDOWS,
        takes=("default",),
    ),
    Option(
        ("--runtime",),
        "text",
        "OCI runtime.",
        "NAME",
        accepted="rootlay's engine is the runtime",
        refused="rootlay's engine is the only runtime; leave it out (for graphics cards use --gpus)",
        takes=("runc", "crun", "io.containerd.runc.v2"),
    ),
    Option(
        ("--cgroup-parent",),
        "text",
        "Parent cgroup.",
        "PATH",
        refused="a container with limits gets a cgroup below the caller's own; start rootlay in the wanted cgroup",
    ),
    Option(
        ("--init",),
        "flag",
        "Run an init that forwards signals and reaps processes.",
        accepted="there is no PID namespace: orphans are reaped by the host's init, and rootlay forwards signals",
    ),
)
NETWORK = (
    Option(("--ip",), "text", "IPv4 address.", "ADDR", refused=NO_ADDRESS),
    Option(("--ip6",), "text", "IPv6 address.", "ADDR", refused=NO_ADDRESS),
    Option(("--link-local-ip",), "many", "Link-local address.", "ADDR", refused=NO_ADDRESS),
    Option(("--mac-address",), "text", "MAC address.", "MAC", refused=NO_ADDRESS),
    Option(
        ("--link",),
        "many",
        "Link to another container.",
        "NAME[:ALIAS]",
        refused="containers share the host's network; name the other one with --add-host NAME:127.0.0.1",
    ),
    Option(
        ("--network-alias",),
        "many",
        "Name in the network.",
        "NAME",
        refused="containers share the host's network; name this one in the others with --add-host NAME:127.0.0.1",
    ),
)
WEIGHTS = (
    Option(("--blkio-weight",), "int", "Weight of block I/O, 10 to 1000.", "N", accepted=WEIGHT),
    Option(("-c", "--cpu-shares"), "int", "Weight of processor time.", "N", accepted=WEIGHT),
    Option(
        ("--memory-reservation",),
        "text",
        "Soft limit of memory.",
        "BYTES",
        accepted="a soft limit counts only between cgroups",
    ),
    Option(("--cpu-rt-period",), "int", "Real-time period, in microseconds.", "N", refused=NO_REALTIME, takes=("0",)),
    Option(("--cpu-rt-runtime",), "int", "Real-time time, in microseconds.", "N", refused=NO_REALTIME, takes=("0",)),
    Option(
        ("--cpuset-mems",),
        "text",
        "Memory nodes.",
        "LIST",
        refused="memory nodes need the cpuset controller of root; start the program with `numactl --membind`",
    ),
)
RESOURCES = (
    Option(("--blkio-weight-device",), "many", "Weight of a device.", "DEVICE:N", accepted=WEIGHT),
    *(
        Option((f"--device-{verb}-{unit}",), "many", f"{what} of a device.", "DEVICE:N", refused=NO_IO_LIMIT)
        for verb, unit, what in (
            ("read", "bps", "Read rate"),
            ("read", "iops", "Read operations"),
            ("write", "bps", "Write rate"),
            ("write", "iops", "Write operations"),
        )
    ),
    *(
        Option((flag,), "int", "For Windows.", "N", refused=ONLY_WINDOWS)
        for flag in ("--cpu-count", "--cpu-percent", "--io-maxiops")
    ),
    Option(("--io-maxbandwidth",), "text", "For Windows.", "BYTES", refused=ONLY_WINDOWS),
    Option(
        ("--kernel-memory",), "text", "Limit of kernel memory.", "BYTES", accepted="Docker ignores it too: kernels do"
    ),
    Option(
        ("--memory-swappiness",),
        "int",
        "Swappiness, 0 to 100.",
        "N",
        accepted="cgroup v2 does not have it: Docker ignores it there too",
    ),
    Option(
        ("--oom-kill-disable",),
        "flag",
        "Disable the OOM killer.",
        accepted="cgroup v2 does not have it: Docker ignores it there too",
    ),
    Option(
        ("--shm-size",),
        "text",
        "Size of /dev/shm.",
        "BYTES",
        accepted="/dev/shm is the host's, with the host's size",
    ),
    Option(
        ("--storage-opt",),
        "many",
        "Storage options.",
        "OPTION",
        refused="the writable layer is a directory; limit its size with a quota of its file system",
    ),
)
OTHERS = (
    Option(
        ("--annotation",), "many", "Annotation for the OCI runtime.", "KEY=VALUE", accepted="no OCI runtime reads it"
    ),
    Option(
        ("--log-opt",),
        "many",
        "Options of the log.",
        "KEY=VALUE",
        accepted="the log of a container is one file, without rotation",
    ),
    Option(
        ("--volume-driver",),
        "text",
        "Volume driver.",
        "NAME",
        accepted="volumes are directories of the store",
        refused="volumes are directories of the store; leave it out, or bind a directory with -v",
        takes=("local",),
    ),
)
TO_DO: tuple[Option, ...] = tuple(
    Option(flags, cast("Kind", kind), "Not built yet.", refused=PENDING)
    for flags, kind in (
        (("--add-host",), "many"),
        (("-a", "--attach"), "many"),
        (("--cpu-period",), "int"),
        (("--cpu-quota",), "int"),
        (("--cpus",), "text"),
        (("--cpuset-cpus",), "text"),
        (("--detach-keys",), "text"),
        (("--device",), "many"),
        (("--dns",), "many"),
        (("--dns-option",), "many"),
        (("--dns-search",), "many"),
        (("--domainname",), "text"),
        (("--expose",), "many"),
        (("--gpus",), "many"),
        (("--group-add",), "many"),
        (("--health-cmd",), "text"),
        (("--health-interval",), "text"),
        (("--health-retries",), "int"),
        (("--health-start-interval",), "text"),
        (("--health-start-period",), "text"),
        (("--health-timeout",), "text"),
        (("--no-healthcheck",), "flag"),
        (("--label-file",), "many"),
        (("--log-driver",), "text"),
        (("-m", "--memory"), "text"),
        (("--memory-swap",), "text"),
        (("--mount",), "many"),
        (("--oom-score-adj",), "int"),
        (("--pids-limit",), "int"),
        (("-P", "--publish-all"), "flag"),
        (("--pull",), "text"),
        (("-q", "--quiet"), "flag"),
        (("--read-only",), "flag"),
        (("--restart",), "text"),
        (("--stop-signal",), "text"),
        (("--stop-timeout",), "int"),
        (("--sysctl",), "many"),
        (("--tmpfs",), "many"),
        (("--ulimit",), "many"),
        (("--volumes-from",), "many"),
    )
)
CREATE_RARE = (*SECURITY, *NAMESPACES, *NETWORK, *WEIGHTS, *RESOURCES, *OTHERS, *TO_DO)
