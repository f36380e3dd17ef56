"""``sewdsl export``: a network in the format of another library, or as a folder for others."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sewdsl.cli.exported_folder import (
    SOURCE,
    ExportedNetwork,
    WeightsSource,
    require_free_folder,
    write_exported_folder,
)
from sewdsl.cli.files import fail, require_free, write_file
from sewdsl.cli.options import (
    AS_WRITTEN,
    SPEC_OPTIONS,
    Best,
    Overwrite,
    Panel,
    SpecOptions,
    complete_spec,
    exit_with_invalid_choice,
    exit_with_usage_error,
    join_choices,
    license_option,
    read_spec_text,
    require,
    require_network,
    rounding_notes,
)
from sewdsl.cli.run_setup import run_errors, set_up_process
from sewdsl.compiler import read
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import FORMAT_BY_SUFFIX, FORMATS
from sewdsl.notation.kind_text import mixture
from sewdsl.terminal import echo
from sewdsl.train.store.run_lookup import is_run_folder

if TYPE_CHECKING:
    from sewdsl.exchange.write.formats import ExportFormat
    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.train.probe_target import ProbeSamples

Wanted = Annotated[
    str,
    typer.Argument(
        metavar="SPEC|RUN",
        help="Network (SPEC) or run folder (RUN).",
        autocompletion=complete_spec,
    ),
]
Out = Annotated[Path, typer.Argument(metavar="OUT", help="Output file, or output folder with --to folder.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights file for a SPEC, with the keys of any supported library.",
        show_default="initial weights",
        rich_help_panel=Panel.NETWORK,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        min=0,
        max=2**63 - 1,
        help="Seed of the initial weights and of the input for --check.",
        rich_help_panel=Panel.NETWORK,
    ),
]
Check = Annotated[
    bool,
    typer.Option(
        "--check",
        help="Compare the outputs of the file with the network (exit code 1 beyond a tolerance), on test samples of a "
        "RUN or on random input.",
        rich_help_panel=Panel.DATA,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Dataset folder, or folder of several datasets (requires --check).",
        show_default="$SEWDSL_DATA",
        rich_help_panel=Panel.DATA,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORMAT",
        help=f"Format: {', '.join(FORMATS)}, or folder for all files and a model card.",
        show_default="from the suffix of OUT",
        rich_help_panel=Panel.OUTPUT,
        autocompletion=lambda: [*FORMATS, FOLDER],
    ),
]
Dt = Annotated[
    float | None,
    typer.Option(
        "--dt",
        metavar="SECONDS",
        help="Length of a time-step in seconds (requires --to nir; 1 counts time in time-steps).",
        show_default="0.0001",
        rich_help_panel=Panel.OUTPUT,
    ),
]
License = Annotated[
    str | None,
    typer.Option(
        "--license",
        metavar="ID",
        help="Licence for the model card, e.g. mit or cc-by-4.0 (requires --to folder).",
        rich_help_panel=Panel.OUTPUT,
    ),
]

FOLDER = "folder"
"""What ``--to`` says for a folder with the network, its weights and a card."""
SAMPLES = 4
"""How many test samples ``--check`` shows."""
NOISE = 2
"""How many samples of random input it shows, where there are none."""
MAX_NAMES = 3
"""Layers that a message names."""


def command(
    wanted: Wanted,
    out: Out,
    weights: Weights = None,
    best: Best = False,
    seed: Seed = 0,
    spec_options: SpecOptions = AS_WRITTEN,
    check: Check = False,
    data: Data = None,
    to: To = None,
    dt: Dt = None,
    license: License = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a network to ONNX, NIR, PyTorch or SpikingJelly.

    Uses the weights of a run, the weights in a file, or initial weights.
    """
    folder = to == FOLDER
    name = "python" if folder else _format(out, to)
    run = is_run_folder(wanted)
    require(
        (weights or any(spec_options), not run, f"--weights, {SPEC_OPTIONS} require a SPEC, not a RUN"),
        (best, run, "--best requires a RUN"),
        (data, run and check, "--data requires --check and a RUN"),
        (license is not None, folder, "--license requires --to folder"),
        (dt is not None, name == "nir", "--dt requires --to nir"),
        (overwrite, not folder, "--overwrite cannot replace a folder; choose another OUT"),
    )
    if dt is not None and not 0 < dt < inf:
        exit_with_usage_error(f"--dt must be above 0 and finite, got {dt:g}")
    stated = "" if license is None else license_option(license)
    set_up_process()
    with run_errors():
        format_ = FORMATS[name]
        if dt is not None:
            format_ = replace(format_, write=partial(format_.write, dt=dt))
        if not folder and out.suffix not in format_.endings:
            exit_with_usage_error(f"OUT must end with {' or '.join(format_.endings)}, got '{out.suffix}'")
        origin = WeightsSource(Path(wanted) if run else None, weights, best, seed)
        trained = run or weights is not None
        beside = trained and not format_.holds_weights and not folder
        weights_file = out.with_suffix(".safetensors") if beside else None
        if folder:
            require_free_folder(out)
        else:
            require_free(*filter(None, (out, weights_file)), overwrite=overwrite)
        if run:
            from sewdsl.train.fit.load_run import load_model
            from sewdsl.train.store.run_folder import RunFolder

            model = load_model(RunFolder(Path(wanted)), best=best)
        else:
            compilation = read(read_spec_text(wanted), **spec_options.compile_options)
            network = require_network(compilation)
            from sewdsl.compiler import compile as compile_module

            model = compile_module(network, seed=seed, optimize=0).eval()
            if weights is not None:
                _load(model, weights)
        inputs = _inputs(model.network) if trained else ""
        written = _written(model, format_, inputs, to_folder=folder) if check or not folder else b""
        if folder:
            text = (Path(wanted) / "spec.net").read_text("utf-8") if run else compilation.standalone_text()
            write_exported_folder(out, ExportedNetwork(model, text, origin, inputs, stated))
        if weights_file is not None:
            from sewdsl.exchange.weights import encode

            write_file(weights_file, encode(model.state_dict(), weights_file.suffix), f"{weights_file}: weights")
        if not folder:
            write_file(out, written, f"{out}: {model.network.name} as {name}, {len(written):,} bytes")
        if check:
            _compare(model, format_, written, origin, data)


