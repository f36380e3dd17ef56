"""Types of the ``--json`` output, and JSON Schemas generated from them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypeAlias, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict, is_typeddict  # pydantic requires these before Python 3.12

from sewdsl.compiler.catalogue import ListedName, ListedNetwork

SCHEMA_VERSION = "https://json-schema.org/draft/2020-12/schema"
EXACT = ConfigDict(extra="forbid")
"""Configuration that forbids other keys, also in nested types."""
Count: TypeAlias = Annotated[int, Field(ge=0)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


def make_schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type."""
    if is_typeddict(kind):
        adapter = TypeAdapter[Any](with_config(EXACT)(kind))
    else:
        adapter = TypeAdapter(kind, config=EXACT if get_origin(kind) is list else None)
    return {"$schema": SCHEMA_VERSION, **adapter.json_schema(mode="serialization")}


class TextPlace(TypedDict):
    """Part of a source, with lines and columns from 1, offsets from 0, and an exclusive end."""

    file: str
    line: Annotated[int, Field(ge=1)]
    column: Annotated[int, Field(ge=1)]
    end_line: Annotated[int, Field(ge=1)]
    end_column: Annotated[int, Field(ge=1)]
    start: Count
    end: Count


class TextEdit(TextPlace):
    """Part of a source and its replacement."""

    text: str


class TextFix(TypedDict):
    """Fix of a diagnostic (``safe``: the meaning of the source is not in doubt)."""

    title: str
    safe: bool
    edits: list[TextEdit]


class FoundProblem(TextPlace):
    """Diagnostic."""

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    label: str
    help: str
    path: list[str]
    fixes: list[TextFix]


class SpecProblem(FoundProblem):
    """Diagnostic of one of several specs."""

    spec: str


class TargetFit(TypedDict):
    """Resources of each layer on a target, unknown properties, and the required options of ``export``."""

    target: str
    rows: list[dict[str, str | int]]
    unknown: list[str]
    options: str


class CheckedSpecs(TypedDict):
    """Output of ``check`` (``fixed``: layer strings after ``--fix``, ``fits``: results of ``--target``, by spec)."""

    valid: bool
    diagnostics: list[SpecProblem]
    fixed: dict[str, str]
    fits: NotRequired[dict[str, TargetFit]]


class TargetCitation(TypedDict):
    """Source of the limits of a target."""

    title: str
    address: str


class ListedTarget(TypedDict):
    """Target of ``check --target``."""

    name: str
    title: str
    limits: list[str]
    unknown: list[str]
    sources: list[TargetCitation]


class ShownLayer(TypedDict):
    """Node of a network."""

    path: str
    kind: str
    text: str
    shape: list[int]
    range: str
    varies: bool
    parameters: Count
    macs: Count


class Figure(TypedDict):
    """Value of an ``expect`` or ``claim`` line (``holds``: None if the value must be measured)."""

    quantity: str
    kind: Literal["expect", "claim"]
    printed: str
    source: str
    computed: int | str | None
    holds: bool | None


class ShownNetwork(TypedDict):
    """Output of ``show``. Multiply-accumulates are per time-step and sample."""

    name: str
    settings: dict[str, str | int | bool | None]
    recipe: dict[str, Any] | None
    parameters: Count
    macs: Count
    activations: Count
    output: list[int]
    figures: list[Figure]
    layers: list[ShownLayer]


class KeptValue(TypedDict):
    """Tensor that is saved for the backward pass."""

    layer: str
    path: str
    how: str
    bytes: Count


class ShownMemory(TypedDict):
    """Output of ``show --memory``: memory of a training step in bytes."""

    name: str
    samples: Count
    steps: Count
    mixed: bool
    device: Literal["cpu", "cuda"]
    not_predicted: list[str]
    peak: Count
    at: str
    backward: bool
    standing: dict[str, Count]
    kept: Count
    computed_again_macs: Count
    layers: list[KeptValue]


