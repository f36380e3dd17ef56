"""The whole way, in one place: the only module that knows every stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from sewdsl.compiler.front_end import Compilation, read
from sewdsl.compiler.options import Options
from sewdsl.compiler.spec import shipped_networks
from sewdsl.compiler.study_variants import CompiledVariant, compile_trial, compile_variants
from sewdsl.ir.network import Network

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

__all__ = [
    "Compilation",
    "CompiledVariant",
    "Options",
    "compile",
    "compile_trial",
    "compile_variants",
    "load",
    "read",
    "shipped_networks",
]


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
    spec: str | Path | Network, *, seed: int | None = None, optimize: int = 1, **options: Unpack[Options]
) -> SpikingNetwork:
    """The torch module of a spec or a network.

    Args:
        spec: As for :func:`load`, or a network.
        seed: Of the initial weights; None: they follow torch's global generator.
        optimize: 0: every layer by itself, as written; 1: the same in less time, apart from the rounding of sums, by
            whose last digits a spike, or among equal values the way of a gradient, may be decided otherwise; 2:
            everything, which may round otherwise in evaluation, and in gradients of weights.
        **options: See :class:`Options`; only for a spec.

    Returns:
        A module from ``[T, N, C, H, W]``, or a static ``[N, C, H, W]`` that is repeated T times, to ``[N, classes]``.

    Raises:
        SewdslError: the spec has errors.
        TypeError: options given with a network, which is final.
        ValueError: there is no such level of optimization.
    """
    from sewdsl.lower import lower  # noqa: PLC0415 -- torch takes seconds to import, and the front end needs none
    from sewdsl.passes import optimize_program  # noqa: PLC0415 -- as above

    if isinstance(spec, Network) and options:
        message = f"a network takes no options, but got {', '.join(options)}; give them to load()"
        raise TypeError(message)
    network = spec if isinstance(spec, Network) else load(spec, **options)
    return lower(optimize_program(network, optimize), seed=seed)
