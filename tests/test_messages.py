"""Messages keep to docs/style.md: one line, no full stop, none of the words that it replaces."""

from __future__ import annotations

import re

from tests.support.messages import messages

AVOIDED = re.compile(
    r"\b(?:anew|mended|(?<!-)gone|trouble|whoever|nobody|somebody|everybody|by and by|for ever|asks? for|asked for|"
    r"(?<!there )is no(?! longer)|are none|goes round|cut|stands|in the clear|what is|what was|may not)\b"
)


def test_messages_are_plain() -> None:
    found = list(messages())
    assert len(found) > 500
    for place, call, words in found:
        assert "\n" not in words, (place, words)
        assert not words.endswith(".") or call.endswith("drawn"), (place, words)
        avoided = AVOIDED.search(words)
        assert avoided is None, f"{place}: {words!r} has {avoided[0]!r}: see docs/style.md, Words"
