"""What a run needs to know before it starts, and what it says if the spec cannot be trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from sewdsl.compiler import Compilation, CompiledVariant
from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity, SewdslError, errors_in, sort_diagnostics
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import EventTransform, ImageTransform, Recipe
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import BUILTIN, Span
from sewdsl.train.data import data_folders, datasets, find_dataset
from sewdsl.train.data.augmentation import Augmentation
from sewdsl.train.data.dataset import DataOptions, DataSet
from sewdsl.train.data.imagenet import ImageFolder


class TrainingPlan(NamedTuple):
    """A network, how to train it, and on what; they fit."""

    network: Network
    recipe: Recipe
    data: DataSet


def plan_training(compilation: Compilation, folder: Path | None = None) -> TrainingPlan:
    """Find and check everything that a run needs, before anything is loaded or built.

    Args:
        folder: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says.

    Raises:
        SewdslError: If the spec has errors or no recipe, names a dataset that does not exist, or does not fit its data.
    """
    network = compilation.result()
    place = _Places(compilation)
    recipe = network.recipe
    if recipe is None:
        message, hint = f"'{network.name}' has no 'train' section", _how(compilation, network)
        raise SewdslError([Diagnostic("missing-recipe", Severity.ERROR, message, place.body, help=hint)])
    data = _find_data(network, recipe, folder, place)
    if data.value is None or errors_in(data.diagnostics):
        raise SewdslError(sort_diagnostics(data.diagnostics))
    return TrainingPlan(network, recipe, data.value)


def dataset_of(network: Network, folder: Path | None = None) -> DataSet:
    """Return the dataset of a network's recipe, set up for the network.

    Args:
        folder: Folder of the dataset. None: environment variable ``SEWDSL_DATA``.

    Raises:
        ValueError: If the network has no recipe, or the dataset is unknown.
    """
    recipe = network.recipe
    if recipe is None:
        message = f"{network.name} has no recipe, which names the dataset: set={{'train.on': 'mnist5k'}} adds one"
        raise ValueError(message)
    kind = find_dataset(recipe.on)
    if kind is None:
        raise ValueError(f"unknown data set '{recipe.on}'")
    return kind(_setup(network, recipe, folder))


def check_training(base: Compilation, varied: Iterable[CompiledVariant] = ()) -> Compilation:
    """Add the diagnostics of :func:`training_problems` to those of a spec and of the variants of its study.

    A study that probes trains nothing, so nothing is added.

    Args:
        varied: Its variants, see :func:`sewdsl.compiler.compile_variants`. A diagnostic of the spec is not repeated.
    """
    if base.network is None or base.study.probe:
        return base
    reporter, own = Reporter(), training_problems(base)
    reporter.extend(own)
    for one in varied:
        fresh = (d for compilation in one.compilations for d in training_problems(compilation) if d not in own)
        reporter.extend(replace(d, path=(one.variant.title, *d.path)) for d in fresh)
    return replace(base, diagnostics=sort_diagnostics([*base.diagnostics, *reporter.found]))


def training_problems(compilation: Compilation) -> tuple[Diagnostic, ...]:
    """Return what :func:`plan_training` refuses in a valid network that has a recipe."""
    network = compilation.network
    if network is None or network.recipe is None or not compilation.valid:
        return ()
    return sort_diagnostics(_find_data(network, network.recipe, None, _Places(compilation)).diagnostics)


def _find_data(network: Network, recipe: Recipe, folder: Path | None, place: _Places) -> Reported[DataSet | None]:
    """Find the dataset of a recipe, and how the network does not fit it; None for none, or for several outputs."""
    if network.outputs:
        names = ", ".join(name for name, _ in network.outputs)
        message, hint = (
            f"training needs one output, and the network gives {names}",
            "write 'body' in place of 'outputs'",
        )
        return Reported(None, (Diagnostic("several-outputs", Severity.ERROR, message, place.body, help=hint),))
    kind = find_dataset(recipe.on)
    if kind is None:
        span = place.data(recipe.on)
        near = advice(recipe.on, datasets(), span, f"data sets: {', '.join(sorted(datasets()))}")
        message = f"unknown data set '{recipe.on}'"
        return Reported(None, (Diagnostic("unknown-name", Severity.ERROR, message, span, **near),))
    data = kind(_setup(network, recipe, folder))
    return Reported(data, tuple(_compare(network, recipe, data, place)))


def _how(compilation: Compilation, network: Network) -> str:
    """Say how a network without a recipe is trained, and on what."""
    if compilation.study.variants:
        return "what its 'study' section asks for is done by 'sewdsl study'"
    settings, output = network.settings, network.nodes[network.output].output
    alike = {  # as many channels and classes, and sequences or not
        name: data.shape
        for name, data in sorted(datasets().items())
        if data.shape and data.shape[0] == settings.input[0] and output.shape == (data.classes,)
        if data.varies == (settings.encode == "none" and settings.steps > 1)
    }
    fits = [name for name, shape in alike.items() if shape == settings.input]
    resized = [f"{name} (--input {_size(shape)})" for name, shape in alike.items()]
    optimizer = "Adam(lr=0.001)"
    add = f"add 'train on DATA {{ optimizer {optimizer} }}', or --set train.on=DATA --set 'train.optimizer={optimizer}'"
    if fits:
        return f"{add}; DATA that fits: {', '.join(fits)}"
    if resized:
        return f"{add}; DATA that fits with another input: {', '.join(resized)}"
    return f"{add}; 'sewdsl nets' has networks with a recipe"


def _setup(network: Network, recipe: Recipe, folder: Path | None) -> DataOptions:
    output = network.nodes[network.output].output
    return DataOptions(
        folder=folder or data_folders.data_folder_variable(),
        steps=network.settings.steps,
        shape=network.settings.input,
        classes=output.elements,
        subset=recipe.subset,
        augmentation=Augmentation(recipe.shift, recipe.flip, recipe.augment),
        resize=recipe.resize or "bilinear",
        holdout=recipe.holdout,
        crop=recipe.crop,
        statistics=(recipe.mean, recipe.std),
    )


class _Places:
    """Where in the text a complaint belongs."""

    def __init__(self, compilation: Compilation) -> None:
        self._assembly = compilation.assembly

    @property
    def body(self) -> Span:
        body = (self._assembly.body or self._assembly.expression) if self._assembly else None
        return body.span if body else BUILTIN

    def setting(self, key: str) -> Span:
        """Return a line of the header, or the body where the line is missing."""
        setting = self._assembly.settings.get(key) if self._assembly else None
        return setting.span if setting else self.body

    def writing(self, key: str, value: str, *, safe: bool = False) -> tuple[Fix, ...]:
        """Return the fix that gives a setting another value, in its line or in a new one after that of the time-steps.

        There is none for a compact string, which has no lines of settings, and for what another file or the command
        line says.

        Args:
            safe: Whether the dataset leaves no other value.
        """
        settings = self._assembly.settings if self._assembly else {}
        line, steps = settings.get(key), settings.get("steps")
        written, title = f"{key} {value}", f"write '{key} {value}'"
        if line is not None and line.span.source is self.body.source and line.values:
            old = line.values[0].span.to(line.values[-1].span)
            return (Fix(title, (Edit(old, value),), safe=safe),)
        if line is None and steps is not None and steps.span.source is self.body.source:
            return (Fix(f"add '{written}'", (Edit(steps.span.after, f"\n{written}"),), safe=safe),)
        return ()

    def recipe(self, key: str) -> Span:
        """Return a line of the ``train`` section."""
        section = self._assembly.sections["train"] if self._assembly else None
        settings = section.settings if section else ()
        return next((setting.span for setting in settings if setting.key.text == key), self.body)

    def data(self, name: str) -> Span:
        """Return the dataset's name after ``train on``."""
        section = self._assembly.sections["train"] if self._assembly else None
        if section is None:
            return self.body
        start = section.span.text.find(name, len(section.name.text))
        return section.span.part(start, start + len(name)) if start >= 0 else section.span


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _compare_changes(network: Network, recipe: Recipe, data: DataSet, place: _Places) -> Iterator[Diagnostic]:
    """Find what the recipe does to samples that are not of the kind that it is done to."""
    shape = network.settings.input
    for key in ("crop", "mean", "std"):
        if getattr(recipe, key) != Recipe.model_fields[key].default and not isinstance(data, ImageFolder):
            message, hint = f"'{key}' is for folders of images, and {data.name} is none", "leave it out"
            yield Diagnostic("invalid-argument", Severity.ERROR, message, place.recipe(key), help=hint)
    for transform in recipe.augment:
        reason = ""
        if len(shape) != len("CHW"):
            reason = f"changes maps, but the network's input is {_size(shape)}"
        elif isinstance(transform, ImageTransform) and data.varies:
            reason = f"changes the pixels of images, but the samples of {data.name} are sequences"
        elif isinstance(transform, ImageTransform) and shape[0] not in {1, 3}:
            reason = f"changes images of 1 or 3 channels, but the network's input is {_size(shape)}"
        elif isinstance(transform, EventTransform) and not data.holds_events:
            reason = f"changes events, but {data.name} has none"
        if reason:
            message, span = f"{transform.kind} {reason}", place.recipe("augment")
            yield Diagnostic("invalid-argument", Severity.ERROR, message, span, help="leave it out")


