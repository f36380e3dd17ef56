"""Options shared by several commands, and the networks and weights that they select."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn

import typer

from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.compiler import Compilation, Options, read, shipped_networks
from sewdsl.diagnostics import Diagnostic, SewdslError
from sewdsl.elaborate.text_files import decode_text
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import parse_memory
from sewdsl.limits import DEFAULT_LIMITS
from sewdsl.source import Source, Span
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.train.data.dataset import Reading
    from sewdsl.train.fit.run_weights import InitialWeights


def complete_network(incomplete: str) -> list[str]:
    """Complete the name of a shipped network, without reading any file."""
    return [name for name in shipped_networks() if name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """Complete the name of a shipped network, or a folder or ``.net`` file in the current folder.

    Returns an empty list if no shipped network matches.
    """
    names = complete_network(incomplete)
    if not names:
        return []  # An empty answer makes the shell complete file names itself, without a blank after a folder.
    try:
        entries = [f"{path.name}/" if path.is_dir() else path.name for path in sorted(Path().glob("[!.]*"))]
    except OSError:
        entries = []
    return [*names, *(name for name in entries if name.startswith(incomplete) and name.endswith(("/", ".net")))]


def complete_target(incomplete: str) -> list[str]:
    """Complete the name of a target. A microcontroller is completed with a size."""
    from sewdsl.targets import TARGETS  # Slow: only needed for completion and with a target.

    return [name for name in ("mcu:256KB", *list(TARGETS)[1:]) if name.startswith(incomplete)]


Device = Literal["auto", "cpu", "cuda"]


class HelpPanel(StrEnum):
    """Panels of options in the help of a command, in the order in which the help prints them."""

    NETWORK = "Network"
    TRAINING = "Training"
    DATA = "Data"
    LAYOUT = "Layout"
    MEMORY = "Memory"
    ENERGY = "Energy"
    FIXES = "Fixes"
    TARGET = "Target"
    SERVER = "Server"
    DEVICE = "Device"
    OUTPUT = "Output"
    ADVANCED = "Advanced"

    def option(self, usage: str, help: str, default: str | bool = True, **settings: Any) -> Any:
        """Return an option in this panel.

        Args:
            usage: Names and placeholder, e.g. ``--out -o FILE``.
            default: Description of the default, or whether the help prints the default value.
            settings: Further arguments of ``typer.Option``.
        """
        words = usage.split()
        names = [word for word in words if word.startswith("-")]
        placeholder = " ".join(words[len(names) :]) or None
        return typer.Option(
            *names, metavar=placeholder, help=help, show_default=default, rich_help_panel=self, **settings
        )


def argument(name: str, help: str, default: str | bool = True, **settings: Any) -> Any:
    """Return a positional argument with its name in the help, described as an :meth:`HelpPanel.option`."""
    return typer.Argument(metavar=name, help=help, show_default=default, **settings)


FROM_FILE = "from the file"
"""Default of an option that overrides a setting of a ``.net`` file."""

RunsOn = Annotated[Device, HelpPanel.DEVICE.option("--device", "Device to run on (auto selects a GPU if available).")]
SPEC_HELP = (
    "Network: a .net file, a shipped network (see `sewdsl nets`), a layer string in quotes, or - for standard input."
)
Spec = Annotated[str, argument("SPEC", SPEC_HELP, autocompletion=complete_spec)]
Run = Annotated[Path, argument("RUN", "Run folder written by `sewdsl train`.")]
Input = Annotated[
    str | None,
    HelpPanel.NETWORK.option("--input CxHxW", "Input shape, e.g. 2x128x128, or '128 of 30522' for tokens.", FROM_FILE),
]
Data = Annotated[
    Path | None, HelpPanel.DATA.option("--data DIR", "Dataset folder, or folder of several datasets.", "$SEWDSL_DATA")
]
Readers = Annotated[
    int | None,
    HelpPanel.DATA.option(
        "--readers N", "Number of threads that prefetch samples.", "set by the dataset", min=0, max=256
    ),
]
InMemory = Annotated[
    str | None,
    HelpPanel.DATA.option(
        "--in-memory SIZE",
        "Cache the frames of recordings in memory if a split fits in SIZE, e.g. 4GB (0 disables the cache).",
        "512MiB",
    ),
]
Best = Annotated[
    bool, HelpPanel.NETWORK.option("--best", "Use the weights of the best epoch instead of the last (RUN only).")
]
Json = Annotated[bool, HelpPanel.OUTPUT.option("--json", "Print JSON (format: `sewdsl schema`).")]
Overwrite = Annotated[bool, HelpPanel.OUTPUT.option("--overwrite", "Overwrite existing files.")]
SaveEvery = Annotated[
    float,
    HelpPanel.OUTPUT.option(
        "--save-every MINUTES",
        "Minutes between checkpoints within an epoch (0 writes one after every optimizer step).",
        min=0,
    ),
]
NO_LOGGER = "none"
"""Value of ``--logger`` that disables all loggers."""
Logger = Annotated[
    list[str] | None,
    HelpPanel.OUTPUT.option(
        "--logger NAME",
        "Logger in addition to metrics.csv: tensorboard, wandb, mlflow or none (repeatable).",
        "tensorboard, or as in the resumed run",
        autocompletion=lambda: ["tensorboard", "wandb", "mlflow", NO_LOGGER],
    ),
]
Weights = Annotated[
    Path | None,
    HelpPanel.TRAINING.option(
        "--weights FILE",
        "Weights file (sewdsl keys), run folder or exported folder to initialise matching layers from.",
        "random weights",
    ),
]
WeightsOnly = Annotated[
    list[str] | None,
    HelpPanel.TRAINING.option(
        "--weights-only PATTERN",
        "Layers and groups to initialise from --weights, e.g. conv1 or 'stem.*' (repeatable).",
        "all",
    ),
]
Limit = Annotated[
    list[str] | None,
    HelpPanel.ADVANCED.option(
        "--limit NAME=N",
        "Compiler limit to raise: source, nesting, repeat, nodes, digits, imports or boxes (repeatable).",
    ),
]
Plugin = Annotated[
    list[str] | None,
    HelpPanel.ADVANCED.option(
        "--plugin FILE", "Python file to import first, with custom kinds, datasets or callbacks (repeatable)."
    ),
]


def costs_option(requirement: str) -> Any:
    """Return the option ``--costs``, with its requirement in the help."""
    return HelpPanel.ENERGY.option(
        "--costs MAC AC", f"Energy per MAC and per AC in pJ ({requirement}).", "4.6 0.9", min=0, max=1e9
    )


def require(*rules: tuple[object, object, str]) -> None:
    """Exit with a usage error for the first option whose requirement is not met.

    Args:
        rules: Option, requirement and message, in order of precedence. An option counts as set if its value is true.
            A rule for options that exclude each other passes them as the option, and a false requirement.
    """
    for option, requirement, message in rules:
        if option and not requirement:
            exit_with_usage_error(message)


def exit_with_usage_error(message: str, hint: str = "", context: Any = None) -> NoReturn:
    """Exit with a usage error (code 2).

    Args:
        hint: Text after a semicolon, e.g. a suggested name.
        context: Context of a command that is not running yet.
    """
    raise typer.BadParameter(f"{message}; {hint}" if hint else message, ctx=context)


def exit_with_invalid_choice(option: str, choices: Sequence[str], value: str, context: Any = None) -> NoReturn:
    """Exit with a usage error that lists the valid choices and suggests the closest one."""
    # Another first letter is usually another word, such as 'gpu' for 'cpu'.
    alike = [choice for choice in choices if choice[:1].casefold() == value[:1].casefold()]
    message = f"{option} must be {join_choices(choices)}, got '{value[:40]}'"
    exit_with_usage_error(message, did_you_mean(value, alike), context)


def join_choices(choices: Sequence[str]) -> str:
    """Return the choices as ``a, b or c``."""
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else "".join(choices)


def _parse_pairs(items: list[str] | None, option: str, form: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in items or ():
        key, equals, value = item.partition("=")
        if not (key.strip() and equals and value.strip()):
            exit_with_usage_error(f"{option} must be {form}, e.g. {option} {example}, got '{item}'")
        pairs[key.strip()] = value.strip()
    return pairs


def reading_options(readers: int | None, in_memory: str | None = None) -> Reading:
    """Return the reading options of ``--readers`` and ``--in-memory``."""
    from sewdsl.train.data.dataset import IN_MEMORY_BYTES, Reading

    limit = IN_MEMORY_BYTES if in_memory is None else 0 if in_memory == "0" else parse_memory(in_memory)
    if limit is None:
        exit_with_usage_error(f"--in-memory must be 0 or a size, e.g. 4GB, 1.5GB, 800MB or 512MiB, got '{in_memory}'")
    return Reading(readers, limit)


def license_option(text: str) -> str:
    """Return the identifier of a licence, or exit with a usage error if it is malformed."""
    from sewdsl.train.store.run_notes import parse_license

    try:
        return parse_license(text)
    except ValueError as error:
        exit_with_usage_error(f"--license: {error}")


class SpecOptions(NamedTuple):
    """Command-line options of a command that compiles a network."""

    input: Input = None
    steps: Annotated[str | None, HelpPanel.NETWORK.option("--steps T", "Number of time-steps.", FROM_FILE)] = None
    neuron: Annotated[
        str | None, HelpPanel.NETWORK.option("--neuron NEURON", "Neuron to use for SN, e.g. 'LIF(tau=2.0)'.", FROM_FILE)
    ] = None
    settings: Annotated[
        list[str] | None,
        HelpPanel.NETWORK.option(
            "--set KEY=VALUE", "Setting to override, e.g. join=IAND or train.optimizer.lr=0.03 (repeatable)."
        ),
    ] = None
    dialect: Annotated[
        str | None,
        HelpPanel.NETWORK.option(
            "--dialect NAME",
            "Dialect of the layer string, e.g. he for 128C3-AP2-10FC, or 'he(norm=BN)'.",
            autocompletion=lambda: ["he"],
        ),
    ] = None
    limit: Limit = None

    @property
    def compile_options(self) -> Options:
        """Options of the compilation. Exits with a usage error if a value is malformed."""
        limits = _parse_pairs(self.limit, "--limit", "NAME=N", "nodes=1000000")
        for name, value in limits.items():
            # 18 digits exceed every limit and keep int() cheap for hostile input.
            if not (value.isascii() and value.isdigit() and len(value) <= 18):  # noqa: PLR2004
                exit_with_usage_error(f"--limit {name} must be an integer, got '{value[:40]}'")
        return {
            "input": self.input,
            "steps": self.steps,
            "neuron": self.neuron,
            "set": _parse_pairs(self.settings, "--set", "KEY=VALUE", "steps=8"),
            "limit": {name: int(value) for name, value in limits.items()},
            "dialect": self.dialect,
        }

    @property
    def most_boxes(self) -> int:
        """Largest number of layers in a drawing."""
        return (self.compile_options.get("limit") or {}).get("boxes", DEFAULT_LIMITS.boxes)


SPEC_OPTIONS = "--input, --steps, --neuron, --set, --limit and --dialect"
"""The options of ``SpecOptions`` as a text for messages."""
AS_WRITTEN = SpecOptions()
"""No overrides: the network of the spec itself."""


def require_network(compilation: Compilation) -> Network:
    """Return the compiled network and print its warnings, or exit with code 1 on errors."""
    try:
        network = compilation.result()
    except SewdslError as error:
        print_diagnostics(error.diagnostics)
        raise typer.Exit(1) from None
    print_diagnostics(compilation.diagnostics)
    return network


def read_spec_text(spec: str) -> str | Source:
    """Return the spec, or the text of standard input for ``-``.

    Exits with code 1 if standard input is not text.
    """
    if spec != "-":
        return spec
    if sys.stdin is None:
        exit_with_usage_error("cannot read '-': standard input is closed")
    empty_span = Span(Source("<stdin>", ""), 0, 0)
    content = decode_text(sys.stdin.buffer.read(), "<stdin>", empty_span)
    if isinstance(content, Diagnostic):
        print_diagnostics([content])
        raise typer.Exit(1)
    return Source("<stdin>", content)


def load_network(spec: str, spec_options: SpecOptions = AS_WRITTEN) -> Network:
    """Return the network of a spec and print its diagnostics, or exit with code 1 on errors."""
    options = spec_options.compile_options
    return require_network(read(read_spec_text(spec), **options))


def rounding_notes(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return a note that lists the float64 weights, which a module rounds, or no note."""
    import torch

    wide = [key for key, value in tensors.items() if value.dtype == torch.float64]
    return [f"rounded from float64 to float32: {', '.join(wide)}"] if wide else []