def _written(model: SpikingNetwork, format_: ExportFormat, inputs: str, *, to_folder: bool) -> bytes:
    """Return the file; of a folder, the file that ``--check`` runs.

    Raises:
        ExportError: If the network cannot be written in the format.
    """
    try:
        return format_.write(model, inputs)
    except ExportError as error:
        if not to_folder:
            raise
        raise ExportError(
            f"--check requires {SOURCE}, which cannot be written: {error}; "
            f"without --check, the folder is written without {SOURCE}"
        ) from error


def _format(out: Path, to: str | None) -> str:
    if to is None:
        if out.suffix not in FORMAT_BY_SUFFIX:
            exit_with_usage_error(
                f"OUT must end with {join_choices(list(FORMAT_BY_SUFFIX))} unless --to is set, got '{out.name}'",
                did_you_mean(out.suffix, FORMAT_BY_SUFFIX),
            )
        return FORMAT_BY_SUFFIX[out.suffix]
    if to not in FORMATS:
        exit_with_invalid_choice("--to", [*FORMATS, FOLDER], to)
    return to


def _load(model: SpikingNetwork, path: Path) -> None:
    """Load weights, by whatever scheme names them."""
    from sewdsl.exchange import weights

    found = weights.read_weights(path)
    scheme, *_ = weights.detect_schemes(found.tensors, model.network)
    tensors, notes = weights.to_node_paths(found.tensors, model.network, scheme)
    model.load_state_dict(tensors)
    mixed = mixture(model.network)
    summary = [*found.notes, *notes, *rounding_notes(tensors)]
    summary += [f"{mixed} (not recorded in weights files)"] if mixed else []
    echo("\n  ".join([f"{path}: weights with {scheme.name} keys", *summary]))


