"""Docker's reference grammar."""

from __future__ import annotations

import pytest

from rootlay.store.model.errors import BadReference
from rootlay.store.model.reference import Reference

_DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("debian", "docker.io/library/debian:latest", "debian:latest"),
        ("debian:12", "docker.io/library/debian:12", "debian:12"),
        ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ("me/app", "docker.io/me/app:latest", "me/app:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("quay.io/a/b/c", "quay.io/a/b/c:latest", "quay.io/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"debian@{_DIGEST}", f"docker.io/library/debian@{_DIGEST}", f"debian@{_DIGEST}"),
        (f"debian:12@{_DIGEST}", f"docker.io/library/debian:12@{_DIGEST}", f"debian:12@{_DIGEST}"),
        ("a_b__c-d.e", "docker.io/library/a_b__c-d.e:latest", "a_b__c-d.e:latest"),
    ],
)
def test_references_are_completed_and_shortened(text: str, full: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert Reference.parse(familiar) == reference


@pytest.mark.parametrize(
    "text",
    ["", ":tag", "a:", "Debian", "a//b", "/a", "a/", "a b", "a:b c", "-a", "a___b", "a" * 256, "b" * 64, "a@sha256:12",
     "a:" + "t" * 129, "http://a/b", "a\n", "..", "a/../b"],
)  # fmt: skip
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(BadReference):
        Reference.parse(text)
