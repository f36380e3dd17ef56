"""The blocks that every text may call, from ``nets/blocks.net``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sewdsl.elaborate.shipped_definitions import ShippedDefinitions
from sewdsl.syntax.tree import BlockDefinition


@cache
def shipped_blocks() -> Mapping[str, BlockDefinition]:
    """Definitions by name without white space, in the order of the file; reading a damaged one raises SewdslError."""
    return ShippedDefinitions("blocks.net", BlockDefinition)
