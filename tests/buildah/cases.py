# ruff: noqa: E501 (a table: a case is a line)
"""Dockerfiles that rootlay, buildah and docker build from the same base and context.

Each is the text of the Dockerfile (`FROM base` is put before one that has no FROM), options of the programs' command
line, files for the context besides those of `context.fill`, and what differs from buildah's: a path or a config field,
with the reason. Where buildah cannot do a thing, `theirs` is a Dockerfile that says the same in its words. `docker` is
what differs from docker's, or why docker cannot build it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Differences = Mapping[str, str]

_LABS = "docker 26's frontend does not have the flag yet"
_SET_ID = "buildah clears the set-id bits of a context's files; BuildKit keeps them"
_EXCLUDE = "buildah compares --exclude with paths of the context; BuildKit with paths within the source"
_COPY_UP = "copying up breaks a hard link, with overlayfs as with us; buildah's driver vfs has no layers"
_OWNERS = "buildah leaves owners as in the archive; BuildKit 0.21 gives them to --chown"
_VOLUME = "buildah makes the directories of VOLUME; Docker and BuildKit leave that to whoever runs the image"
_OWNERS_26 = dict.fromkeys(
    "new/implied new/implied/dir new/implied/dir/file new/in new/in/file new/in/hard new/in/link new/kept".split(),
    "docker 26's BuildKit leaves owners as in the archive; BuildKit 0.21 gives them to --chown",
)


@dataclass(frozen=True)
class Case:
    """One Dockerfile."""

    name: str
    text: str
    options: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    differs: Differences = field(default_factory=dict)
    theirs: str = ""
    docker: Differences | str = field(default_factory=dict)

    def options_at(self, place: Path) -> list[str]:
        """The options, with the socket of an ssh agent that is in that directory."""
        return [option.replace("{agent}", str(place / "agent")) for option in self.options]

    def dockerfile(self, builder: str) -> str:
        text = (builder == "buildah" and self.theirs) or self.text
        return text if "from " in text.lower() else f"FROM base\n{text}"


CASES = [
    # COPY: where it goes
    Case("copy-file-to-new-name", "COPY f /new\n"),
    Case("copy-file-into-directory", "COPY f exe /n/e/w/\n"),
    Case("copy-into-existing-directory", "COPY f /old\n"),
    Case("copy-relative-to-workdir", "WORKDIR sub/dir\nCOPY f .\nCOPY f ../g\nCOPY f h/\n"),
    Case("copy-replaces", "COPY over/old/replaced /old/replaced\nCOPY f /old/hard\n"),
    Case("copy-directory-content", "COPY d /new\n"),
    Case("copy-directory-with-slash", "COPY d/ /new/\n"),
    Case("copy-directories-merge", "COPY over/ /\n"),
    Case("copy-keeps-modes", "COPY secret setuid exe empty /new/\n", differs={"new/setuid": _SET_ID}),
    Case("copy-empty-directory", "COPY empty /new\n"),
    Case("copy-many-sources", "COPY f d a1.txt /new/\n"),
    Case("copy-json-form", 'COPY ["with space", "ünï", "/new dir/"]\n'),
    Case("copy-wildcards", "COPY *.txt b?.log /new/\n"),
    Case("copy-wildcard-directories", "COPY d* /new/\n", docker="docker 26 fails where a wildcard comes to a link that leads nowhere"),
    Case("copy-escaped-wildcard", "COPY [[]odd] /new/\n"),
    Case("copy-link-in-source", "COPY filelink /new\nCOPY dirlink /newdir\n"),
    Case("copy-through-a-link-of-the-image", "COPY f /old/link/new\nCOPY f /old/away/new\n"),
    Case("copy-onto-a-link-of-the-image", "COPY d/inner /old/link\n"),
    Case("copy-everything", "COPY . /all/\n", differs={"all/setuid": _SET_ID}),
    Case("copy-chown-numbers", "COPY --chown=11:12 d /new\nCOPY --chown=13 f /new13\n"),
    Case("copy-chown-names", "COPY --chown=user:extra d /new\nCOPY --chown=user f /one\n"),
    Case("copy-chmod", "COPY --chmod=0751 f /new\nCOPY --chmod=600 a1.txt a2.txt /dir/\n"),
    Case("copy-chown-and-chmod", "COPY --chown=3:4 --chmod=4711 exe /new\n"),
    Case("copy-keeps-owner-under-user", "USER user\nCOPY f /new\nCOPY f /home/user/f\n"),
    Case("copy-link", "COPY --link d /new\nCOPY --link f /old/\n", theirs="COPY d /new\nCOPY f /old/\n", differs={"old": "--link knows nothing of the layers below, so it makes a directory anew; buildah has no --link"}, docker={"old": "a storage that cannot merge layers, as docker 26's, copies onto what is below"}),
    Case("copy-parents", "COPY --parents tree/x/y/z.c d/sub /new/\n",
         theirs="COPY tree/x/y/z.c /new/tree/x/y/\nCOPY d/sub /new/d/sub\n", docker=_LABS),
    Case("copy-parents-pivot", "COPY --parents tree/./x/y /new/\n", theirs="COPY tree/x/y /new/x/y\n", docker=_LABS),
    Case("copy-exclude", "COPY --exclude=*.c --exclude=x/y tree /new\n", differs={"new/top.c": _EXCLUDE, "new/x/y": _EXCLUDE, "new/x/y/z.c": _EXCLUDE}, docker=_LABS),
    Case("copy-exclude-again", "COPY --exclude=**/*.c tree /new\nCOPY --exclude=sub d /d\n", differs={"d/sub": _EXCLUDE, "d/sub/deep": _EXCLUDE}, docker=_LABS),
    Case("copy-heredoc", "COPY <<EOF /new\nhello $FROM_BASE\n\tend\nEOF\n"),
    Case("copy-heredoc-quoted", 'COPY <<"EOF" /new\nhello $FROM_BASE\nEOF\n'),
    Case("copy-heredocs", "COPY <<one <<-two /dir/\n1\none\n\t2\n\ttwo\n"),
    Case("copy-heredoc-chmod", "COPY --chmod=755 --chown=1:2 <<run.sh /bin/\n#!/bin/sh\nrun.sh\n"),
    Case("copy-variables", "ARG where=/new\nENV what=f\nCOPY $what ${where}/${missing:-there}\n"),
    Case("copy-into-volume", "COPY f /vol/new\n"),
    Case("copy-hard-links", "COPY d/hard1 d/hard2 /new/\n", differs={"new/hard2": "names of one file that one instruction copies stay names of one file"}, docker={"new/hard2": "names of one file that one instruction copies stay names of one file"}),
    Case("copy-dot-dot", "COPY ../f /new\nCOPY d/../a1.txt /one\n"),
    # ADD
    Case("add-archive", "ADD archive.tar /new/\n"),
    Case("add-archives-compressed", "ADD archive.tar.gz /gz/\nADD archive.tar.bz2 /bz2/\nADD archive.tar.xz /xz/\n"),
    Case("add-archive-zstd", "ADD archive.tar.zst /new/\n"),
    Case("add-archive-misnamed", "ADD archive.misnamed.txt /new/\n"),
    Case("add-no-archive", "ADD plain.tar.gz /new/\nADD file.gz /file.gz\n"),
    Case("add-archive-over-tree", "ADD archive.tar /old\n"),
    Case("add-archive-chown", "ADD --chown=21:22 archive.tar /new/\n", differs={"new/implied/dir/file": _OWNERS, "new/in": _OWNERS, "new/in/file": _OWNERS, "new/in/hard": _OWNERS, "new/in/link": _OWNERS, "new/kept": _OWNERS}, docker=_OWNERS_26),
    Case("add-unpack-false", "ADD --unpack=false archive.tar /new/\n", theirs="COPY archive.tar /new/\n", docker=_LABS),
    Case("add-file", "ADD f d /new/\n"),
    Case("add-checksum-heredoc", "ADD <<EOF /new\ntext\nEOF\n"),
    # RUN
    Case("run-shell", "RUN echo $FROM_BASE > /out; pwd >> /out; whoami >> /out; echo $HOME $PATH >> /out\n"),
    Case("run-exec", 'RUN ["/bin/sh", "-c", "echo $0 $1 > /out", "a b", "c"]\n'),
    Case("run-heredoc", "RUN <<EOF\necho one > /out\necho two >> /out\nEOF\n"),
    Case("run-heredoc-into-program", "RUN cat > /out <<EOF\n$FROM_BASE\nEOF\n"),
    Case("run-heredoc-shebang", "RUN <<EOF\n#!/bin/ash\necho $1 by $FROM_BASE > /out\nEOF\n",
         theirs="RUN echo $1 by $FROM_BASE > /out\n"),
    Case("run-changes-owner", "RUN chown 5:6 /old/kept && chown -R user:extra /old/sub && chmod 2755 /old\n", differs={"old/hard": _COPY_UP, "old/kept": _COPY_UP}),
    Case("run-removes", "RUN rm -r /old /etc/group && mkdir /old && echo n > /old/n\n"),
    Case("run-renames", "RUN mv /old /moved && mv /moved/sub /sub && ln -s /moved /old\n"),
    Case("run-links", "RUN ln /etc/passwd /hard && ln -s nowhere /dangling && mkfifo /pipe\n", differs={"etc/passwd": "buildah loses the link to a file of a layer below"}),
    Case("run-umask-and-set-id", "RUN umask 077; touch /private; umask 0; mkdir /open; touch /s; chmod 6755 /s\n"),
    Case("run-as-user", "USER user\nWORKDIR /home/user\nRUN touch mine; id -u > who; id -g >> who; id -G >> who\n"),
    Case("run-as-numbers", "USER 1000:1001\nRUN id > /tmp/who; touch /tmp/mine\n"),
    Case("run-as-user-and-group", "USER user:extra\nRUN id -u > /tmp/who; id -g >> /tmp/who; touch /tmp/mine\n"),
    Case("run-temporary-files", "RUN echo a > /tmp/x && rm /tmp/x\nRUN test ! -e /tmp/x && echo gone > /out\n"),
    Case("run-mount-bind", "RUN --mount=target=/m,source=d cat /m/inner > /out; ls /m >> /out\n"),
    Case("run-mount-bind-written", "RUN --mount=type=bind,target=/m,rw touch /m/new && ls /m/new > /out\n"),
    Case("run-mount-cache", "RUN --mount=type=cache,target=/c touch /c/a\nRUN ls -d /c > /out || true\n"),
    Case("run-mount-cache-default", "RUN --mount=type=cache,id=new,target=/c stat -c '%u %g %a' /c > /out\n"),
    Case("run-mount-cache-owner", "RUN --mount=type=cache,id=o,target=/c,uid=1000,gid=1001,mode=0750 stat -c '%u %g %a' /c > /out\n"
         "RUN --mount=type=cache,id=o,target=/c,uid=7 stat -c '%u %g %a' /c > /out7\n",
         differs={"out7": "buildah has one cache for an id, with the owner that it had first; BuildKit has another for another owner"}),
    Case("run-mount-cache-owner-counts", "USER 1000:1001\n"
         "RUN --mount=type=cache,id=c1,target=/c,uid=1000,mode=0700 touch /c/f && stat -c '%u %g' /c/f > /tmp/out\n"
         "RUN --mount=type=cache,id=c2,target=/c,uid=7,mode=0755 touch /c/f || echo refused > /tmp/out7\n"
         "RUN --mount=type=cache,id=c3,target=/c,gid=1001,mode=0750 ls /c && echo group > /tmp/out1001\n"),
    Case("run-mount-ssh", "RUN --mount=type=ssh stat -c '%u %g %a' $SSH_AUTH_SOCK > /out; echo $SSH_AUTH_SOCK >> /out\n"
         "RUN --mount=type=ssh,uid=1000,gid=1001,mode=0660 stat -c '%u %g %a' $SSH_AUTH_SOCK > /out1000\n",
         ("--ssh=default={agent}",), theirs="RUN echo 0 0 600 > /out; echo /run/buildkit/ssh_agent.0 >> /out\nRUN echo 1000 1001 660 > /out1000\n"),
    Case("run-mount-ssh-owner-counts", "USER 1000:1001\n"
         "RUN --mount=type=ssh test -w $SSH_AUTH_SOCK || echo refused > /tmp/out\n"
         "RUN --mount=type=ssh,uid=1000 test -w $SSH_AUTH_SOCK && echo owner > /tmp/out1000\n"
         "RUN --mount=type=ssh,gid=1001,mode=0660 test -w $SSH_AUTH_SOCK && echo group > /tmp/out1001\n",
         ("--ssh=default={agent}",), theirs="USER 1000:1001\nRUN echo refused > /tmp/out; echo owner > /tmp/out1000; echo group > /tmp/out1001\n"),
    Case("run-mount-secret-owner-counts", "USER 1000:1001\n"
         "RUN --mount=type=secret,id=one cat /run/secrets/one > /tmp/out || echo refused > /tmp/out\n"
         "RUN --mount=type=secret,id=one,target=/s,uid=1000 cat /s > /tmp/out1000\n"
         "RUN --mount=type=secret,id=one,target=/t,gid=1001,mode=0040 cat /t > /tmp/out1001; stat -c '%u %g %a' /t >> /tmp/out1001\n",
         ("--secret=id=one,src=secret",), differs={"run/secrets": "buildah leaves the directory that it made to mount on; BuildKit takes it away"}),
    Case("run-mount-tmpfs", "RUN --mount=type=tmpfs,target=/t touch /t/a && ls /t > /out\n"),
    Case("run-mount-secret", "RUN --mount=type=secret,id=one cat /run/secrets/one > /out\n",
         ("--secret=id=one,src=secret",), differs={"run/secrets": "buildah leaves the directory that it made to mount on; BuildKit takes it away"}),
    Case("run-mount-secret-where", "RUN --mount=type=secret,id=one,target=/s,uid=3,gid=4,mode=0440 "
         "stat -c '%u %g %a' /s > /out\n", ("--secret=id=one,src=secret",)),
    Case("run-network-none", "RUN --network=none ls /sys/class/net 2>/dev/null | wc -l >/dev/null; echo ok > /out\n"),
    Case("run-line-continuation", "RUN echo one \\\n  # comment\n\n  two > /out && \\\n  echo three >> /out\n"),
    Case("run-onto-workdir-made", "WORKDIR /made/here\nRUN pwd > out\n"),
    Case("shell", 'SHELL ["/bin/ash", "-e", "-c"]\nRUN false || echo $0 > /out\nSHELL ["/bin/sh", "-c"]\nCMD x\n'),
    # Configuration
    Case("env", 'ENV A=1 B="two words" C=three\\ words\nENV D legacy form here\nENV E=$A-${B} F=${Z:-d}${A:+s}\n'),
    Case("env-uses-values-before-the-line", "ENV A=old\nENV A=new B=$A\nRUN echo $A $B > /out\n"),
    Case("env-patterns", "ENV A=one.two.three\nENV B=${A#*.} C=${A##*.} D=${A%.*} E=${A%%.*} F=${A/two/2} G=${A//./-}\n"),
    Case("env-over-base", "ENV FROM_BASE=mine PATH=$PATH:/more\n", differs={"Env": "buildah puts what changed last; Docker leaves it in its place"}),
    Case("arg", "ARG A=1\nARG B\nARG C=c\nRUN echo $A $B $C > /out\nENV D=$A$B$C\n",
         ("--build-arg=B=2", "--build-arg=C=3")),
    Case("arg-before-from", "ARG TAG=latest\nARG X=global\nFROM base:$TAG\nARG X\nARG Y=${X}y\nRUN echo $X $Y > /out\n"),
    Case("arg-shadowed-by-env", "ARG A=arg\nENV A=env\nARG A=again\nRUN echo $A > /out\n", ("--build-arg=A=given",), differs={"out": "for buildah ENV wins over a later ARG; for BuildKit the later one does"}),
    Case("arg-predefined", "ARG TARGETPLATFORM\nARG TARGETARCH\nARG TARGETOS\nARG BUILDPLATFORM\n"
         "RUN echo $TARGETPLATFORM $TARGETARCH $TARGETOS $BUILDPLATFORM > /out\n"),
    Case("arg-proxy", "RUN echo $HTTP_PROXY $no_proxy > /out\n",
         ("--build-arg=HTTP_PROXY=http://proxy.invalid", "--build-arg=no_proxy=x")),
    Case("label", 'LABEL a=1 "b c"="d e" over=mine\nLABEL multi="one \\\ntwo"\nLABEL v=$FROM_BASE\n', ("--label=given=1",)),
    Case("maintainer", "MAINTAINER Some One <some@one.invalid>\n"),
    Case("expose", "EXPOSE 80 443/tcp 53/udp\nEXPOSE 9000-9002\nARG P=7\nEXPOSE $P\n", differs={"ExposedPorts": "buildah keeps a range as a range; Docker and BuildKit name each port"}),
    Case("cmd-shell", "CMD echo $HOME 'a b'\n"),
    Case("cmd-exec", 'CMD ["a", "b c"]\n'),
    Case("cmd-last-wins", 'CMD ["a"]\nCMD ["b"]\n'),
    Case("entrypoint-shell", "ENTRYPOINT exec top -b\n"),
    Case("entrypoint-resets-inherited-cmd", 'ENTRYPOINT ["/bin/echo"]\n'),
    Case("entrypoint-keeps-own-cmd", 'CMD ["x"]\nENTRYPOINT ["/bin/echo"]\n'),
    Case("not-json", "CMD [ 'single', 'quotes' ]\nENTRYPOINT [broken\n"),
    Case("volume", 'VOLUME /data /logs\nVOLUME ["/with space"]\nRUN mkdir -p /data && touch /data/kept\n', differs={"logs": _VOLUME, "with space": _VOLUME}),
    Case("volume-with-content", "RUN mkdir /data && echo a > /data/a\nVOLUME /data\nCOPY f /data/copied\n"),
    Case("user", "ARG U=user\nUSER $U\nUSER 7:8\n"),
    Case("workdir", "WORKDIR /a\nWORKDIR b\nENV W=c\nWORKDIR $W/d/../e\n"),
    Case("workdir-exists", "WORKDIR /old/sub\nWORKDIR /home/user\n"),
    Case("workdir-under-user", "USER user\nWORKDIR /made\n"),
    Case("stopsignal", "STOPSIGNAL SIGUSR1\n"),
    Case("stopsignal-number", "STOPSIGNAL 9\n"),
    Case("healthcheck", "HEALTHCHECK --interval=5m --timeout=3s --start-period=1m --retries=4 CMD test -e /f\n"),
    Case("healthcheck-exec", 'HEALTHCHECK CMD ["/bin/true"]\n'),
    Case("healthcheck-none", "HEALTHCHECK NONE\n"),
    Case("onbuild-kept", "ONBUILD RUN echo later\nONBUILD COPY f /there\n"),
    Case("onbuild-runs", "FROM onbuild\nRUN cat /triggered /triggered.run > /out\n"),
    Case("onbuild-in-stage", "FROM base AS one\nONBUILD RUN echo t > /t\nFROM one\nRUN cat /t > /out\n"),
    # Stages
    Case("stages-copy-from", "FROM base AS one\nRUN echo a > /a && chown 5:6 /a && chmod 600 /a\n"
         "FROM base\nCOPY --from=one /a /b\nCOPY --from=0 --chown=9:9 /a /c\n"),
    Case("stages-inherit", "FROM base AS one\nENV A=1\nUSER user\nRUN echo a > /tmp/a\nFROM one AS two\nRUN echo $A > /tmp/b\n"),
    Case("stages-target", "FROM base AS one\nRUN echo 1 > /one\nFROM one AS two\nRUN false\n", ("--target=one",)),
    Case("stages-unneeded", "FROM base AS broken\nRUN false\nFROM base\nRUN echo ok > /ok\n"),
    Case("stages-copy-from-image", "FROM scratch\nCOPY --from=base /etc/passwd /etc/group /etc/\nCOPY --from=base /old /old\n"),
    Case("stages-mount-from", "FROM base AS one\nRUN echo a > /a\nFROM base\nRUN --mount=from=one,target=/m cat /m/a > /out\n"),
    Case("stages-names-in-any-case", "FROM base AS One\nRUN echo a > /a\nFROM base\nCOPY --from=ONE /a /\n", theirs="FROM base AS One\nRUN echo a > /a\nFROM base\nCOPY --from=One /a /\n"),
    Case("stages-copy-directory-and-links", "FROM base AS one\nRUN mkdir -p /t/u && echo a > /t/a && ln /t/a /t/u/h && "
         "ln -s a /t/l && mkfifo /t/p && chown -hR 8:9 /t && chmod 2750 /t/u\nFROM base\nCOPY --from=one /t /t\n"),
    Case("stages-chain", "FROM base AS a\nRUN echo a > /a\nFROM base AS b\nCOPY --from=a /a /b\nFROM base\n"
         "COPY --from=b /b /c\n"),
    Case("scratch", "FROM scratch\nCOPY f /\nCMD [\"/f\"]\n"),
    Case("from-platform", "FROM --platform=linux/amd64 base\nRUN echo x > /x\n"),
    # .dockerignore and the file itself
    Case("dockerignore", "COPY . /all\n", (), {".dockerignore": "*.txt\nd/sub\n**/*.c\n# comment\n\nnode_modules\n"}, differs={"all/setuid": _SET_ID}),
    Case("dockerignore-exceptions", "COPY . /all\n", (), {".dockerignore": "docs/*\n!docs/README.md\n*\n!f\n!d/inner\n"}),
    Case("dockerignore-own", "COPY . /all\n", (), {"Dockerfile.dockerignore": "a?.txt\n", ".dockerignore": "f\n"}, differs={"all/setuid": _SET_ID}),
    Case("dockerignore-patterns", "COPY . /all\n", (), {".dockerignore": "/tree/*/y\n./a1.txt\n**/hard*\n[abc]2.*\nempty/\n"}, differs={"all/setuid": _SET_ID}),
    Case("escape-directive", "# escape=`\nFROM base\nRUN echo one `\n  two > /out\nENV A=a`$b\n", differs={"Env": "buildah does not know the escape character in variables"}),
    Case("comments-and-case", "# a comment\nfrom base\n# another\nrun echo a > /out\n   # indented\ncopy f /new\n"),
]  # fmt: skip
