"""Random arguments of operations on an overlay: paths, most of them of what exists, modes, contents."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

LONG = b"n" * 253

names = st.sampled_from([b"a", b"b", b"c", b"d", LONG])


@dataclass(frozen=True)
class Pick:
    """A path, chosen when the rule runs: most are of what exists, or of a new name in a directory that exists."""

    kind: str
    number: int
    parts: tuple[bytes, ...]
    tail: bytes


kinds = st.sampled_from(["existing", "existing", "existing", "directory", "beside", "beside", "random"])
some_names = st.lists(names, min_size=1, max_size=3).map(tuple)
paths = st.builds(Pick, kinds, st.integers(0, 200), some_names, st.just(b""))
tails = st.sampled_from([b"", b"", b"", b"", b"/", b"/."])
loose_paths = st.builds(Pick, kinds, st.integers(0, 200), some_names, tails)
# No `..` and nothing absolute: in the plain directory that would leave the test.
targets = st.one_of(st.lists(names, min_size=1, max_size=2).map(b"/".join), st.sampled_from([b".", b"a/", b"./b"]))
# The ordinary user has to keep access to the plain directory; the overlay's user 0 has it anyway.
modes = st.sampled_from([0o755, 0o700, 0o777, 0o1777, 0o711])
file_modes = st.sampled_from([0o644, 0o600, 0o755, 0o666])
owners = st.sampled_from([-1, 0, 1, 65534])
contents = st.sampled_from([b"", b"x", b"hello\n", b"y" * 5000])
