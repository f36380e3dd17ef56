"""Checks before a training: recipe, dataset and network must fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import lcm
from pathlib import Path
from typing import NamedTuple

from sewdsl.compiler import Compilation, CompiledVariant, read
from sewdsl.diagnostics import Diagnostic, Edit, Fix, SewdslError, errors_in, sort_diagnostics
from sewdsl.elaborate.assembly import Assembly
from sewdsl.ir.network import Network
from sewdsl.ir.recipe import EventTransform, ImageTransform, Loss, LossTerm, Recipe
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import BUILTIN, Span
from sewdsl.syntax.suggestions import advice, did_you_mean
from sewdsl.train.data import data_folders, datasets, find_dataset
from sewdsl.train.data.augmentation import Augmentation
from sewdsl.train.data.dataset import DataOptions, DataSet
from sewdsl.train.data.imagenet import ImageFolder


class TrainingPlan(NamedTuple):
    """Network, recipe and dataset of a run, checked to fit."""

    network: Network
    recipe: Recipe
    data: DataSet


def plan_training(compilation: Compilation, folder: Path | None = None) -> TrainingPlan:
    """Check the requirements of a training, before data is loaded or the network is built.

    Args:
        folder: Dataset folder, or folder of several datasets. The default is the environment variable ``SEWDSL_DATA``.

    Raises:
        SewdslError: If the spec has errors or no recipe, the dataset is unknown, or the dataset does not fit.
    """
    network = compilation.result()
    spans = _Spans(compilation)
    recipe = network.recipe
    if recipe is None:
        message, hint = f"'{network.name}' has no 'train' section", _suggest_recipe(compilation, network)
        raise SewdslError([Diagnostic("missing-recipe", message, spans.body, help=hint)])
    data = _find_data(network, recipe, folder, spans)
    if data.value is None or errors_in(data.diagnostics):
        raise SewdslError(sort_diagnostics(data.diagnostics))
    return TrainingPlan(network, recipe, data.value)


def dataset_of(network: Network, folder: Path | None = None) -> DataSet:
    """Return the dataset of a network's recipe, set up for the network.

    Args:
        folder: Dataset folder. The default is the environment variable ``SEWDSL_DATA``.

    Raises:
        ValueError: If the network has no recipe, or the dataset is unknown.
    """
    if network.recipe is None:
        raise ValueError(f"{network.name} has no recipe; compile it with e.g. set={{'train.on': 'mnist5k'}}")
    dataset = find_dataset_of(network, folder)
    if dataset is None:
        raise ValueError(f"unknown dataset '{network.recipe.on}'")
    return dataset


def find_dataset_of(network: Network, folder: Path | None = None) -> DataSet | None:
    """Return the result of :func:`dataset_of`, or None without a recipe or for an unknown dataset."""
    recipe = network.recipe
    kind = find_dataset(recipe.on) if recipe else None
    if recipe is None or kind is None:
        return None
    options = DataOptions(
        folder=folder or data_folders.data_folder_variable(),
        steps=network.settings.steps,
        shape=network.settings.input or None,
        inputs=network.settings.sources,
        classes=None if recipe.terms[0].loss.target else network.nodes[network.main_output].output.elements,
        labelled=any(not term.loss.target for term in recipe.terms),
        subset=recipe.subset,
        augmentation=Augmentation(recipe.shift, recipe.flip, recipe.augment),
        resize=recipe.resize or "bilinear",
        holdout=recipe.holdout,
        crop=recipe.crop,
        statistics=(recipe.mean, recipe.std),
    )
    return kind(options)


def check_training(base: Compilation, varied: Iterable[CompiledVariant] = ()) -> Compilation:
    """Add the diagnostics of :func:`training_problems` to those of a spec and of the variants of its study.

    Nothing is added for a study that probes, because it trains no network.

    Args:
        varied: Compiled variants, see :func:`sewdsl.compiler.compile_variants`. Diagnostics of the spec are not
            repeated for variants.
    """
    if base.network is None or base.study.probe:
        return base
    reporter, own = Reporter(), training_problems(base)
    reporter.extend(own)
    for each in varied:
        # Problems of the spec itself are reported once.
        fresh = (d for compilation in each.compilations for d in training_problems(compilation) if d not in own)
        reporter.extend(replace(d, path=(each.variant.title, *d.path)) for d in fresh)
    return replace(base, diagnostics=sort_diagnostics([*base.diagnostics, *reporter.diagnostics]))


def training_problems(compilation: Compilation) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of :func:`plan_training` for a valid network with a recipe."""
    network = compilation.network
    if network is None or network.recipe is None or not compilation.valid:
        return ()
    return sort_diagnostics(_find_data(network, network.recipe, None, _Spans(compilation)).diagnostics)