def load_initial_weights(path: Path | None, network: Network, only: Sequence[str] = ()) -> InitialWeights | None:
    """Read the initial weights of a training run, and print which layers they initialise.

    Args:
        path: Weights file, run folder (weights of the last epoch), or exported folder. None for random weights.
        only: Patterns of the layers and groups to initialise, or empty for all.

    Raises:
        RunError: If the file is missing, its keys are not sewdsl's, no layer of the network fits, or a pattern matches
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

    sewdsl_scheme = weights.SCHEMES["sewdsl"]
    file = path / WEIGHTS if is_exported(path) else RunFolder(path).last if is_run(path) else path
    try:
        weights_file = weights.read_weights(file)
    except weights.WeightsError as error:
        raise RunError(str(error)) from None
    try:
        names = [scheme.name for scheme in weights.detect_schemes(weights_file.tensors, network)]
        if sewdsl_scheme.name not in names:
            raise RunError(
                f"'{file}' has the keys of {' and '.join(names)}, expected sewdsl keys; "
                f"convert it first: sewdsl weights convert {file} converted.safetensors --net SPEC"
            )
        fitted = weights.take_weights(weights_file.tensors, network, only)
        # The record of the run identifies the file by content: the path may change.
        digest = sha256(file.read_bytes()).hexdigest()
    except (weights.WeightsError, OSError) as error:
        raise RunError(f"'{file}': {error}") from None
    element_count = sum(tensor.numel() for tensor in fitted.tensors.values())
    tensor_summary = f"{len(fitted.tensors):,} of {fitted.total:,} tensors, {element_count:,} values"
    summary = [f"loaded: {'all layers' if fitted.whole else ', '.join(fitted.taken)} ({tensor_summary})"]
    summary += [f"new: {', '.join(fitted.new)}"] if fitted.new else []
    summary += [f"unused: {text}" for text in fitted.left]
    summary += [*weights_file.notes, *fitted.notes, *rounding_notes(fitted.tensors)]
    echo("\n  ".join([f"initial weights from {file}, sha256 {digest}", *summary]), err=True)
    # A file that initialises the whole network needs no list of layers in the record of the run.
    parts = {} if fitted.whole else {"taken": fitted.taken, "new": fitted.new, "left": fitted.left}
    origin = WeightsOrigin(file=str(file), sha256=digest, only=tuple(only), **parts)
    return InitialWeights(origin, fitted.tensors)