class Costs(TypedDict):
    """Energy per operation in pJ."""

    mac: float
    ac: float


class EnergyOfLayer(TypedDict):
    """Operations of a layer for one sample (``activity``: measured fraction of non-zero inputs)."""

    activity: NotRequired[float]
    path: str
    multiplies: bool
    steps: Count
    dense: float
    events: float
    accumulations: float
    breaks_even_at: float | None


class TotalEnergy(TypedDict):
    """Energy of a network for one sample in J."""

    name: str
    steps: Count
    costs_pj: Costs
    dense_energy: float
    event_energy: float
    accumulation_energy: float


class ShownEnergy(TotalEnergy):
    """Output of ``show --energy``: operations of one sample, and energies in J."""

    layers: list[EnergyOfLayer]


class Probed(TypedDict):
    """Subject and input of a probe (``data``: None for random input)."""

    run: str | None
    weights: Literal["initial", "best", "last"]
    mode: Literal["training", "evaluation"]
    data: str | None
    samples: Count
    device: Literal["cpu", "cuda"]
    precision: str


class ProbedEnergyOfLayer(EnergyOfLayer):
    """Operations of a probed layer, with its rate of non-zero inputs, estimate, memory and NeuroBench metrics."""

    rate: float
    estimate: float
    weights_read: float
    membranes_read_and_written: float
    Effective_MACs: float
    Effective_ACs: float
    Dense: float


class MemoryPricesShown(TypedDict):
    """Energy per word that is read or written, in pJ."""

    weight: float
    membrane: float


class NeuroBenchFigures(TypedDict):
    """Metrics of one sample with NeuroBench's names."""

    Effective_MACs: float
    Effective_ACs: float
    Dense: float
    activation_sparsity: float


class EnergyClaim(TypedDict):
    """Published energy, the estimate in J, and the mean firing rate implied by the published energy."""

    printed: str
    source: str
    measured: float
    holds: bool
    holds_with_first_layer_repeated: bool
    implied_rate: float | None


class ProbedEnergy(TotalEnergy, Probed):
    """Output of ``probe energy``: operations of one sample, and energies in J."""

    layers: list[ProbedEnergyOfLayer]
    counted_energy: float
    estimated_energy: float
    weight_energy: float
    membrane_energy: float
    memory_costs_pj: MemoryPricesShown
    differences: dict[str, float]
    neurobench: NeuroBenchFigures
    claims: list[EnergyClaim]


class BlockOfRates(TypedDict):
    """Residual block: firing rate of its branch A, mean of its output O."""

    block: int
    name: str
    downsample: bool
    A: float | None
    O: float | None  # noqa: E741 -- as the paper calls it


class BlockOfGradients(TypedDict):
    """Residual block: norm of the loss gradient at its input S."""

    block: int
    name: str
    downsample: bool
    S: float | None


class ProbedRates(Probed):
    """Output of ``probe rates`` (``by_events``: fraction of batches in which a convolution was event-driven)."""

    name: str
    quantity: str
    blocks: list[BlockOfRates]
    by_events: dict[str, Share]


class ProbedGradients(Probed):
    """Output of ``probe gradients``."""

    name: str
    quantity: str
    blocks: list[BlockOfGradients]
    by_events: dict[str, Share]


class ChangedValue(TypedDict):
    """Changed setting, entry of the recipe, or figure."""

    key: str
    before: str
    after: str


class ChangedLayer(TypedDict):
    """Changed layer (``before``: None for an added layer, ``after``: None for a removed layer)."""

    before: str | None
    after: str | None
    where: str
    node: str
    copies: list[list[int]]


class Differences(TypedDict):
    """Output of ``diff``."""

    equal: bool
    networks: list[str]
    settings: list[ChangedValue]
    layers: list[ChangedLayer]
    recipe: list[ChangedValue]
    figures: list[ChangedValue]