def _compare(network: Network, recipe: Recipe, data: DataSet, place: _Places) -> Iterator[Diagnostic]:
    """Find what does not fit: the network to the samples, or the recipe to the network."""
    error = Severity.ERROR
    settings, output = network.settings, network.nodes[network.output].output
    resized = (
        recipe.resize is not None
        and data.holds_events
        and data.shape is not None
        and len(data.shape) == len(settings.input) == len("CHW")
        and settings.input[0] == data.shape[0]
    )
    if data.shape and settings.input != data.shape and not resized:
        size = _size(data.shape)
        message = f"a sample of {data.name} is {size}, but the network's input is {_size(settings.input)}"
        fixes = place.writing("input", size)
        yield Diagnostic(
            "data-mismatch", error, message, place.setting("input"), help=f"write 'input {size}'", fixes=fixes
        )
    classes = data.classes or output.elements
    if output.shape != (classes,):
        message = f"{data.name} has {classes} classes, but the network's output is {output.size}"
        yield Diagnostic("data-mismatch", error, message, place.body, help=f"let it end in FC{classes}")
    if data.varies and settings.encode == "direct":
        message = f"the samples of {data.name} are sequences, but the network repeats a static input"
        hint, fixes = "leave out 'encode direct'", place.writing("encode", "none", safe=True)
        yield Diagnostic("data-mismatch", error, message, place.setting("encode"), help=hint, fixes=fixes)
    if not data.varies and settings.encode == "none" and settings.steps > 1:
        message = f"the samples of {data.name} do not change over time, but the network's input is a sequence"
        hint, fixes = "add 'encode direct'", place.writing("encode", "direct", safe=True)
        yield Diagnostic("data-mismatch", error, message, place.setting("steps"), help=hint, fixes=fixes)
    if reason := data.misfit():
        yield Diagnostic("data-mismatch", error, reason, place.data(recipe.on), help="write another 'input' or recipe")
    yield from _compare_changes(network, recipe, data, place)
    side = min(settings.input[1:], default=0)
    moved = [key for key in ("shift", "flip") if getattr(recipe, key)]
    if moved and len(settings.input) != len("CHW"):
        message = f"'{moved[0]}' moves images, but the network's input is {_size(settings.input)}"
        yield Diagnostic("invalid-argument", error, message, place.recipe(moved[0]), help="leave it out")
    elif recipe.shift >= side > 0:
        message = f"a shift of up to {recipe.shift} pixels moves an input of {_size(settings.input)} out of sight"
        yield Diagnostic("invalid-argument", error, message, place.recipe("shift"), help=f"at most {side - 1}")
    if settings.readout not in recipe.loss.readouts:
        whose = "the loss of each time-step" if recipe.loss.each_step else f"the loss {recipe.loss.kind}"
        goes = " or ".join(f"'readout {word}'" for word in recipe.loss.readouts)
        message = f"{whose} goes with {goes}, not with 'readout {settings.readout}'"
        yield Diagnostic("invalid-argument", error, message, place.recipe("loss"), help="write 'loss CrossEntropy'")
    if recipe.T_train is not None and recipe.T_train > settings.steps:
        message = f"T_train {recipe.T_train} is more than the network's {settings.steps} time-steps"
        yield Diagnostic("invalid-argument", error, message, place.recipe("T_train"), help=f"at most {settings.steps}")
    elif recipe.T_train not in {None, settings.steps} and (fixed := network.first_fixed) is not None:
        message = (
            f"T_train {recipe.T_train} keeps fewer than {settings.steps} time-steps of a sample, but {fixed.name} "
            f"({fixed.op.kind}) has weights for {settings.steps}"
        )
        yield Diagnostic("invalid-argument", error, message, place.recipe("T_train"), help="leave out T_train")