def _inputs(network: Network) -> str:
    """How inputs are scaled, by the recipe's dataset; empty where that is not known."""
    from sewdsl.train.data import DataOptions, find_dataset

    known = find_dataset(network.recipe.on) if network.recipe else None
    scaling = known(DataOptions(shape=network.settings.input)).scaling() if known else ""
    return f"{scaling}, as in {known.name}" if known and scaling else ""


def _compare(
    model: SpikingNetwork, format_: ExportFormat, written: bytes, origin: WeightsSource, data: Path | None
) -> None:
    """Run the file and the module, and print the difference of their outputs, the tolerance, and what was tested.

    Args:
        model: Module in evaluation mode.
        origin: Where the weights come from: a run has test samples. Its seed is that of random input, too, and of the
            choice of test samples.
        data: Folder of the data of the run; None: as the run states.

    Raises:
        typer.Exit: If an output differs by more than the tolerance, or no output depends on the input.
        RunError, DataError: If the data was named, and is missing or damaged.
    """
    import torch

    from sewdsl.exchange.write.compare_outputs import compare_outputs
    from sewdsl.train.watch import FiringRates

    shown = _shown(model, origin, data)
    x = next(iter(shown.batches))[0]
    fired = FiringRates()
    if format_.double:
        model, x = deepcopy(model).double(), x.double()
    found = compare_outputs(model, format_, written, x)
    with torch.no_grad(), fired.watch(model):
        model(x)
    silent = [name for name, rate in fired.rates.items() if not rate]
    ends = [f"for {shown}", *_layers(silent, len(fired.rates))]
    if not found.depends_on_input:
        message = f"the comparison is not meaningful: the output for {shown} equals the output for zeros"
        fail("\n  ".join([message, *ends[1:], _advice(shown, origin)]))
    what = "outputs of all time-steps" if format_.sequence else "outputs"
    lines = [
        f"{f'{output.name}: ' if output.name else ''}{what} differ by at most {output.difference:.1e} "
        f"(largest value {output.largest:.3g}, tolerance {output.tolerance:.1e})"
        for output in found.outputs
    ]
    text = "\n  ".join([*lines, *ends])
    if not all(output.accepted for output in found.outputs):
        fail(text)
    echo(text)


def _shown(model: SpikingNetwork, origin: WeightsSource, data: Path | None) -> ProbeSamples:
    """Test samples of the run where they can be had, else random input."""
    from sewdsl.train.data.dataset import DataError
    from sewdsl.train.probe_target import SampleCount, random_input, samples_of_run

    if origin.run is not None:
        try:
            return samples_of_run(origin.run, data, SampleCount(SAMPLES, 1, origin.seed))
        except DataError as error:
            if data is not None:
                raise
            lines = [f"note: using random input, because the test samples of the run are missing: {error}"]
            echo("\n  ".join([*lines, "set --data DIR to use test samples"]), err=True)
    return random_input(model.network, SampleCount(NOISE, 1, origin.seed))


def _layers(silent: list[str], count: int) -> list[str]:
    """How many layers of neurons have fired, and which have not; nothing of a network without spikes."""
    if not count:
        return []
    if not silent:
        return [f"all {count} neuron layers fired" if count > 1 else "the neuron layer fired"]
    names = ", ".join(silent[:MAX_NAMES]) + (f" and {len(silent) - MAX_NAMES} more" if len(silent) > MAX_NAMES else "")
    return [f"{count - len(silent)} of {count} neuron layers fired; not tested, because silent: {names}"]


def _advice(shown: ProbeSamples, origin: WeightsSource) -> str:
    """How a comparison comes to show something."""
    if origin.run is not None:
        remedy = "set --data DIR to use the test samples of the run" if shown.data is None else ""
        return remedy or f"run 'sewdsl probe rates {origin.run}' to find the silent layers"
    if origin.file is not None:
        return "export the run folder instead of the weights file, to compare on its test samples"
    return "initial weights produce few spikes; export a run folder or set --weights FILE"
