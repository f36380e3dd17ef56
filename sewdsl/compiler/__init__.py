"""Public compiler interface: from a spec to a network or a PyTorch module."""

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
        spec: Path, name of a shipped network, or layer string.
        **options: See :class:`Options`: ``input="2x128x128"``, ``steps=16``, ``set={"join": "IAND"}``.

    Raises:
        SewdslError: If the spec has errors. ``.diagnostics`` contains all diagnostics.
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
    """Return the PyTorch module of a spec or a network.

    Args:
        spec: As for :func:`load`, or a network.
        seed: Seed of the initial weights. None: PyTorch's global generator is used.
        optimize: Optimization level. 0: compute layer by layer. 1: default passes. 2: all passes. Results are equal up
            to rounding. Rounding can change single spikes, or select another of several equal maxima in a gradient.
        weights: ``"trained"``: weights shipped with the network, see :func:`trained_networks`. The module is in
            evaluation mode. None: random weights.
        **options: See :class:`Options`. Only for a spec.

    Returns:
        A module from ``[T, N, C, H, W]``, or a static ``[N, C, H, W]`` that is repeated T times, to ``[N, classes]``.

    Raises:
        SewdslError: If the spec has errors.
        TypeError: If options are passed with a network.
        ValueError: If the optimization level or the weights do not exist.
    """
    # PyTorch takes seconds to import, and load() does not need it.
    from sewdsl.lower import lower
    from sewdsl.passes import optimize_program

    if isinstance(spec, Network) and options:
        raise TypeError(f"options cannot be combined with a Network, got {', '.join(options)}; pass them to load()")
    network = spec if isinstance(spec, Network) else load(spec, **options)
    # Invalid weights are reported before the network is built.
    file = None if weights is None else _weights_file(spec, weights)
    model = lower(optimize_program(network, optimize), seed=seed)
    if file is None:
        return model
    from sewdsl.tensor_file import decode_tensors

    try:
        model.load_state_dict(decode_tensors(file.read_bytes())[0])
    except RuntimeError as error:
        # PyTorch lists one mismatch per line. The last one is enough to identify the layer.
        last = str(error).splitlines()[-1].strip()
        raise ValueError(f"the trained weights of {spec} do not fit the network with these options: {last}") from None
    return model.eval()


def _weights_file(spec: str | Path | Network, weights: str) -> Path:
    """Return the weights file shipped with a network, or raise ValueError if there is none."""
    files = trained_networks()
    if weights != "trained":
        message = f"weights must be 'trained' or None, got {weights!r}; use sewdsl.load_trained or load_state_dict"
        raise ValueError(message)
    # Only the shipped networks have shipped weights. A file of the same name may define another network.
    if not isinstance(spec, str) or spec not in files:
        name = spec.name if isinstance(spec, Network) else spec
        raise ValueError(f"no trained weights for '{name}'; networks with trained weights: {', '.join(files)}")
    return files[spec]
