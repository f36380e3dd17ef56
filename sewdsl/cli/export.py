"""``sewdsl export``: a network in the format of another library, or as a folder to share."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sewdsl.cli.exported_folder import (
    SOURCE,
    WeightsSource,
    require_free_folder,
    write_exported_folder,
)
from sewdsl.cli.files import fail, require_free, write_files
from sewdsl.cli.options import (
    AS_WRITTEN,
    SPEC_OPTIONS,
    Best,
    HelpPanel,
    Overwrite,
    SpecOptions,
    argument,
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
from sewdsl.exchange.errors import ExportError
from sewdsl.exchange.write.formats import FORMAT_BY_SUFFIX, FORMATS, untied_weights
from sewdsl.notation.kind_text import mixture
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo
from sewdsl.train.store.run_lookup import is_run_folder

if TYPE_CHECKING:
    from sewdsl.cli.export_c import CExport
    from sewdsl.exchange.write.compare_outputs import OutputComparison
    from sewdsl.exchange.write.formats import ExportFormat
    from sewdsl.ir.network import Network
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs
    from sewdsl.train.probe_target import ProbeSamples, SampleCount

Wanted = Annotated[str, argument("SPEC|RUN", "Network (SPEC) or run folder (RUN).", autocompletion=complete_spec)]
Out = Annotated[Path, argument("OUT", "Output file, or output folder with --to folder.")]
Weights = Annotated[
    Path | None,
    HelpPanel.NETWORK.option(
        "--weights FILE", "Weights file for a SPEC, with the keys of any supported library.", "initial weights"
    ),
]
Seed = Annotated[
    int,
    HelpPanel.NETWORK.option(
        "--seed N", "Seed of the initial weights and of the input for --check.", min=0, max=2**63 - 1
    ),
]
Check = Annotated[
    bool,
    HelpPanel.DATA.option(
        "--check",
        "Compare the outputs of OUT and the network, on test samples of a RUN or on random input (exit code 1 if "
        "they differ by more than a tolerance).",
    ),
]
Data = Annotated[
    Path | None,
    HelpPanel.DATA.option(
        "--data DIR",
        "Dataset folder, or folder of several datasets (requires --check or --calibrate, and a RUN).",
        "$SEWDSL_DATA",
    ),
]
To = Annotated[
    str | None,
    HelpPanel.OUTPUT.option(
        "--to FORMAT",
        f"Format: {', '.join(FORMATS)}, c, or folder (network, weights and model card).",
        "from the suffix of OUT",
        autocompletion=lambda: [*FORMATS, C, FOLDER],
    ),
]
Dt = Annotated[
    float | None,
    HelpPanel.OUTPUT.option(
        "--dt SECONDS",
        "Length of a time-step in seconds (NIR only). --dt 1 writes time constants in time-steps.",
        "0.0001",
    ),
]
Bits = Annotated[
    int | None,
    HelpPanel.OUTPUT.option(
        "--bits N", "Bits of a weight (C only).", "those of quantize in the recipe, or 8", min=2, max=8
    ),
]
State = Annotated[
    int | None,
    HelpPanel.OUTPUT.option(
        "--state 16|32",
        "Bits of a membrane potential (C only). Potentials of 16 bits can saturate. Neurons as equations have 32.",
        "32",
    ),
]
Prefix = Annotated[
    str | None, HelpPanel.OUTPUT.option("--prefix NAME", "Prefix of the functions, types and macros (C only).", "net")
]
Hoist = Annotated[
    bool,
    HelpPanel.OUTPUT.option(
        "--hoist",
        "Compute the layers before the first neurons once, and store their sums (C and static inputs only).",
    ),
]
Pack = Annotated[
    bool, HelpPanel.OUTPUT.option("--pack", "Store eight spikes in a byte of RAM, which takes more time (C only).")
]
Calibrate = Annotated[
    int | None,
    HelpPanel.DATA.option(
        "--calibrate N",
        "Number of training samples that measure the ranges of rounded currents (C only, requires a RUN).",
        "proven ranges",
        min=1,
    ),
]
License = Annotated[
    str | None,
    HelpPanel.OUTPUT.option(
        "--license ID", "Licence for the model card, e.g. mit or cc-by-4.0 (requires --to folder)."
    ),
]

C = "c"
"""Format of C files in integers."""
FOLDER = "folder"
"""Value of ``--to`` for a folder with the network, its weights and a model card."""
SAMPLES = 4
"""Number of test samples for ``--check``."""
NOISE = 2
"""Number of random samples for ``--check``, if there are no test samples."""
MAX_NAMES = 3
"""Number of layers listed in a message."""


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
    bits: Bits = None,
    state: State = None,
    prefix: Prefix = None,
    hoist: Hoist = False,
    pack: Pack = False,
    calibrate: Calibrate = None,
    license: License = None,
    overwrite: Overwrite = False,
) -> None:
    """Export a network to ONNX, NIR, PyTorch, SpikingJelly or C.

    Uses the weights of a run, the weights in a file, or initial weights.
    """
    to_folder = to == FOLDER
    # In a folder, network.py is the only file that --check can run.
    name = "python" if to_folder else _format(out, to)
    is_run = is_run_folder(wanted)
    require(
        (weights or any(spec_options), not is_run, f"--weights, {SPEC_OPTIONS} require a SPEC, not a RUN"),
        (best, is_run, "--best requires a RUN"),
        (data, is_run and (check or calibrate), "--data requires --check or --calibrate, and a RUN"),
        (calibrate, is_run, "--calibrate requires a RUN, whose training samples it reads"),
        (license is not None, to_folder, "--license requires --to folder"),
        (dt is not None, name == "nir", "--dt requires a NIR file; use --to nir"),
        (
            any((bits, state, prefix, hoist, pack, calibrate)),
            name == C,
            "--bits, --state, --prefix, --hoist, --pack, --calibrate require a C file; use --to c",
        ),
        (overwrite, not to_folder, "--overwrite cannot replace a folder; choose another OUT"),
    )
    if dt is not None and not 0 < dt < inf:
        exit_with_usage_error(f"--dt must be above 0 and finite, got {dt:g}")
    if state not in {None, 16, 32}:
        exit_with_usage_error(f"--state must be 16 or 32, got {state}")
    if prefix is not None and not re.fullmatch("[a-z](_?[a-z0-9])*", prefix):
        # Macros have the prefix in upper case, so that two prefixes could share macros otherwise. C reserves names that
        # begin with an underscore, such as the guard _STDINT_H of <stdint.h>, and C++ those with two in a row.
        exit_with_usage_error(
            "--prefix must be lower-case letters, digits and single underscores between them, and begin with a letter, "
            f"got '{prefix}'"
        )
    license_id = "" if license is None else license_option(license)
    set_up_process()
    with run_errors():
        # C files are written in integers, and have no other property of a format.
        format_ = FORMATS["onnx" if name == C else name]
        if dt is not None:
            format_ = replace(format_, write=partial(format_.write, dt=dt))
        endings = (f".{C}",) if name == C else format_.endings
        if not to_folder and out.suffix not in endings:
            exit_with_usage_error(f"OUT must end with {' or '.join(endings)}, got '{out.name}'")
        origin = WeightsSource(Path(wanted) if is_run else None, weights, best, seed)
        trained = is_run or weights is not None
        separate_weights = trained and not format_.holds_weights and not to_folder
        weights_file = out.with_suffix(".safetensors") if separate_weights else None
        # Check the output before the network is compiled and the weights are loaded.
        if to_folder:
            require_free_folder(out)
        else:
            header = out.with_suffix(".h") if name == C else None
            require_free(*filter(None, (out, weights_file, header)), overwrite=overwrite)
        if is_run:
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
        if trained and (infinite := [key for key, tensor in model.state_dict().items() if not tensor.isfinite().all()]):
            raise ExportError(
                f"the weights '{infinite[0]}' contain infinity or NaN; export the weights of another epoch or run"
            )
        if name == C:
            if hoist and any(source.encode != "direct" for source in model.network.settings.sources):
                exit_with_usage_error("--hoist requires static inputs ('encode direct'); remove --hoist")
            from sewdsl.cli.export_c import CExport
            from sewdsl.integers.build import IntegerFormat

            trained_bits = model.network.recipe.grid_bits if model.network.recipe else None
            formats = IntegerFormat(bits or trained_bits or 8, 16 if state == 16 else 32)  # noqa: PLR2004 -- bits
            _export_c(model, out, CExport(formats, prefix or "net", check, hoist, pack, calibrate or 0), origin, data)
            return
        inputs = _input_scaling(model.network) if trained else ""
        content = _encode(model, format_, inputs, to_folder=to_folder) if check or not to_folder else b""
        if to_folder:
            text = (Path(wanted) / "spec.net").read_text("utf-8") if is_run else compilation.standalone_text()
            write_exported_folder(out, model, text, origin, inputs, license_id)
        files = [] if to_folder else [(out, content, f"{out}: {model.network.name} as {name}, {len(content):,} bytes")]
        if weights_file is not None:
            from sewdsl.exchange.weights import encode

            weights_content = encode(model.state_dict(), weights_file.suffix)
            files.insert(0, (weights_file, weights_content, f"{weights_file}: weights"))
        write_files(*files)
        if not format_.ties_weights and (untied := untied_weights(model.network)):
            echo(f"note: weights-untied: {untied}")
        if check:
            _compare(model, format_, content, origin, data)


def _export_c(model: SpikingNetwork, out: Path, options: CExport, origin: WeightsSource, data: Path | None) -> None:
    """Write a C file with its test vectors: test samples of a run, or random input."""
    from sewdsl.cli.export_c import export_c, random_samples

    count = None
    if origin.run is not None:
        from sewdsl.train.fit.integer_run import score_batches
        from sewdsl.train.probe_target import SampleCount

        count = SampleCount(*score_batches(model.network), origin.seed)
    samples = _select_samples(model, origin, data, count)
    if samples.data is None:
        samples = random_samples(model, origin.seed)
    training = None
    if origin.run is not None and options.calibrate:
        from sewdsl.train.probe_target import samples_of_run

        batch = min(options.calibrate, score_batches(model.network)[0])
        count = SampleCount(batch, -(-options.calibrate // batch), origin.seed)
        training = samples_of_run(origin.run, data, count, training=True)
    export_c(model, out, options, samples, training, labelled=samples.data is not None)


def _encode(model: SpikingNetwork, format_: ExportFormat, inputs: str, *, to_folder: bool) -> bytes:
    """Return the contents of the output file, or of the file that ``--check`` runs for a folder."""
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
        formats = FORMAT_BY_SUFFIX | {f".{C}": C}
        if out.suffix not in formats:
            exit_with_usage_error(
                f"OUT must end with {join_choices(list(formats))} unless --to is set, got '{out.name}'",
                did_you_mean(out.suffix, formats),
            )
        return formats[out.suffix]
    if to not in FORMATS and to != C:
        exit_with_invalid_choice("--to", [*FORMATS, C, FOLDER], to)
    return to


def _load(model: SpikingNetwork, path: Path) -> None:
    """Load weights with the keys of any known scheme, and print a summary."""
    from sewdsl.exchange import weights

    weights_file = weights.read_weights(path)
    scheme, *_ = weights.detect_schemes(weights_file.tensors, model.network)
    tensors, notes = weights.to_node_paths(weights_file.tensors, model.network, scheme)
    model.load_state_dict(tensors)
    mixed = mixture(model.network)
    summary = [*weights_file.notes, *notes, *rounding_notes(tensors)]
    summary += [f"{mixed} (not recorded in weights files)"] if mixed else []
    echo("\n  ".join([f"{path}: weights with {scheme.name} keys", *summary]))


def _input_scaling(network: Network) -> str:
    """Describe how the dataset of the recipe scales inputs, or return an empty text if unknown."""
    from sewdsl.train.training_plan import find_dataset_of

    dataset = find_dataset_of(network)
    scaling = dataset.scaling() if dataset else ""
    return f"{scaling}, as in {dataset.name}" if dataset and scaling else ""


def _compare(
    model: SpikingNetwork, format_: ExportFormat, content: bytes, origin: WeightsSource, data: Path | None
) -> None:
    """Run the file and the module on test samples or random input, print the difference, and exit if it is large."""
    import torch

    from sewdsl.ir.op import Neuron
    from sewdsl.lower.inputs import map_inputs

    samples = _select_samples(model, origin, data)
    x = next(iter(samples.batches))[0]
    comparison = _run_both(model, format_, content, x)
    remark = ""
    # Initial weights rarely produce spikes in deep networks.
    if not comparison.depends_on_input and origin.run is None and origin.file is None:
        model = _with_statistics(model, x)
        comparison = _run_both(model, format_, format_.write(model, ""), x)
        remark = ", with a copy whose batch norms have the statistics of this input"
    if format_.double:
        model, x = deepcopy(model).double(), map_inputs(lambda each: each.double(), x)
    # Also neurons with graded outputs, such as counts.
    ops = {node.name: node.op for node in model.network}
    neurons = [name for name, op in ops.items() if isinstance(op, Neuron) or (op.equations and op.equations.states)]
    with torch.no_grad():
        outputs = model.at(*neurons)(x) if neurons else {}
    if len(neurons) == 1:
        outputs = {neurons[0]: outputs}
    silent = [name for name, output in outputs.items() if not output.any()]
    coverage = [f"for {samples}{remark}", *_describe_silent_layers(silent, len(neurons))]
    # Equal outputs prove nothing if no spike reaches the output layer.
    if not comparison.depends_on_input:
        message = f"the comparison is not meaningful: the output for {samples} equals the output for zeros"
        fail("\n  ".join([message, *coverage[1:], _advice(samples, origin)]))
    subject = "outputs of all time-steps" if format_.sequence else "outputs"
    lines = [
        f"{f'{output.name}: ' if output.name else ''}{subject} differ by at most {output.difference:.1e} "
        f"(largest value {output.largest:.3g}, tolerance {output.tolerance:.1e})"
        for output in comparison.outputs
    ]
    if any(output.tolerance > format_.tolerance * output.largest for output in comparison.outputs):
        coverage.insert(0, "the tolerance is twice the change by rounding, which moves spikes")
    text = "\n  ".join(["\n".join(lines), *coverage])
    if not all(output.accepted for output in comparison.outputs):
        fail(text)
    echo(text)


def _run_both(model: SpikingNetwork, format_: ExportFormat, content: bytes, x: Inputs) -> OutputComparison:
    """Return the comparison of the module and a file, in float64 if the format computes in float64."""
    from sewdsl.exchange.write.compare_outputs import compare_outputs
    from sewdsl.lower.inputs import map_inputs

    if format_.double:
        # Rounding to float32 would hide small differences of formats that compute in float64.
        model, x = deepcopy(model).double(), map_inputs(lambda each: each.double(), x)
    return compare_outputs(model, format_, content, x)


def _with_statistics(model: SpikingNetwork, x: Inputs) -> SpikingNetwork:
    """Return a copy of a module in which the running statistics of batch norms are those of an input."""
    import torch

    from sewdsl.snn.batch_norm import BatchNorm

    copy = deepcopy(model)
    for module in copy.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 1.0
    copy.train()
    with torch.no_grad():
        copy(x)
    return copy.eval()


def _select_samples(
    model: SpikingNetwork, origin: WeightsSource, data: Path | None, count: SampleCount | None = None
) -> ProbeSamples:
    """Return ``count`` test samples of the run, or random input without a run or without its dataset."""
    from sewdsl.train.data.dataset import DataError
    from sewdsl.train.probe_target import SampleCount, random_input, samples_of_run

    if origin.run is not None:
        try:
            return samples_of_run(origin.run, data, count or SampleCount(SAMPLES, 1, origin.seed))
        except DataError as error:
            # A missing dataset is an error only if the user named its folder.
            if data is not None:
                raise
            lines = [f"note: using random input, because the test samples of the run are missing: {error}"]
            echo("\n  ".join([*lines, "set --data DIR to use test samples"]), err=True)
    return random_input(model.network, SampleCount(NOISE, 1, origin.seed))


def _describe_silent_layers(silent: list[str], count: int) -> list[str]:
    """Return a line about the neuron layers that fired and the silent ones, or no line without neurons."""
    if not count:
        return []
    if not silent:
        return [f"all {count} neuron layers fired" if count > 1 else "the neuron layer fired"]
    names = ", ".join(silent[:MAX_NAMES]) + (f" and {len(silent) - MAX_NAMES} more" if len(silent) > MAX_NAMES else "")
    return [f"{count - len(silent)} of {count} neuron layers fired; not tested, because silent: {names}"]


def _advice(samples: ProbeSamples, origin: WeightsSource) -> str:
    """Return the remedy for a comparison in which no spike reaches the output."""
    if origin.run is not None:
        remedy = "set --data DIR to use the test samples of the run" if samples.data is None else ""
        return remedy or f"run 'sewdsl probe energy {origin.run} --wide' to find the silent layers"
    if origin.file is not None:
        return "export the run folder instead of the weights file, to compare on its test samples"
    return "initial weights produce few spikes; export a run folder or set --weights FILE"
