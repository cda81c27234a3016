"""Names for containers that got none: two words, a familiar form."""

from __future__ import annotations

import os

_FIRST = (
    "amber brave brisk calm clear clever cosy crisp daring deft eager early fair fleet fond frank gentle glad golden "
    "grand happy hardy honest humble jolly keen kind lively loyal lucid lucky mellow merry mild modest neat nimble "
    "noble patient placid plucky polite prompt proud quick quiet ready robust serene sharp silent sincere smart snug "
    "sober sound steady still sturdy subtle sunny sure swift tidy trusty upbeat vivid warm wise witty zesty"
).split()
_SECOND = (
    "alder ash aspen badger beech birch bison bramble brook cedar clover comet coral cricket curlew cypress dahlia "
    "delta dune egret elm ember falcon fern finch fjord fox gale garnet glacier grove harbor hare hawk hazel heron "
    "hickory iris ivy jay juniper kestrel lagoon lark larch laurel lichen linden lotus lynx magpie maple marten meadow "
    "moss oak opal orchid osprey otter owl pebble pine plover poplar quail quartz raven reed ridge robin rowan sage "
    "sequoia sparrow spruce stork swallow swan teal thistle thrush tundra vale walnut willow wren yarrow yew"
).split()


def random_name() -> str:
    """Return a name like `quiet_heron` with four hex digits: there are about 400 million of them."""
    chosen = int.from_bytes(os.urandom(8), "little")
    first, second = _FIRST[chosen % len(_FIRST)], _SECOND[(chosen >> 16) % len(_SECOND)]
    return f"{first}_{second}_{chosen >> 48:04x}"
