"""Options that several commands share, and how they lead to a network or initial weights."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.compiler import Compilation, Options, read, shipped_networks
from sewdsl.diagnostics import Diagnostic, SewdslError
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.elaborate.text_files import decode_text
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import parse_memory
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source, Span
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.fit.run_weights import InitialWeights


def complete_network(incomplete: str) -> list[str]:
    """Complete the name of a shipped network. No text is read for it."""
    return [name for name in shipped_networks() if name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """Complete the name of a shipped network, or of a folder or a network in the current folder.

    Without such a network nothing is completed: a shell then completes names of files itself, and better, since it puts
    no blank after a folder.
    """
    names = complete_network(incomplete)
    if not names:
        return []
    try:
        near = [f"{path.name}/" if path.is_dir() else path.name for path in sorted(Path().glob("[!.]*"))]
    except OSError:
        near = []
    return [*names, *(name for name in near if name.startswith(incomplete) and name.endswith(("/", ".net")))]


class Device(StrEnum):
    """What a network runs on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


RunsOn = Annotated[Device, typer.Option("--device", help="What it runs on; auto: a GPU if there is one.")]
Spec = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        help="A .net file, the name of a shipped network (see 'nets'), a quoted compact string, or -.",
        autocompletion=complete_spec,
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder that 'train' has written.")]
Input = Annotated[str | None, typer.Option("--input", metavar="CxHxW", help="Shape of the input, e.g. 2x128x128.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the data set, or of several; $SEWDSL_DATA unless given."),
]
Readers = Annotated[
    int | None,
    typer.Option(
        "--readers",
        metavar="N",
        min=0,
        max=256,
        help="Threads that read samples ahead, not as many as the data set asks for.",
    ),
]
InMemory = Annotated[
    str | None,
    typer.Option("--in-memory", metavar="SIZE", help="Keep frames of data sets up to this size, e.g. 4GB, not 512MiB."),
]
Best = Annotated[bool, typer.Option("--best", help="With a RUN: the weights of its best epoch, not of its last.")]
Prices = Annotated[
    tuple[float, float] | None,
    typer.Option("--costs", metavar="MAC AC", min=0, max=1e9, help="With energy: pJ of each, not 4.6 and 0.9."),
]
MemoryPrices = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--memory-costs", metavar="WEIGHT MEMBRANE", min=0, max=1e9, help="With energy: pJ of a word, not 5 and 5."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table; 'schema' says of which form.")]


def require(*rules: tuple[object, object, str]) -> None:
    """Exit with a usage error for the first option that is given without what it requires.

    Args:
        rules: Option, requirement and message, in order of precedence. An option is given if its value is true. A rule
            for options that exclude each other has them as the option, and a requirement that is false.
    """
    for option, requirement, message in rules:
        if option and not requirement:
            exit_with_usage_error(message)


def exit_with_usage_error(message: str, hint: str = "", context: Any = None) -> NoReturn:
    """Exit with a usage error (code 2).

    Args:
        hint: What follows it, such as the name that may be intended.
        context: Of a command that is not running yet.
    """
    raise typer.BadParameter(f"{message}; {hint}" if hint else message, ctx=context)


def not_among(what: str, choices: Sequence[str], found: str, context: Any = None) -> NoReturn:
    """Exit with a usage error that lists the choices of an option or argument and names the nearest one."""
    exit_with_usage_error(
        f"{what} takes {join_choices(choices)}, not '{found[:40]}'", did_you_mean(found, choices), context
    )


def join_choices(choices: Sequence[str]) -> str:
    """``a, b or c``."""
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else "".join(choices)


def _pairs(items: list[str] | None, option: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in items or ():
        key, equals, value = item.partition("=")
        if not (key.strip() and equals and value.strip()):
            exit_with_usage_error(f"{option} takes NAME=VALUE, e.g. {option} {example}, not '{item}'")
        pairs[key.strip()] = value.strip()
    return pairs


def reading_options(readers: int | None, in_memory: str | None = None) -> Reading:
    """How samples are read, from the options of the command line."""
    from sewdsl.train.data.dataset import IN_MEMORY_BYTES, Reading

    limit = IN_MEMORY_BYTES if in_memory is None else 0 if in_memory == "0" else parse_memory(in_memory)
    if limit is None:
        exit_with_usage_error(f"--in-memory takes 0, or a size such as 4GB, 1.5GB, 800MB or 512MiB, not '{in_memory}'")
    return Reading(readers, limit)


def license_option(text: str) -> str:
    """Return the identifier of a licence; exits with a usage error if it is none."""
    from sewdsl.train.store.run_notes import parse_license

    try:
        return parse_license(text)
    except ValueError as error:
        exit_with_usage_error(f"--license: {error}")


class SpecOptions(NamedTuple):
    """Options of a command that compiles a spec; each is an option of the command line."""

    input: Input = None
    steps: Annotated[str | None, typer.Option("--steps", metavar="T", help="Time-steps.")] = None
    neuron: Annotated[
        str | None, typer.Option("--neuron", metavar="NEURON", help="What SN means, e.g. 'LIF(tau=2.0)'.")
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a setting, e.g. join=IAND or train.optimizer.lr=0.03."
        ),
    ] = None
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit", metavar="NAME=N", help="Raise a limit: source, nesting, repeat, nodes, digits, imports, boxes."
        ),
    ] = None
    dialect: Annotated[
        str | None,
        typer.Option(
            "--dialect",
            metavar="NAME",
            help="What a string is written in: he, or e.g. 'he(norm=BN)'.",
            autocompletion=lambda: ["he"],
        ),
    ] = None

    @property
    def compile_options(self) -> Options:
        """The options of a compilation; exits with a usage error if a value is malformed."""
        limits = _pairs(self.limit, "--limit", "nodes=1000000")
        for name, value in limits.items():
            if not (value.isascii() and value.isdigit() and len(value) <= 18):  # noqa: PLR2004 -- more than any limit
                exit_with_usage_error(f"--limit {name} takes a whole number, not '{value[:40]}'")
        return {
            "input": self.input,
            "steps": self.steps,
            "neuron": self.neuron,
            "set": _pairs(self.settings, "--set", "steps=8"),
            "limit": {name: int(value) for name, value in limits.items()},
            "dialect": self.dialect,
        }

    @property
    def most_boxes(self) -> int:
        """Number of layers that a drawing shows at most."""
        return (self.compile_options.get("limit") or {}).get("boxes", DEFAULT_LIMITS.boxes)


