"""What commands print with ``--json``: types that mypy holds the code to, and the schemas that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypeAlias, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict, is_typeddict  # pydantic takes no other before Python 3.12

from sewdsl.compiler.catalogue import ListedName, ListedNetwork

SCHEMA_VERSION = "https://json-schema.org/draft/2020-12/schema"
EXACT = ConfigDict(extra="forbid")
"""Nothing is printed that a schema does not name. Types within another type take its configuration."""
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
    """Part of a text: lines and columns from 1, offsets from 0; what ends it is not part of it."""

    file: str
    line: Annotated[int, Field(ge=1)]
    column: Annotated[int, Field(ge=1)]
    end_line: Annotated[int, Field(ge=1)]
    end_column: Annotated[int, Field(ge=1)]
    start: Count
    end: Count


class TextEdit(TextPlace):
    """A part of a text, and what replaces it."""

    text: str


class TextFix(TypedDict):
    """A change that solves a problem; safe: there is one reading only."""

    title: str
    safe: bool
    edits: list[TextEdit]


class FoundProblem(TextPlace):
    """A diagnostic."""

    code: str
    severity: Literal["error", "warning", "note"]
    message: str
    label: str
    help: str
    path: list[str]
    fixes: list[TextFix]


class SpecProblem(FoundProblem):
    """A diagnostic of one of several specs."""

    spec: str


class CheckedSpecs(TypedDict):
    """Of ``check``; fixed: the texts of strings after ``--fix``, by spec."""

    valid: bool
    diagnostics: list[SpecProblem]
    fixed: dict[str, str]


class ShownLayer(TypedDict):
    """A node of a network."""

    path: str
    kind: str
    text: str
    shape: list[int]
    range: str
    varies: bool
    parameters: Count
    macs: Count


class Figure(TypedDict):
    """What an ``expect`` or ``claim`` line says, and what is computed; holds: None where what it says is no figure."""

    quantity: str
    kind: Literal["expect", "claim"]
    printed: str
    source: str
    computed: int | str | None
    holds: bool | None


class ShownNetwork(TypedDict):
    """Of ``show``; multiply-accumulates are those of a time-step and sample."""

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
    """What waits for the backward pass."""

    layer: str
    path: str
    how: str
    bytes: Count


class ShownMemory(TypedDict):
    """Of ``show --memory``: a training step, in bytes."""

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
    """Energy of an operation, in pJ."""

    mac: float
    ac: float


class MeasuredActivity(TypedDict):
    """What a measured layer has in addition."""

    activity: NotRequired[float]


class EnergyOfLayer(MeasuredActivity):
    """Operations of a layer for one sample; activity: the measured share of its inputs that are not zero."""

    path: str
    multiplies: bool
    steps: Count
    dense: float
    events: float
    accumulations: float
    breaks_even_at: float | None


class TotalEnergy(TypedDict):
    """Of a network and one sample, in J."""

    name: str
    steps: Count
    costs_pj: Costs
    dense_energy: float
    event_energy: float
    accumulation_energy: float


class ShownEnergy(TotalEnergy):
    """Of ``show --energy``: operations of one sample, and energies in J."""

    layers: list[EnergyOfLayer]


class Probed(TypedDict):
    """What was looked at, and what it was shown; data: None for random input."""

    run: str | None
    weights: Literal["initial", "best", "last"]
    mode: Literal["training", "evaluation"]
    data: str | None
    samples: Count
    device: Literal["cpu", "cuda"]
    precision: str


class ProbedEnergyOfLayer(EnergyOfLayer):
    """The same of a layer that was looked at: its share that is not zero, the usual estimate, memory, NeuroBench's."""

    rate: float
    estimate: float
    weights_read: float
    membranes_read_and_written: float
    Effective_MACs: float
    Effective_ACs: float
    Dense: float


class MemoryPricesShown(TypedDict):
    """Energy of a word that is read or written, in pJ."""

    weight: float
    membrane: float


class NeuroBenchFigures(TypedDict):
    """Of one sample, by NeuroBench's names."""

    Effective_MACs: float
    Effective_ACs: float
    Dense: float
    activation_sparsity: float


