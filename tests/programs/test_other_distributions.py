"""Package managers of other distributions inside RUN: dnf with rpm, and apk; the build makes their repositories.

An ordinary user builds. dnf comes from Debian. apk comes in an Alpine root file system, a tar that ROOTLAY_TEST_ALPINE
names: Debian does not have it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Rootlay
from tests.programs.conftest import Machine

pytestmark = pytest.mark.long_form

BUILD_S = 600
LONG = bool(os.environ.get("ROOTLAY_TEST_LONG"))
NETWORK = bool(os.environ.get("ROOTLAY_TEST_NETWORK"))
ALPINE = os.environ.get("ROOTLAY_TEST_ALPINE", "")

# rpm 4.20 runs scriptlets in namespaces of their own, which nobody without privileges gets, in Docker neither.
RPM = {
    "Dockerfile": """\
FROM image
RUN apt-get update -q && apt-get install -qy --no-install-recommends dnf rpm createrepo-c >/dev/null
WORKDIR /src
COPY hello.spec .
RUN rpmbuild --quiet -bb --define "_topdir /src" hello.spec && createrepo_c -q RPMS
RUN mkdir -p /etc/yum.repos.d /etc/rpm && echo '%__transaction_unshare %{nil}' > /etc/rpm/macros.unshare \\
 && printf '[local]\\nname=local\\nbaseurl=file:///src/RPMS\\ngpgcheck=0\\n' > /etc/yum.repos.d/local.repo
RUN dnf -qy install hello
RUN hello-rpm && cat /var/lib/hello && rpm -q hello && dnf -qy remove hello && test ! -e /usr/bin/hello-rpm
""",
    "hello.spec": """\
Name: hello
Version: 1
Release: 1
Summary: A greeting
License: Apache-2.0
BuildArch: noarch
Provides: /bin/sh
%description
A greeting.
%install
mkdir -p %{buildroot}/usr/bin
printf '#!/bin/sh\\necho hello from an rpm\\n' > %{buildroot}/usr/bin/hello-rpm
chmod 755 %{buildroot}/usr/bin/hello-rpm
%post
echo the scriptlet ran as $(id -u) > /var/lib/hello
%files
/usr/bin/hello-rpm
""",
}


# A package for apk 3 with a script, its index, and both ways in: by the repository, and as a file.
APK = {
    "Dockerfile": """\
FROM alpine
WORKDIR /src
COPY --chmod=755 . .
RUN apk mkpkg --files files --info name:hello --info version:1.0-r0 --info arch:noarch \\
      --info "description:a greeting" --info license:Apache-2.0 --script post-install:post-install \\
      -o hello-1.0-r0.apk \\
 && apk mkndx --allow-untrusted -o Packages.adb *.apk
RUN apk add --no-network --allow-untrusted --repositories-file /dev/null --repository /src/Packages.adb hello
RUN hello-apk && cat /var/lib/hello && apk info -e hello && stat -c "%a %u" /usr/bin/hello-apk \\
 && apk audit --system /usr/bin && apk del --no-network hello && test ! -e /usr/bin/hello-apk
RUN apk add --no-network --allow-untrusted ./hello-1.0-r0.apk && apk info -L hello
""",
    "files/usr/bin/hello-apk": "#!/bin/sh\necho hello from an apk\n",
    "post-install": "#!/bin/sh\nmkdir -p /var/lib\necho the script ran as $(id -u) > /var/lib/hello\n",
}


def build(rootlay: Rootlay, directory: Path, name: str, files: dict[str, str]) -> str:
    """What the build says; afterwards the image is called NAME."""
    for path, content in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(content)
    try:
        return rootlay("build", "-t", name, str(directory), timeout_s=BUILD_S).stderr.decode()
    finally:
        rootlay("builder", "prune", "--all")


@pytest.mark.skipif(not NETWORK, reason="ROOTLAY_TEST_NETWORK is not set: no package server to ask")
@pytest.mark.skipif(not LONG, reason="ROOTLAY_TEST_LONG is not set")
def test_dnf_installs_a_package_that_rpmbuild_has_made(debian: Machine, tmp_path: Path) -> None:
    said = build(debian.rootlay, tmp_path, "rpm", RPM)
    assert "hello from an rpm" in said
    assert "the scriptlet ran as 0" in said
    assert "hello-1-1.noarch" in said


@pytest.mark.skipif(not ALPINE, reason="ROOTLAY_TEST_ALPINE does not name an Alpine root file system")
def test_apk_installs_a_package_that_apk_has_made(tmp_path: Path) -> None:
    rootlay = Rootlay(tmp_path / "store")
    rootlay("import", ALPINE, "alpine")
    said = build(rootlay, tmp_path / "context", "apk", APK)
    assert "hello from an apk" in said
    assert "the script ran as 0" in said
    assert "755 0" in said
    assert "usr/bin/hello-apk" in said
    assert rootlay.out("run", "--rm", "apk", "hello-apk") == "hello from an apk\n"
