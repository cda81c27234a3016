"""The options of Apptainer's commands that run programs, as tables of rootlay.cli.spec: what each does is said here."""

from __future__ import annotations

from rootlay.cli.spec import Option

_KERNEL = "programs are ordinary processes of the caller; there are no namespaces"
_NO_ROOT = "programs have the rights of the caller, and no others"
_NO_CGROUP = "use `systemd-run --user --scope -p …`, or the limits of `rootlay run`"
_NO_CHECK = "every layer is verified by its digest; there are no signatures of SIF files"

SOURCE_OPTIONS = (
    Option(("--disable-cache",), "flag", "Ask the registry, though the store has the image."),
    Option(("--no-https", "--nohttps"), "flag", "Plain HTTP to the registry."),
    Option(("--docker-login",), "flag", "Ask for a login.", refused="use `rootlay login REGISTRY` before"),
    Option(("--docker-host",), "text", "Docker's daemon.", "ADDRESS", refused="there is no daemon; use `rootlay load`"),
    Option(("--authfile",), "text", "Docker's config.json with logins.", "FILE"),
    Option(("--tmp-sandbox",), "flag", "Unpack first.", accepted="files are unpacked when they are used"),
    Option(("--no-tmp-sandbox",), "flag", "Do not unpack.", accepted="files are unpacked when they are used"),
    Option(("--unsquash",), "flag", "Unpack first.", accepted="files are unpacked when they are used"),
)

RUN_OPTIONS = (
    Option(("-B", "--bind"), "many", "Show a path of the host inside.", "SRC[:DEST[:ro]],…"),
    Option(("--mount",), "many", "The same, in Docker's form.", "type=bind,source=SRC,target=DEST[,ro]"),
    Option(("-H", "--home"), "text", "Home directory inside, and the host's directory for it.", "SRC[:DEST]"),
    Option(("--no-home",), "flag", "Do not show the home directory."),
    Option(("--no-mount",), "many", "Do not show some of home, tmp, cwd.", "NAME,…"),
    Option(("--cwd", "--pwd"), "text", "First working directory.", "DIR"),
    Option(("-W", "--workdir"), "text", "With --contain: keep /tmp, /var/tmp and the home in this directory.", "DIR"),
    Option(("-S", "--scratch"), "many", "A new directory that can be written to, in --workdir if given.", "DIR,…"),
    Option(("-e", "--cleanenv"), "flag", "Do not pass the caller's environment."),
    Option(("--env",), "many", "Set variables.", "NAME=VALUE,…"),
    Option(("--env-file",), "many", "Read variables from a file, one NAME=VALUE per line.", "FILE"),
    Option(("--no-eval",), "flag", "Do not let a shell evaluate variables.", accepted="no shell ever does"),
    Option(("-c", "--contain"), "flag", "Show neither the home, nor the host's /tmp, nor the working directory."),
    Option(("-C", "--containall"), "flag", "--contain --cleanenv --pid --ipc."),
    Option(("--writable-tmpfs",), "flag", "Let programs change files of the image; the changes end with them."),
    Option(("-o", "--overlay"), "many", "Keep the changes in a directory.", "DIR"),
    Option(("-f", "--fakeroot"), "flag", "Programs run as root, in their eyes."),
    Option(("--nv",), "flag", "Show NVIDIA's cards and libraries (CDI)."),
    Option(("--nvccli",), "flag", "The same, by another tool.", refused="use --nv, which reads the CDI files"),
    Option(("--rocm",), "flag", "AMD's cards.", accepted="/dev is the host's; bind ROCm's libraries with --bind"),
    Option(("-n", "--net"), "flag", "A network of its own; with --network none it has none."),
    Option(
        ("--network",),
        "text",
        "Network: none; others are the host's.",
        "NAME",
        refused="the network is the host's; give none, or leave --net out",
        takes=("none", "host", "bridge", "ptp", "fakeroot", "nat"),
        accepted="all but none are the host's network",
    ),
    Option(("--network-args",), "many", "Of the network.", "ARGS", accepted="the network is the host's"),
    Option(("--dns",), "text", "Name servers, with commas.", "ADDRESS,…"),
    Option(("--hostname",), "text", "Host name inside.", "NAME"),
    Option(("-i", "--ipc"), "flag", "IPC namespace.", accepted=_KERNEL),
    Option(("-p", "--pid"), "flag", "PID namespace.", accepted=_KERNEL),
    Option(("--uts",), "flag", "UTS namespace.", accepted="--hostname needs none"),
    Option(("-u", "--userns"), "flag", "User namespace.", accepted=_KERNEL),
    Option(("--no-pid",), "flag", "No PID namespace.", accepted=_KERNEL),
    Option(("--no-init",), "flag", "No init process.", accepted="there is none"),
    Option(("--sharens",), "flag", "Share namespaces.", accepted=_KERNEL),
    Option(("--runscript-timeout",), "text", "Time-out of shub's.", "TIME", accepted="there is no such source"),
    Option(("--compat",), "flag", "As Docker: --containall --writable-tmpfs --no-eval."),
    Option(("-w", "--writable"), "flag", "Change the image itself.", refused="use --writable-tmpfs or --overlay DIR"),
    Option(("--no-privs",), "flag", "Drop all capabilities.", accepted=_NO_ROOT),
    Option(("--keep-privs",), "flag", "Keep root's capabilities.", accepted=_NO_ROOT),
    Option(("--allow-setuid",), "flag", "Set-user-ID programs.", accepted=_NO_ROOT),
    Option(("--add-caps",), "text", "Capabilities.", "LIST", accepted=_NO_ROOT),
    Option(("--drop-caps",), "text", "Capabilities.", "LIST", accepted=_NO_ROOT),
    Option(("--security",), "many", "Security modules.", "LIST", refused="Landlock and seccomp are always on"),
    Option(("--no-umask",), "flag", "Do not use the caller's umask.", accepted="the umask inside is always 022"),
    Option(
        ("--app",), "text", "Application of the image.", "NAME", refused="images of OCI have none; name its program"
    ),
    Option(("--fusemount",), "many", "FUSE file system.", "SPEC", refused="mount it outside, and --bind it"),
    Option(("--passphrase",), "flag", "Key.", refused="there are no encrypted images"),
    Option(("--pem-path",), "text", "Key.", "FILE", refused="there are no encrypted images"),
    Option(("--dmtcp-launch",), "text", "Checkpoint.", "NAME", refused="programs cannot be checkpointed"),
    Option(("--dmtcp-restart",), "text", "Checkpoint.", "NAME", refused="programs cannot be checkpointed"),
    Option(("--underlay",), "flag", "Mount by an underlay.", accepted="nothing is mounted"),
    *(
        Option((f"--{name}",), "text", "Limit.", "VALUE", refused=_NO_CGROUP)
        for name in (
            *("apply-cgroups", "blkio-weight", "blkio-weight-device", "cpu-shares", "cpus", "cpuset-cpus"),
            *("cpuset-mems", "memory", "memory-reservation", "memory-swap", "pids-limit"),
        )
    ),
    Option(("--oom-kill-disable",), "flag", "Limit.", refused=_NO_CGROUP),
    *SOURCE_OPTIONS,
)
SHELL_OPTION = Option(("-s", "--shell"), "text", "Shell (default: /bin/bash, or /bin/sh).", "PROGRAM")