def _find_data(network: Network, recipe: Recipe, folder: Path | None, spans: _Spans) -> Reported[DataSet | None]:
    """Return the dataset of a recipe, with diagnostics, or None if it is unknown or the network has several outputs."""
    if network.outputs and not recipe.losses:
        names = ", ".join(name for name, _ in network.outputs)
        message = f"the loss requires the name of an output: {names}"
        hint = f"write a line for each output, e.g. 'loss {network.outputs[0][0]} {recipe.loss}'"
        return Reported(None, (Diagnostic("several-outputs", message, spans.body, help=hint),))
    data = find_dataset_of(network, folder)
    if data is None:
        span = spans.data(recipe.on)
        suggestion = advice(recipe.on, datasets(), span, f"datasets: {', '.join(sorted(datasets()))}")
        message = f"unknown dataset '{recipe.on}'"
        return Reported(None, (Diagnostic("unknown-name", message, span, **suggestion),))
    return Reported(data, tuple(_compare(network, recipe, data, spans)))


def _suggest_recipe(compilation: Compilation, network: Network) -> str:
    """Return the help for a network without a recipe, with suitable datasets."""
    if compilation.study.variants:
        return "run its 'study' section with 'sewdsl study'"
    settings, output = network.settings, network.nodes[network.output].output
    if settings.inputs:
        return "add 'train on numpy-files { … }', with an array for each input"
    # The same channels and classes, and both static or both sequences.
    suitable = {
        name: data.shape
        for name, data in sorted(datasets().items())
        if data.shape and data.shape[0] == settings.input[0] and output.shape == (data.classes,)
        if data.varies == (settings.encode == "none" and settings.steps > 1)
    }
    equal_size = [name for name, shape in suitable.items() if shape == settings.input]
    resized = [f"{name} (--input {_size(shape)})" for name, shape in suitable.items()]
    optimizer = "Adam(lr=0.001)"
    add = f"add 'train on DATA {{ optimizer {optimizer} }}', or --set train.on=DATA --set 'train.optimizer={optimizer}'"
    if equal_size:
        return f"{add}; suitable DATA: {', '.join(equal_size)}"
    if resized:
        return f"{add}; suitable DATA with another input: {', '.join(resized)}"
    return f"{add}; see 'sewdsl nets' for networks with a recipe"


class _Spans:
    def __init__(self, compilation: Compilation) -> None:
        self._assembly = compilation.assembly or Assembly()

    @property
    def body(self) -> Span:
        body = self._assembly.body or self._assembly.expression
        return body.span if body else BUILTIN

    def setting(self, key: str) -> Span:
        """Return the span of a setting in the header, or of the body if the setting is missing."""
        setting = self._assembly.settings.get(key)
        return setting.span if setting else self.body

    def writing(self, key: str, value: str, *, safe: bool = False) -> tuple[Fix, ...]:
        """Return a fix that changes a setting, or adds it after the line of the time-steps.

        There is no fix for a layer string, or for a setting in another file or on the command line.

        Args:
            safe: Whether the value is the only one that fits the dataset.
        """
        line, steps = self._assembly.settings.get(key), self._assembly.settings.get("steps")
        statement, title = f"{key} {value}", f"write '{key} {value}'"
        # Only the file of the network itself can be fixed.
        if line is not None and line.span.source is self.body.source and line.values:
            old = line.values[0].span.to(line.values[-1].span)
            return (Fix(title, (Edit(old, value),), safe=safe),)
        if line is None and steps is not None and steps.span.source is self.body.source:
            return (Fix(f"add '{statement}'", (Edit(steps.span.after, f"\n{statement}"),), safe=safe),)
        return ()

    def recipe(self, key: str) -> Span:
        """Return the span of a setting in the ``train`` section."""
        return next(iter(self.recipe_lines(key)), self.body)

    def recipe_lines(self, key: str) -> list[Span]:
        """Return the spans of all settings with a key in the ``train`` section."""
        return [setting.span for setting in self._assembly.sections["train"].settings if setting.key.text == key]

    def data(self, name: str) -> Span:
        """Return the span of the dataset's name after ``train on``."""
        section = self._assembly.sections["train"]
        start = section.span.text.find(name, len(section.name.text))
        return section.span.part(start, start + len(name)) if start >= 0 else section.span


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _compare_changes(network: Network, recipe: Recipe, data: DataSet, spans: _Spans) -> Iterator[Diagnostic]:
    """Find transforms in the recipe that do not fit the samples."""
    shape = network.settings.input
    for key in ("crop", "mean", "std"):
        if getattr(recipe, key) != Recipe.model_fields[key].default and not isinstance(data, ImageFolder):
            message, hint = f"'{key}' requires a folder of images, but {data.name} is not one", "remove it"
            yield Diagnostic("invalid-argument", message, spans.recipe(key), help=hint)
    if recipe.resize != Recipe.model_fields["resize"].default and not data.holds_events:
        message = f"'resize' requires frames of events, but {data.name} has none"
        yield Diagnostic("invalid-argument", message, spans.recipe("resize"), help="remove it")
    for transform in recipe.augment:
        reason = ""
        if len(shape) != len("CHW"):
            reason = f"requires feature maps, but the network's input is {_size(shape)}"
        elif isinstance(transform, ImageTransform) and data.varies:
            reason = f"requires images, but the samples of {data.name} are sequences"
        elif isinstance(transform, ImageTransform) and shape[0] not in {1, 3}:
            reason = f"requires images with 1 or 3 channels, but the network's input is {_size(shape)}"
        elif isinstance(transform, EventTransform) and not data.holds_events:
            reason = f"requires events, but {data.name} has none"
        if reason:
            message, span = f"{transform.kind} {reason}", spans.recipe("augment")
            yield Diagnostic("invalid-argument", message, span, help="remove it")


