"""The blocks that every text may call, from ``nets/blocks.net``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from sewdsl.diagnostics import SewdslError
from sewdsl.elaborate.assembly import assemble
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import BlockDefinition


@cache
def shipped_blocks() -> Mapping[str, BlockDefinition]:
    """Definitions by name without white space, in the order of the file.

    Raises:
        SewdslError: the file is damaged.
    """
    path = resource_folder("nets") / "blocks.net"
    reporter = Reporter()
    document = reporter.take(parse(Source("blocks.net", path.read_text(encoding="utf-8"))))
    blocks = reporter.take(assemble(document, lambda _: None)).blocks
    if reporter.errors:
        raise SewdslError(reporter)
    return MappingProxyType(dict(blocks))