SPEC_OPTIONS = "--input, --steps, --neuron, --set, --limit and --dialect"
"""These options in a message."""
AS_WRITTEN = SpecOptions()
"""No option: the network is what the spec says."""


def require_network(compilation: Compilation) -> Network:
    """Return the network of a compilation, warnings printed; with errors, prints them and ends with exit code 1."""
    try:
        network = compilation.result()
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        raise typer.Exit(1) from None
    print_diagnostics(compilation.diagnostics)
    return network


def read_spec_text(spec: str) -> str | Source:
    """Return the spec, or for ``-`` what the standard input holds; ends with exit code 1 where that is no text."""
    if spec != "-":
        return spec
    if sys.stdin is None:
        exit_with_usage_error("the standard input is closed, and '-' reads it")
    nowhere = Span(Source("<stdin>", ""), 0, 0)
    content = decode_text(sys.stdin.buffer.read(), "<stdin>", nowhere)
    if isinstance(content, Diagnostic):
        print_diagnostics([content])
        raise typer.Exit(1)
    return Source("<stdin>", content)


def load_network(spec: str, spec_options: SpecOptions = AS_WRITTEN) -> Network:
    """Return the network of a spec; prints what is wrong and ends with exit code 1 where there are errors."""
    options = spec_options.compile_options
    return require_network(read(read_spec_text(spec), **options))


Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights file (sewdsl keys), run folder or exported folder to initialise matching layers from.",
    ),
]
WeightsOnly = Annotated[
    list[str] | None,
    typer.Option(
        "--weights-only", metavar="PATTERN", help="Take only those of these layers and parts, e.g. conv1 or 'stem.*'."
    ),
]


def rounding_notes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return a note that names the weights in double precision, which a module rounds; none if there are none."""
    import torch

    wide = [key for key, value in tensors.items() if value.dtype == torch.float64]
    return [f"rounded from float64 to float32: {', '.join(wide)}"] if wide else []


def load_initial_weights(path: Path | None, network: Network, only: Sequence[str] = ()) -> InitialWeights | None:
    """Read the weights that a training starts from, and print which layers take them; None without a path.

    Args:
        path: The file, the run folder (weights of the last epoch), or the exported folder.
        only: Patterns of the layers and parts to initialise; empty for all.

    Raises:
        RunError: If there is no such file, its keys are not sewdsl's, no layer of the network fits, or a pattern names
            no layer.
    """
    if path is None:
        return None
    from hashlib import sha256

    from sewdsl.exchange import weights
    from sewdsl.train.fit.run_weights import InitialWeights
    from sewdsl.train.store.result import WeightsOrigin
    from sewdsl.train.store.run_folder import RunError, RunFolder
    from sewdsl.train.store.run_lookup import WEIGHTS, is_exported, is_run

    ours = weights.SCHEMES["sewdsl"]
    file = path / WEIGHTS if is_exported(path) else RunFolder(path).last if is_run(path) else path
    try:
        found = weights.read_weights(file)
    except weights.WeightsError as error:
        raise RunError(str(error)) from None
    try:
        names = [scheme.name for scheme in weights.detect_schemes(found.tensors, network)]
        if ours.name not in names:
            raise RunError(
                f"'{file}' has the keys of {' and '.join(names)}, and a training begins with ours: "
                f"sewdsl weights convert {file} ours.safetensors --net SPEC gives it those"
            )
        fitted = weights.take_weights(found.tensors, network, only)
        digest = sha256(file.read_bytes()).hexdigest()
    except (weights.WeightsError, OSError) as error:
        raise RunError(f"'{file}': {error}") from None
    numbers = sum(tensor.numel() for tensor in fitted.tensors.values())
    count = f"{len(fitted.tensors):,} of {fitted.total:,} tensors, {numbers:,} numbers"
    said = [f"taken: {'all of it' if fitted.whole else ', '.join(fitted.taken)} ({count})"]
    said += [f"new: {', '.join(fitted.new)}"] if fitted.new else []
    said += [f"left: {text}" for text in fitted.left]
    said += [*found.notes, *fitted.notes, *rounding_notes(fitted.tensors)]
    echo("\n  ".join([f"beginning with the weights in {file}, sha256 {digest}", *said]), err=True)
    parts = {} if fitted.whole else {"taken": fitted.taken, "new": fitted.new, "left": fitted.left}
    origin = WeightsOrigin(file=str(file), sha256=digest, only=tuple(only), **parts)
    return InitialWeights(origin, fitted.tensors)
