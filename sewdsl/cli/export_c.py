"""``sewdsl export RUN net.c``: a trained network as C99 in integers."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sewdsl.cli.files import fail, write_files
from sewdsl.plugins import installed_version
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from sewdsl.exchange.write.c.write_file import CFile
    from sewdsl.integers.build import IntegerFormat
    from sewdsl.integers.network import IntegerNetwork
    from sewdsl.integers.value import Integers
    from sewdsl.ir.network import Network
    from sewdsl.ir.settings import InputSetting
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs
    from sewdsl.train.probe_target import ProbeSamples

MAX_VECTORS, MAX_VECTOR_SIZE = 8, 1 << 18
"""Largest number of test samples in the file, and largest number of their integers."""


class CExport(NamedTuple):
    """Options of an export to C."""

    formats: IntegerFormat
    """Bits of weights and potentials."""
    prefix: str = "net"
    """Prefix of the functions, types and macros instead of ``net``."""
    check: bool = False
    """Whether to compile the file and compare it with the reference."""
    hoist: bool = False
    """Whether to compute the layers before the first neurons once, if the input is static."""
    pack: bool = False
    """Whether to store eight spikes in a byte."""
    calibrate: int = 0
    """Number of training samples that measure the ranges of rounded currents."""


def export_c(
    model: SpikingNetwork,
    out: Path,
    options: CExport,
    samples: ProbeSamples | None,
    training: ProbeSamples | None = None,
    *,
    labelled: bool,
) -> None:
    """Write the C file and its header, and print its memory and its accuracy.

    Args:
        samples: Samples for the test vectors, or None.
        training: Samples that measure the ranges of rounded currents, or None for proven ranges.
        labelled: Whether the samples have classes, so that accuracies can be printed.

    Raises:
        NoIntegerLaw: If a layer cannot be computed in integers.
    """
    import numpy as np

    from sewdsl.exchange.write.c.write_file import SampleVectors, write_c
    from sewdsl.integers.build import build_integer_network
    from sewdsl.integers.calibration import measure_ranges
    from sewdsl.train.fit.integer_run import input_scaling, to_integers

    build = partial(build_integer_network, model, input_scaling(model), options.formats)
    network = build(None if training is None else {})
    if training is not None:
        network = build(measure_ranges(model, network, (x for x, _ in training.batches)))
    network = replace(network, hoist=options.hoist, packed=options.pack)
    batches = [] if samples is None else [(to_integers(x, network), x, y) for x, y in samples.batches]
    count = count_vectors(model.network)
    first = (batches[0][0][:count] if network.static else batches[0][0][:, :count]) if batches else None
    vectors = None
    if first is not None:
        vectors = SampleVectors(network.by_sample(first), np.concatenate([*network.run(first).values()], 1))
    text = "" if samples is None else _accuracies(model, network, batches, labelled=labelled)
    file = write_c(network, _comment(model, network, text), vectors)
    # The first comment contains the text of the network, whose names stay.
    comment, end, code = file.source.partition("*/")
    source, header = comment + end + rename(code, options.prefix), rename(file.header, options.prefix)
    kept = "potentials and delays" if any(network.delays) else "potentials"
    bits = " and ".join(str(8 * width) for width in sorted({width for width, _ in network.state_members}))
    memory = (
        f"flash {file.flash:,} bytes of tables, RAM {file.ram:,} bytes ({file.potentials:,} for {kept}"
        f"{f' of {bits} bits' if bits else ''}, {file.values:,} for values)"
    )
    message = f"{out}: {network.name} as C99, {len(source):,} bytes: {memory}"
    interface = out.with_suffix(".h")
    write_files((out, source.encode(), message), (interface, header.encode(), f"{interface}: interface"))
    for note in network.notes:
        echo(f"note: {note}")
    if text:
        echo(text)
    if options.check and first is not None:
        _check(network, file, first)


def count_vectors(network: Network) -> int:
    """Return the number of test samples in the file, which is smaller for large inputs."""
    settings = network.settings
    size = sum(prod(source.shape) * (1 if source.encode == "direct" else settings.steps) for source in settings.sources)
    return min(MAX_VECTORS, max(1, MAX_VECTOR_SIZE // size))


def random_samples(model: SpikingNetwork, seed: int) -> ProbeSamples:
    """Return random integers as input, pixels or sparse counts, without classes."""
    import numpy as np
    import torch

    from sewdsl.train.fit.integer_run import input_scaling
    from sewdsl.train.probe_target import ProbeSamples

    scaling, settings, count = input_scaling(model), model.network.settings, count_vectors(model.network)
    random, dtype = np.random.default_rng(seed), next(model.parameters()).dtype

    def draw(source: InputSetting) -> Tensor:
        static, (high, *numbers) = source.encode == "direct", scaling.of_source(source)
        shape = (count, *source.shape) if static else (settings.steps, count, *source.shape)
        n = random.integers(0, high + 1, shape) if static else np.minimum(random.poisson(0.3, shape), high)
        factor, shift = (np.asarray(x).reshape(-1, *[1] * (len(source.shape) - 1)) for x in numbers)
        return torch.from_numpy(n * factor + shift).to(dtype)

    x: Inputs = (
        {source.name: draw(source) for source in settings.sources} if settings.inputs else draw(settings.sources[0])
    )
    return ProbeSamples([(x, torch.zeros(count, dtype=torch.int64))], None, count, 0)


def rename(source: str, prefix: str) -> str:
    """Return a file with another prefix of its names."""
    return re.sub(r"\bnet(?=[_.])", prefix, re.sub(r"\bNET_", f"{prefix.upper()}_", source))


def _accuracies(
    model: SpikingNetwork,
    network: IntegerNetwork,
    batches: Iterable[tuple[Integers, Tensor, Tensor]],
    *,
    labelled: bool,
) -> str:
    """Return a line for each output that is a class: accuracies in floats and in integers, number of equal classes."""
    import torch

    names = [each.name for each in network.readouts if not labelled or each.name in model.network.classified]
    results: dict[str, list[tuple[Integers, ...]]] = {name: [] for name in names}
    for n, x, y in batches:
        with torch.no_grad():
            floats, integers = model(x), network.run(n)
        for name, result in results.items():
            classes = (floats[name] if name else floats).argmax(1).numpy()
            result.append((classes, integers[name].argmax(1), y.numpy()))
    return "\n".join(_describe_result(name, result, labelled=labelled) for name, result in results.items())


def _describe_result(name: str, batches: Iterable[tuple[Integers, ...]], *, labelled: bool) -> str:
    """Return the line of an output, from its classes in floats and in integers, and the labels."""
    import numpy as np

    floats, integers, labels = map(np.concatenate, zip(*batches, strict=True))
    prefix, equal, count = f"{name}: " if name else "", int((floats == integers).sum()), len(labels)
    if not labelled:
        return f"{prefix}the same class as in floats for {equal:,} of {count:,} random inputs"
    accuracies = [f"{(classes == labels).mean():.2%}" for classes in (floats, integers)]
    return (
        f"{prefix}accuracy on {count:,} test samples: {accuracies[0]} in floats, {accuracies[1]} in integers, "
        f"the same class for {equal:,}"
    )


def _comment(model: SpikingNetwork, network: IntegerNetwork, accuracy: str) -> str:
    """Return the first comment of the file: origin, bounds and the text of the network."""
    from sewdsl.exchange.write.formats import file_metadata

    lines = [
        f"{network.name} in integers, written by sewdsl {installed_version('sewdsl')}.",
        *(f"{line}." for line in accuracy.splitlines()),
        *(f"Note: {note}." for note in network.notes),
        "",
        "Largest potential of each neuron layer, proven for all inputs:",
        *(f"  {step.name}: {step.bound:,}{' (saturates)' if step.saturates else ''}" for _, step in network.neurons),
        "",
        *file_metadata(model.network, "")["spec"].rstrip().splitlines(),
    ]
    return "\n   ".join(line.replace("*/", "* /").replace("/*", "/ *") for line in lines).replace("   \n", "\n")


def _check(network: IntegerNetwork, file: CFile, x: Integers) -> None:
    """Compile the file, compare all values and potentials with the reference, and exit if they differ."""
    import numpy as np

    from sewdsl.exchange.write.c.run_file import differing_steps, find_compiler, run_c, run_reference
    from sewdsl.integers.steps.functions import Rescaled

    samples, expected = x.shape[0 if network.static else 1], run_reference(network, x)
    limits = {i: step.limit for i, step in enumerate(network.steps) if isinstance(step, Rescaled) and step.limit}
    saturated = dict.fromkeys(limits, 0)

    def count(_t: int, index: int, value: Integers) -> None:
        if index in limits:
            saturated[index] += int((np.abs(value) == limits[index]).sum())

    network.run(x, count)
    for flags in (("-O2", "-DNET_LANES=0"), ("-O2",)):
        differing = differing_steps(network, run_c(network, x, flags, file.source), expected)
        if differing:
            fail(f"{samples} samples: C and the reference differ in {', '.join(differing)} ({' '.join(flags)})")
    compiler = f"{Path(find_compiler() or '').name} -std=c99 {' '.join(flags)}"
    echo(f"{samples} samples: C and the reference agree in every value and potential ({compiler})")
    for index, number in saturated.items():
        step = network.steps[index]
        echo(f"{step.name}: {number:,} of {samples * network.T * step.value.elements:,} rounded currents saturate")