def _compare_named(network: Network, recipe: Recipe, data: DataSet, spans: _Spans) -> Iterator[Diagnostic]:
    """Find mismatches between named inputs, samples and recipe."""
    names = ", ".join(source.name for source in network.settings.inputs)
    if not data.has_names:
        message = f"a sample of {data.name} has no names, but the network has the inputs {names}"
        hint = "write 'train on numpy-files', with an array for each input"
        yield Diagnostic("data-mismatch", message, spans.data(recipe.on), help=hint)
    for key in ("augment", "shift", "flip", "crop", "mean", "std"):
        if getattr(recipe, key) != Recipe.model_fields[key].get_default(call_default_factory=True):
            message = f"'{key}' requires one input, but the network has {names}"
            yield Diagnostic("invalid-argument", message, spans.recipe(key), help="remove it")
    yield from _compare_classes(network, data, spans)
    yield from _compare_loss(network, recipe, spans)


def _compare(network: Network, recipe: Recipe, data: DataSet, spans: _Spans) -> Iterator[Diagnostic]:
    """Find mismatches between network, samples and recipe."""
    if network.settings.inputs:
        yield from _compare_named(network, recipe, data, spans)
        return
    settings = network.settings
    # Frames of events can be resized, but their number of channels cannot change.
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
        fixes = spans.writing("input", size)
        yield Diagnostic("data-mismatch", message, spans.setting("input"), help=f"write 'input {size}'", fixes=fixes)
    yield from _compare_classes(network, data, spans)
    if data.varies and settings.encode == "direct":
        message = f"dataset {data.name} has sequences, but the network repeats a static input"
        hint, fixes = "remove 'encode direct'", spans.writing("encode", "none", safe=True)
        yield Diagnostic("data-mismatch", message, spans.setting("encode"), help=hint, fixes=fixes)
    if not data.varies and settings.encode == "none" and settings.steps > 1:
        message = f"dataset {data.name} has static samples, but the network expects sequences"
        hint, fixes = "add 'encode direct'", spans.writing("encode", "direct", safe=True)
        yield Diagnostic("data-mismatch", message, spans.setting("steps"), help=hint, fixes=fixes)
    if reason := data.misfit():
        yield Diagnostic("data-mismatch", reason, spans.data(recipe.on), help="change 'input' or the recipe")
    yield from _compare_changes(network, recipe, data, spans)
    side = min(settings.input[1:], default=0)
    moved = [key for key in ("shift", "flip") if getattr(recipe, key)]
    if moved and len(settings.input) != len("CHW"):
        message = f"'{moved[0]}' requires images, but the network's input is {_size(settings.input)}"
        yield Diagnostic("invalid-argument", message, spans.recipe(moved[0]), help="remove it")
    # Such a shift could move the whole image out of the input.
    elif recipe.shift >= side > 0:
        message = f"a shift of {recipe.shift} pixels exceeds the input size {_size(settings.input)}"
        yield Diagnostic("invalid-argument", message, spans.recipe("shift"), help=f"use at most {side - 1}")
    yield from _compare_loss(network, recipe, spans)