class ListedRun(TypedDict):
    """Run, with None for unknown values."""

    path: str
    network: str | None
    data: str | None
    epochs: Count
    planned: int | None
    accuracy: Share | None
    best_accuracy: Share | None
    parameters: int | None
    seconds: float | None
    seed: int | None
    state: Literal["finished", "running", "interrupted", "broken"]
    problem: str | None


class ExaminedKernel(TypedDict):
    """Comparison of a kernel with plain PyTorch, without differences if the kernel raised an error."""

    name: str
    dtype: str
    ok: bool
    error: str
    spikes: Share | None
    spike_tolerance: Share
    gradient: float | None
    gradient_tolerance: float
    seconds: float


class MeasuredSpeed(TypedDict):
    """Time of a benchmark, and the time of its reference as a multiple."""

    name: str
    milliseconds: float
    other: str
    ratio: float


class Examined(TypedDict):
    """Output of ``doctor``."""

    device: Literal["cpu", "cuda"]
    versions: dict[str, str]
    machine: dict[str, str]
    missing: list[str]
    kernels: list[ExaminedKernel]
    speed: list[MeasuredSpeed]


class PlanStep(TypedDict):
    """Step of an execution plan, in words: its nodes, kernels, memory layout and saved tensors."""

    nodes: list[str]
    runs: list[str]
    stored: str
    kept: str


class PlanOfSteps(TypedDict):
    """Output of ``compile --emit plan``."""

    name: str
    on: str
    steps: list[PlanStep]


class DonePass(TypedDict):
    """Changes by a pass, in words (``said``: empty without changes)."""

    name: str
    said: str


class ListedTensor(TypedDict):
    """Tensor in a weights file."""

    key: str
    dtype: str
    shape: list[int]


class ShownWeights(TypedDict):
    """Output of ``weights show`` (``schemes``: detected key schemes, empty without ``--net``)."""

    file: str
    numbers: Count
    schemes: list[str]
    notes: list[str]
    tensors: list[ListedTensor]


class ListedVariant(TypedDict):
    """Output of ``study --list``."""

    title: str
    labels: dict[str, str]
    folder: str
    seeds: list[int]


class Output(NamedTuple):
    """JSON output of a command."""

    command: str
    """Command with the argument or option that selects the output, e.g. ``show --memory``."""
    form: Any
    """Type of the output, or ``MODULE:TYPE`` if the module is slow to import."""

    @property
    def name(self) -> str:
        """Name for ``sewdsl schema``, e.g. ``show-memory``."""
        return self.command.replace(" --", "-").replace(" ", "-")

    @property
    def kind(self) -> Any:
        """Type of the output, imported if necessary."""
        if not isinstance(self.form, str):
            return self.form
        module, _, name = self.form.partition(":")
        return getattr(import_module(module), name)


def outputs() -> Mapping[str, Output]:
    """Return the JSON outputs of all commands, by their names for ``sewdsl schema``."""
    all_outputs = [
        Output("check", CheckedSpecs),
        Output("show", ShownNetwork),
        Output("show --memory", ShownMemory),
        Output("show --energy", ShownEnergy),
        Output("nets", list[ListedNetwork]),
        Output("nets --kinds", list[ListedName]),
        Output("targets", list[ListedTarget]),
        Output("diff", Differences),
        Output("compile --emit plan", PlanOfSteps),
        Output("compile --emit passes", list[DonePass]),
        Output("train", "sewdsl.train.store.result:Result"),
        Output("train --repeat", "sewdsl.train.study.repeats:Summary"),
        Output("study", "sewdsl.train.study.outcome:Outcome"),
        Output("study --list", list[ListedVariant]),
        Output("runs", list[ListedRun]),
        Output("probe rates", ProbedRates),
        Output("probe gradients", ProbedGradients),
        Output("probe energy", ProbedEnergy),
        Output("weights show", ShownWeights),
        Output("doctor", Examined),
    ]
    return {output.name: output for output in all_outputs}