FILE_OPTIONS = (
    Option(("-F", "--force"), "flag", "Replace a file of that name."),
    Option(("--arch",), "text", "Architecture (default: this machine's).", "NAME"),
    Option(("--platform",), "text", "Platform, e.g. linux/arm64.", "OS/ARCH"),
    Option(("--no-cleanup",), "flag", "Keep what is unfinished.", accepted="unfinished downloads are kept by digest"),
    Option(("-U", "--allow-unsigned", "--allow-unauthenticated"), "flag", "No signature.", accepted=_NO_CHECK),
    *SOURCE_OPTIONS,
)
PULL_OPTIONS = (
    Option(("--dir",), "text", "Directory of the file (or APPTAINER_PULLFOLDER).", "DIR"),
    Option(("--name",), "text", "Name of the file.", "FILE"),
    Option(("--library",), "text", "Library.", "URI", refused="there is no library:// here; use docker://"),
    *FILE_OPTIONS,
)
BUILD_OPTIONS = (
    Option(("-s", "--sandbox"), "flag", "Make a directory instead of a file."),
    Option(("-f", "--fakeroot"), "flag", "Build as root.", accepted="nothing runs while an image is converted"),
    Option(("--fix-perms",), "flag", "Fix permissions.", accepted="the user may always read and remove the files"),
    Option(("-T", "--notest"), "flag", "No %test.", accepted="images of OCI have none"),
    Option(("-B", "--bind"), "many", "Bind.", "SPEC", accepted="nothing runs while an image is converted"),
    Option(("--nv",), "flag", "Cards.", accepted="nothing runs while an image is converted"),
    Option(("--rocm",), "flag", "Cards.", accepted="nothing runs while an image is converted"),
    Option(("--userns",), "flag", "User namespace.", accepted=_KERNEL),
    Option(("--json",), "flag", "The definition is JSON.", refused="definition files are not read; use a Dockerfile"),
    Option(("--mksquashfs-args",), "text", "Of mksquashfs.", "ARGS", accepted="images are bundles, without squashfs"),
    Option(("-u", "--update"), "flag", "Update a directory.", refused="build it again with --force"),
    Option(("--section",), "many", "Sections.", "NAME", accepted="there is no definition file"),
    Option(("-e", "--encrypt"), "flag", "Encrypt.", refused="there are no encrypted images"),
    Option(("--remote",), "flag", "Build elsewhere.", refused="build here"),
    *FILE_OPTIONS,
)
INSPECT_OPTIONS = (
    Option(("-l", "--labels"), "flag", "Labels (the default)."),
    Option(("-e", "--environment"), "flag", "Variables of the image."),
    Option(("-r", "--runscript"), "flag", "What `run` runs."),
    Option(("-d", "--deffile"), "flag", "The source of the image."),
    Option(("-s", "--startscript"), "flag", "What an instance starts: as --runscript."),
    Option(("-t", "--test"), "flag", "Test.", accepted="images of OCI have none"),
    Option(("-H", "--helpfile"), "flag", "Help.", accepted="images of OCI have none"),
    Option(("--list-apps",), "flag", "Applications.", accepted="images of OCI have none"),
    Option(("--app",), "text", "Application.", "NAME", refused="images of OCI have none"),
    Option(("-a", "--all"), "flag", "Everything, as JSON."),
    Option(("-j", "--json"), "flag", "JSON."),
)
CACHE_OPTIONS = (
    Option(("-T", "--type"), "many", "Kinds.", "LIST", accepted="there is one cache, the store"),
    Option(("-t",), "text", "Kinds.", "LIST", accepted="there is one cache, the store"),
    Option(("-v", "--verbose"), "flag", "Each image."),
    Option(("-a", "--all"), "flag", "All kinds.", accepted="there is one cache, the store"),
    Option(("-f", "--force"), "flag", "Do not ask."),
    Option(("-D", "--days"), "text", "Age.", "DAYS", refused="use `rootlay image prune --filter until=…`"),
    Option(("-n", "--dry-run"), "flag", "Remove nothing.", refused="use `rootlay prune --dry-run`"),
)