def _compare_classes(network: Network, data: DataSet, spans: _Spans) -> Iterator[Diagnostic]:
    """Find outputs that are trained to output the class, and do not have one element for each class."""
    for name in network.classified:
        output = network.nodes[dict(network.outputs).get(name, network.output)].output
        classes = data.classes or output.elements
        if output.shape != (classes,):
            subject = f"the output {name}" if name else "the network's output"
            message = f"{data.name} has {classes} classes, but {subject} is {output.size}"
            hint = f"end the network with FC{classes}"
            yield Diagnostic("data-mismatch", message, spans.body, help=hint)


def _compare_terms(network: Network, recipe: Recipe, spans: _Spans) -> Iterator[Diagnostic]:
    """Find losses with an unknown output, or with a target that does not fit their output."""
    shapes = {name: network.nodes[index].output.shape for name, index in network.outputs}
    shapes = shapes or {"": network.nodes[network.output].output.shape}
    taught, problem = _teacher_outputs(network, recipe)
    lines, known = spans.recipe_lines("loss"), ", ".join(shapes)
    if problem:
        hint = "name the folder of a run whose inputs and outputs fit, e.g. 'teacher \"runs/ann-1\"'"
        if not any(map(_reads_teacher, recipe.terms)):
            hint = "remove it, or add a loss, e.g. 'loss KL(to=teacher)'"
        yield Diagnostic("teacher-mismatch", problem, spans.recipe("teacher"), help=hint)
    for index, term in enumerate(recipe.terms):
        span, target = lines[index] if index < len(lines) else spans.body, term.loss.target
        refusal, code, hint = "", "invalid-argument", "change the loss, or the layers of the output"
        if term.output not in shapes:
            refusal, code = f"unknown output '{term.output}'", "unknown-name"
            hint = f"known outputs: {known}" if known else "remove the name: the network has one output"
            hint = did_you_mean(term.output, shapes) or hint
            if not term.output:
                refusal, code = f"the loss requires the name of an output: {known}", "several-outputs"
                hint = f"write 'loss {next(iter(shapes))} {term.loss}'"
            yield Diagnostic(code, refusal, span, help=hint)
            continue
        shape = shapes[term.output]
        targets = {name: shape_ for name, shape_ in shapes.items() if name and name != term.output}
        targets |= {f"teacher.{name}" if name else "teacher": shape_ for name, shape_ in taught.items()}
        targets |= {} if network.settings.inputs else {"input": network.settings.input}
        if _reads_teacher(term) and recipe.teacher is None:
            refusal, code = f"'to={target}' requires a teacher, but the recipe has none", "teacher-mismatch"
            hint = "add a line with the folder of a run, e.g. 'teacher \"runs/ann-1\"'"
        elif target and target == term.output:
            refusal, hint = f"the target of the output {target} is the output itself", "use another target"
        elif target == "next":
            refusal, hint = _next_misfit(network, recipe, term.loss, shape)
        elif target and target not in targets and (taught or not _reads_teacher(term)):
            refusal, code = f"unknown target '{target}'", "unknown-name"
            hint = did_you_mean(target, targets) or f"known targets: {', '.join(targets) or 'none'}"
        elif index == 0 and target not in {"", "input"}:
            refusal = f"the first loss selects the best epoch, but its target is '{target}'"
            hint = "begin with a loss whose target is the class or the input"
        elif target in targets and targets[target] != shape:
            code = "teacher-mismatch" if _reads_teacher(term) else code
            sizes = f"[{_size(shape)}] with a target of shape [{_size(targets[target])}]"
            refusal = f"{term.loss} compares an output of shape {sizes}"
        elif term.loss.kind == "KL" and len(shape) > 1:
            refusal = f"KL requires a vector as output, got [{_size(shape)}]"
        if refusal:
            yield Diagnostic(code, refusal, span, help=hint)


def _reads_teacher(term: LossTerm) -> bool:
    return term.loss.target.partition(".")[0] == "teacher"


