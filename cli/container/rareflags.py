"""The options of `run` and `create` that few command lines have (`Verb.rare`), and those of `update`.

Each does one of three things: see rootlay.cli.spec. The names and kinds are those of Docker's command line.
"""

from __future__ import annotations

from rootlay.cli.spec import Option

ONLY_WINDOWS = "it exists for Windows only, in Docker too; leave it out"
NO_IO_LIMIT = (
    "a rate of a device needs the io controller of a cgroup of root; run the program below `ionice`, or leave it out"
)
NO_ADDRESS = "a container has no network interface; publish ports with -p, or leave it out"
NO_REALTIME = "real-time time slices need a cgroup of root; start the program with `chrt`, or leave it out"
WEIGHT = "a weight counts only between cgroups"

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
        refused="expected no-new-privileges, or seccomp=, apparmor=, label= or systempaths= with a value",
        takes=("no-new-privileges", "no-new-privileges=", "seccomp=", "apparmor=", "label=", "systempaths="),
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
        takes=("host", "keep-id"),
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
    Option(("--ip",), "text", "IPv4 address in the network, of 127.64.0.0/10.", "ADDR"),
    Option(("--ip6",), "text", "IPv6 address.", "ADDR", refused=NO_ADDRESS),
    Option(("--link-local-ip",), "many", "Link-local address.", "ADDR", refused=NO_ADDRESS),
    Option(("--mac-address",), "text", "MAC address.", "MAC", refused=NO_ADDRESS),
    Option(("--link",), "many", "Name another container in /etc/hosts.", "NAME[:ALIAS]"),
    Option(("--network-alias",), "many", "Further name in the network.", "NAME"),
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
FILES = (
    Option(
        ("--mount",),
        "many",
        "Mount a directory or file of the host, a volume, an empty directory or an image.",
        "type=bind|volume|tmpfs|image,source=…,target=…,…",
    ),
    Option(
        ("--tmpfs",),
        "many",
        "Mount an empty directory. It is on the store's disk, and its size has no limit.",
        "CTR[:OPTION,…]",
    ),
    Option(("--volumes-from",), "many", "Mount the volumes and binds of another container.", "CONTAINER[:ro]"),
    Option(("--device",), "many", "Add a device of the host, or one by CDI.", "HOST[:CTR][:rwm]"),
    Option(("--gpus",), "many", "Add NVIDIA GPUs, by CDI or with the driver's own files.", "all|N|device=ID"),
    Option(("--read-only",), "flag", "Mount the container's root file system read-only."),
)
NAMES = (
    Option(("--add-host",), "many", "Add a host to /etc/hosts.", "NAME:ADDRESS"),
    Option(("--dns",), "many", "DNS server.", "ADDRESS"),
    Option(("--dns-option",), "many", "DNS option.", "OPTION"),
    Option(("--dns-search",), "many", "DNS search domain.", "DOMAIN"),
    Option(("--domainname",), "text", "Domain name, in /etc/hosts.", "NAME"),
    Option(("--expose",), "many", "Expose a port, for -P.", "PORT[-PORT][/udp]"),
    Option(("-P", "--publish-all"), "flag", "Publish all exposed ports on free ports of the host."),
    Option(("--group-add",), "many", "Additional group of the user.", "GROUP"),
    Option(("--label-file",), "many", "Read labels from a file, one KEY=VALUE per line.", "FILE"),
    Option(
        ("--log-driver",),
        "text",
        "Log driver: json-file, or none for no log.",
        "NAME",
        refused="expected json-file or none; pass the output on with `rootlay logs -f`",
        takes=("json-file", "local", "none"),
    ),
)
LIFE = (
    Option(("-a", "--attach"), "many", "Attach to stdin, stdout or stderr.", "STREAM"),
    Option(("--detach-keys",), "text", "Keys that detach from the container.", "KEYS"),
    Option(("--health-cmd",), "text", "Command that checks health.", "COMMAND"),
    Option(("--health-interval",), "text", "Time between two checks (default: 30s).", "DURATION"),
    Option(("--health-retries",), "int", "Failures in sequence after which it is unhealthy (default: 3).", "N"),
    Option(("--health-start-interval",), "text", "Time between two checks in the start period (5s).", "DURATION"),
    Option(("--health-start-period",), "text", "Time in which failures do not count (default: 0s).", "DURATION"),
    Option(("--health-timeout",), "text", "Time limit of a check (default: 30s).", "DURATION"),
    Option(("--no-healthcheck",), "flag", "Disable the image's HEALTHCHECK."),
    Option(
        ("--restart",),
        "text",
        "When to start the program again: no, always, unless-stopped, on-failure[:N]. A reboot starts nothing.",
        "POLICY",
    ),
    Option(("--stop-signal",), "text", "Signal that stops the container (default: SIGTERM).", "SIGNAL"),
    Option(("--stop-timeout",), "int", "Seconds that `stop` waits before SIGKILL (default: 10).", "SECONDS"),
    Option(("--pull",), "text", "Pull the image: missing (default), always or never.", "POLICY"),
    Option(("-q", "--quiet"), "flag", "Suppress the output of the pull."),
)
RESTART = next(option for option in LIFE if option.name == "restart")
LIMITS = (
    Option(("-m", "--memory"), "text", "Memory limit. Without a cgroup it limits the data of each process.", "BYTES"),
    Option(("--memory-swap",), "text", "Limit of memory plus swap (needs a cgroup); -1 for unlimited swap.", "BYTES"),
    Option(("--cpus",), "text", "Number of CPUs. Without a cgroup it is rounded up.", "N"),
    Option(("--cpu-period",), "int", "Period of the CPU quota, in microseconds.", "N"),
    Option(("--cpu-quota",), "int", "CPU time in each period, in microseconds.", "N"),
    Option(("--cpuset-cpus",), "text", "Processors to run on, such as 0-2,4.", "LIST"),
    Option(
        ("--pids-limit",),
        "int",
        "Limit of processes and threads; -1 for none. Without a cgroup it counts all processes of the user.",
        "N",
    ),
)
PROCESS = (
    Option(("--ulimit",), "many", "Limit of each process, as in setrlimit(2).", "NAME=SOFT[:HARD]"),
    Option(("--oom-score-adj",), "int", "Adjust the OOM killer's preference, -1000 to 1000.", "N"),
    Option(("--sysctl",), "many", "Kernel parameter: accepted if the host has this value.", "NAME=VALUE"),
)
CREATE_RARE = (
    *(*FILES, *NAMES, *LIFE, *LIMITS, *PROCESS),
    *(*SECURITY, *NAMESPACES, *NETWORK, *WEIGHTS, *RESOURCES, *OTHERS),
)
UPDATE_OPTIONS = (*LIMITS, *WEIGHTS, RESTART)