class EnergyClaim(TypedDict):
    """What a source prints, next to the usual estimate in J, and the mean rate that it implies."""

    printed: str
    source: str
    measured: float
    holds: bool
    holds_with_first_layer_repeated: bool
    implied_rate: float | None


class ProbedEnergy(TotalEnergy, Probed):
    """Of ``probe energy``: operations of one sample, and energies in J."""

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
    """A residual block: the firing rate of its branch A, the mean of its output O."""

    block: int
    name: str
    downsample: bool
    A: float | None
    O: float | None  # noqa: E741 -- as the paper calls it


class BlockOfGradients(TypedDict):
    """A residual block: the norm of the loss's gradient by its input S."""

    block: int
    name: str
    downsample: bool
    S: float | None


class ProbedRates(Probed):
    """Of ``probe rates``; by_events: the share of the batches in which a convolution looked at active inputs alone."""

    name: str
    quantity: str
    blocks: list[BlockOfRates]
    by_events: dict[str, Share]


class ProbedGradients(Probed):
    """Of ``probe gradients``."""

    name: str
    quantity: str
    blocks: list[BlockOfGradients]
    by_events: dict[str, Share]


class ChangedValue(TypedDict):
    """A setting, a part of the recipe, or a figure."""

    key: str
    before: str
    after: str


class ChangedLayer(TypedDict):
    """A layer; None where nothing was or is."""

    before: str | None
    after: str | None
    where: str
    node: str
    copies: list[list[int]]


class Differences(TypedDict):
    """Of ``diff``."""

    equal: bool
    networks: list[str]
    settings: list[ChangedValue]
    layers: list[ChangedLayer]
    recipe: list[ChangedValue]
    figures: list[ChangedValue]


class ListedRun(TypedDict):
    """A run; what is not known is None."""

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
    """A comparison of kernels with plain PyTorch; the differences are None where there is an error."""

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
    """How long something takes, and how many times as long something else."""

    name: str
    milliseconds: float
    other: str
    ratio: float


class Examined(TypedDict):
    """Of ``doctor``."""

    device: Literal["cpu", "cuda"]
    versions: dict[str, str]
    machine: dict[str, str]
    missing: list[str]
    kernels: list[ExaminedKernel]
    speed: list[MeasuredSpeed]


class PlanStep(TypedDict):
    """One step of a plan, in words: its nodes, how they run, how its value lies in memory and what is kept of it."""

    nodes: list[str]
    runs: list[str]
    stored: str
    kept: str


class PlanOfSteps(TypedDict):
    """Of ``compile --emit plan``."""

    name: str
    on: str
    steps: list[PlanStep]


class DonePass(TypedDict):
    """What a pass did, in words; empty: nothing."""

    name: str
    said: str


class ListedTensor(TypedDict):
    """A tensor of a file of weights."""

    key: str
    dtype: str
    shape: list[int]


class ShownWeights(TypedDict):
    """Of ``weights show``; schemes: whose keys these are, where a network says of what."""

    file: str
    numbers: Count
    schemes: list[str]
    notes: list[str]
    tensors: list[ListedTensor]


class ListedVariant(TypedDict):
    """Of ``study --list``."""

    title: str
    labels: dict[str, str]
    folder: str
    seeds: list[int]


class Output(NamedTuple):
    """What a command prints with ``--json``.

    Attributes:
        command: With the argument or option that makes it print this.
        form: The type of it, or ``MODULE:TYPE`` of one whose module takes long to load.
    """

    command: str
    form: Any

    @property
    def name(self) -> str:
        """For ``sewdsl schema``: ``show-memory``."""
        return self.command.replace(" --", "-").replace(" ", "-")

    @property
    def kind(self) -> Any:
        """The type itself."""
        if not isinstance(self.form, str):
            return self.form
        module, _, name = self.form.partition(":")
        return getattr(import_module(module), name)


def outputs() -> Mapping[str, Output]:
    """What all commands print with ``--json``, by the name that ``sewdsl schema`` takes."""
    every = [
        Output("check", CheckedSpecs),
        Output("show", ShownNetwork),
        Output("show --memory", ShownMemory),
        Output("show --energy", ShownEnergy),
        Output("nets", list[ListedNetwork]),
        Output("nets --kinds", list[ListedName]),
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
    return {output.name: output for output in every}
