"""The whole way, in one place: the only module that knows every stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from sewdsl.compiler.front_end import Compilation, read
from sewdsl.compiler.spec import Options, networks, shipped_networks, trained_networks
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
    "networks",
    "read",
    "shipped_networks",
    "trained_networks",
]


def load(spec: str | Path, **options: Unpack[Options]) -> Network:
    """Return the network of a spec.

    Args:
        spec: A path, the name of a shipped network, or a compact string.
        **options: See :class:`Options`: ``input="2x128x128"``, ``steps=16``, ``set={"join": "IAND"}``.

    Raises:
        SewdslError: the spec has errors; ``.diagnostics`` has all of them.
    """
    return read(spec, **options).result()


def compile(
    spec: str | Path | Network,
    *,
    seed: int | None = None,
    optimize: int = 1,
    weights: Literal["trained"] | None = None,
    **options: Unpack[Options],
) -> SpikingNetwork:
    """Return the torch module of a spec or a network.

    Args:
        spec: As for :func:`load`, or a network.
        seed: Of the initial weights; None: they follow torch's global generator.
        optimize: 0: every layer by itself, as written; 1: the same in less time, apart from the rounding of sums, by
            whose last digits a spike, or among equal values the way of a gradient, may be decided otherwise; 2:
            everything, which may round otherwise in evaluation, and in gradients of weights.
        weights: ``"trained"``: the weights that are shipped with a network, see :func:`trained_networks`. The module is
            in evaluation mode then. None: random weights.
        **options: See :class:`Options`; only for a spec.

    Returns:
        A module from ``[T, N, C, H, W]``, or a static ``[N, C, H, W]`` that is repeated T times, to ``[N, classes]``.

    Raises:
        SewdslError: the spec has errors.
        TypeError: options given with a network, which is final.
        ValueError: there is no such level of optimization, or there are no such weights.
    """
    from sewdsl.lower import lower
    from sewdsl.passes import optimize_program

    if isinstance(spec, Network) and options:
        raise TypeError(f"a network takes no options, but got {', '.join(options)}; give them to load()")
    network = spec if isinstance(spec, Network) else load(spec, **options)
    file = None if weights is None else _weights_file(spec, weights)
    model = lower(optimize_program(network, optimize), seed=seed)
    if file is None:
        return model
    from sewdsl.tensor_file import decode_tensors

    try:
        model.load_state_dict(decode_tensors(file.read_bytes())[0])
    except RuntimeError as error:
        last = str(error).splitlines()[-1].strip()
        raise ValueError(f"the trained weights of {spec} do not fit the network with these options: {last}") from None
    return model.eval()


def _weights_file(spec: str | Path | Network, weights: str) -> Path:
    """Return the file of the weights that are shipped with a network.

    Raises:
        ValueError: If there are none.
    """
    files = trained_networks()
    if weights != "trained":
        message = f"weights is 'trained' or None, not {weights!r}; load_state_dict and sewdsl.load_trained read files"
        raise ValueError(message)
    if not isinstance(spec, str) or spec not in files:
        name = spec.name if isinstance(spec, Network) else spec
        raise ValueError(f"there are no trained weights of '{name}'; networks with trained weights: {', '.join(files)}")
    return files[spec]
