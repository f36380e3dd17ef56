"""The whole way, in one place: the only module that knows every stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sewdsl.checks import check
from sewdsl.compiler.options import Options, limits, overrides
from sewdsl.compiler.spec import Found, find, shipped
from sewdsl.diagnostics import Diagnostic, Diagnostics, SewdslError
from sewdsl.elaborate import Assembly, Context, Elaboration, Importer, assemble, elaborate, override
from sewdsl.ir.network import Network
from sewdsl.resources import folder
from sewdsl.source import Source
from sewdsl.syntax.parser import parse, parse_compact
from sewdsl.syntax.tree import BlockDefinition, Document

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

__all__ = ["Compilation", "Options", "compile", "load", "read", "shipped"]


@dataclass(frozen=True)
class Compilation:
    """Everything that is known of a spec.

    Attributes:
        found: The text; None where the spec names none.
        document: Its tree.
        assembly: Its statements with those of used files and the overrides.
        network: The network; with errors it ends before what is broken, or is None.
        diagnostics: All that was said, sorted.
    """

    found: Found | None
    document: Document | None
    assembly: Assembly | None
    network: Network | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def valid(self) -> bool:
        """Whether nothing said is an error; a library of blocks and settings is valid without a network."""
        return not Diagnostics(list(self.diagnostics)).errors

    def result(self) -> Network:
        """The network.

        Raises:
            SewdslError: the spec has errors, or is a library.
        """
        if self.network is not None and self.valid:
            return self.network
        said = Diagnostics(list(self.diagnostics))
        if self.valid and self.document is not None:
            span = self.document.span
            said.report("missing-body", "this is a library: it has no network of its own", span, help="add 'body …'")
        raise SewdslError(said)


@cache
def _library() -> dict[str, BlockDefinition]:
    """The blocks that every text may call, from ``nets/blocks.net``."""
    path = folder("nets") / "blocks.net"
    diagnostics = Diagnostics()
    document = parse(Source("blocks.net", path.read_text(encoding="utf-8")), diagnostics)
    blocks = assemble(document, diagnostics, lambda _: None).blocks
    if diagnostics.errors:
        raise SewdslError(diagnostics)
    return blocks


def read(spec: str | Path | Source, **options: Unpack[Options]) -> Compilation:
    """Compiles a spec up to its network, and says all that there is to say about it; raises nothing.

    Args:
        spec: A path, the name of a shipped network, a compact string, or a text with a name.
        **options: See :class:`Options`.
    """
    diagnostics = Diagnostics()
    bounds = limits(options, diagnostics)
    found = find(spec, diagnostics, bounds)
    if found is None:
        return Compilation(None, None, None, None, diagnostics.sorted)
    document = (parse_compact if found.compact else parse)(found.source, diagnostics, bounds)
    importer = Importer(found.file, found.source.name, diagnostics, bounds)
    assembly = assemble(document, diagnostics, importer.use)
    override(assembly, overrides(options), diagnostics, bounds)
    try:
        made = elaborate(assembly, document, Context(found.name, _library(), bounds), diagnostics)
    except RecursionError:
        message, hint = "the network nests deeper than can be followed", "lower --limit nesting, or nest less"
        diagnostics.report("nesting-too-deep", message, document.span, help=hint)
        made = Elaboration(None, whole=False)
    if made.network is not None:
        diagnostics.extend(check(made.network, whole=made.whole))
    return Compilation(found, document, assembly, made.network, diagnostics.sorted)


def load(spec: str | Path, **options: Unpack[Options]) -> Network:
    """The network of a spec.

    Args:
        spec: A path, the name of a shipped network, or a compact string.
        **options: See :class:`Options`: ``input="2x128x128"``, ``steps=16``, ``set={"join": "IAND"}``.

    Raises:
        SewdslError: the spec has errors; ``.diagnostics`` has all of them.
    """
    return read(spec, **options).result()


def compile(  # noqa: A001 -- what it does
    spec: str | Path | Network, *, seed: int | None = None, **options: Unpack[Options]
) -> SpikingNetwork:
    """The torch module of a spec or a network.

    Args:
        spec: As for :func:`load`, or a network.
        seed: Of the initial weights; None: they follow torch's global generator.
        **options: See :class:`Options`; only for a spec.

    Returns:
        A module from ``[T, N, C, H, W]``, or a static ``[N, C, H, W]`` that is repeated T times, to ``[N, classes]``.

    Raises:
        SewdslError: the spec has errors.
        TypeError: options beside a network, which is final.
    """
    from sewdsl.lower import lower  # noqa: PLC0415 -- torch takes seconds to import, and the front end needs none

    if isinstance(spec, Network):
        if options:
            message = f"a network takes no options, but got {', '.join(options)}; give them to load()"
            raise TypeError(message)
        return lower(spec, seed=seed)
    return lower(load(spec, **options), seed=seed)