def _next_misfit(network: Network, recipe: Recipe, loss: Loss, shape: tuple[int, ...]) -> tuple[str, str]:
    """Return why an output cannot be compared with the next input, and the help (empty if it can)."""
    settings, size = network.settings, network.settings.input_text
    if loss.kind == "KL":
        # An output can have this name.
        return "KL cannot have the target 'next', the input one time-step later", "use 'loss CrossEntropy(to=next)'"
    if settings.inputs:
        return f"the target 'next' requires one input, got {size}", "use a network with one input"
    if settings.encode == "direct" or settings.steps == 1:
        hint = "write e.g. 'steps 128', without 'encode direct'"
        return "the target 'next' requires a sequence with several time-steps", hint
    if recipe.T_train is not None:
        return "to=next requires consecutive time-steps, but T_train deletes some of them", "remove T_train"
    expected = settings.input
    if loss.classifies:
        if settings.of is None or len(settings.input) > 1:
            return f"{loss}: expected tokens as input, got {size}", "write e.g. 'input 1 of 30522'"
        # As for EMB, a single token has no axis of positions.
        expected = (settings.of, *(() if settings.input == (1,) else settings.input))
    if shape != expected:
        hint = f"end the network with FC{expected[0]}" if len(expected) == 1 else "change the layers of the output"
        return f"{loss} requires an output of shape [{_size(expected)}], got [{_size(shape)}]", hint
    return "", ""


def _teacher_outputs(network: Network, recipe: Recipe) -> tuple[dict[str, tuple[int, ...]], str]:
    """Return the shapes of the teacher's outputs by name, and why the teacher does not fit (empty if it does)."""
    if recipe.teacher is None:
        return {}, ""  # Reported at the losses.
    if not any(map(_reads_teacher, recipe.terms)):
        return {}, "the teacher is unused: no loss has to=teacher"
    file = Path(recipe.teacher) / "spec.net"
    if not file.is_file():
        return {}, ""  # As for data, only a training requires it.
    compilation = read(file)
    # With errors, the network ends before the first broken layer.
    if (teacher := compilation.network) is None or not compilation.valid:
        return {}, f"the network of the teacher '{recipe.teacher}' has errors"
    own, other = ({each.name: each.shape for each in net.settings.sources} for net in (network, teacher))
    if own != other:
        texts = teacher.settings.input_text, network.settings.input_text
        return {}, f"the input of the teacher is {texts[0]}, but the network's input is {texts[1]}"
    outputs = teacher.outputs or (("", teacher.output),)
    return {name: teacher.nodes[index].output.shape for name, index in outputs}, ""


def _compare_loss(network: Network, recipe: Recipe, spans: _Spans) -> Iterator[Diagnostic]:
    """Find a loss or a number of time-steps that do not fit the network."""
    settings = network.settings
    yield from _compare_terms(network, recipe, spans)
    if not network.total_parameters:
        message, hint = "the network has no learnable parameters; nothing is left to train", "add e.g. a layer FC10"
        yield Diagnostic("invalid-argument", message, spans.body, help=hint)
    for own_loss in dict.fromkeys(term.loss for term in recipe.terms if settings.readout not in term.loss.readouts):
        loss = "the loss of each time-step" if own_loss.each_step else f"the loss {own_loss.kind}"
        readouts = " or ".join(f"'readout {word}'" for word in own_loss.readouts)
        message = f"{loss} requires {readouts}, got 'readout {settings.readout}'"
        yield Diagnostic("invalid-argument", message, spans.recipe("loss"), help="write 'loss CrossEntropy'")
    if recipe.T_train is not None and recipe.T_train > settings.steps:
        message = f"T_train {recipe.T_train} exceeds the network's {settings.steps} time-steps"
        yield Diagnostic("invalid-argument", message, spans.recipe("T_train"), help=f"use at most {settings.steps}")
    elif recipe.T_train not in {None, settings.steps} and (fixed := network.first_fixed) is not None:
        message = (
            f"T_train {recipe.T_train} deletes time-steps, but {fixed.name} ({fixed.op.kind}) has weights for all "
            f"{settings.steps}"
        )
        yield Diagnostic("invalid-argument", message, spans.recipe("T_train"), help="remove T_train")
    elif recipe.T_train is not None:
        if (longest := max(network, key=lambda node: node.op.min_steps)).op.min_steps > recipe.T_train:
            message = f"T_train {recipe.T_train} is below the {longest.op.min_steps} time-steps of {longest.name}"
            help_ = f"use at least {longest.op.min_steps}"
            yield Diagnostic("invalid-argument", message, spans.recipe("T_train"), help=help_)
        multiple = lcm(*(node.op.step_multiple for node in network))
        if recipe.T_train % multiple:
            message = f"T_train {recipe.T_train} is not a multiple of {multiple}, the length of the chunks of attention"
            help_ = f"use a multiple of {multiple}"
            yield Diagnostic("invalid-argument", message, spans.recipe("T_train"), help=help_)
