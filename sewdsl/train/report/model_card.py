"""Model card of a run, ``README.md``: Markdown with YAML metadata, in the format of the Hugging Face hub."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from math import sqrt
from typing import Any, NamedTuple

import yaml

from sewdsl.analysis.listing import layer_rows
from sewdsl.checks.expectation import measured_claims
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_joules
from sewdsl.notation.energy_forms import write_energy_table
from sewdsl.train.data import find_dataset
from sewdsl.train.report import run_facts
from sewdsl.train.store.result import accuracy_claims
from sewdsl.train.store.run_record import RunRecord
from sewdsl.train.training_plan import find_dataset_of

ON_THE_HUB = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "imagenet": "ILSVRC/imagenet-1k",
    "mnist": "ylecun/mnist",
}
"""Names of datasets on the Hugging Face hub, where they exist."""
LONG_TABLE = 30
"""Minimum number of rows of a collapsed table."""
OWN_PART = "<!-- What you write below this line stays when the card is made again. -->"  # Existing cards contain it.


class ExportedFiles(NamedTuple):
    """Files next to the card of an exported network, if the folder is not a run folder."""

    origin: str
    """Sentence about the origin of the weights."""
    python: str
    """Name of the class in ``network.py`` (empty without this file)."""
    epoch: str
    """Epoch of the weights of a run: ``last`` or ``best``."""
    picture: bool


def render_card(facts: RunRecord, own: str = "", exported: ExportedFiles | None = None) -> str:
    """Render the card of a run. Missing values of an unfinished run are described as such.

    The card contains no paths and no name of the machine.

    Args:
        own: Additions of the author, which follow :data:`OWN_PART`.
        exported: Files of an exported folder, or None for a run folder.
    """
    # The large width prevents line breaks within values.
    head = yaml.safe_dump(_head(facts, exported), sort_keys=False, allow_unicode=True, width=10_000)
    body = "\n\n".join(text for text in _sections(facts, exported) if text)
    return f"---\n{head}---\n\n{body}\n\n{OWN_PART}\n{own}"


def own_part(card: str) -> str:
    """Return the additions of the author in a card."""
    return card.partition(f"{OWN_PART}\n")[2]


def _head(facts: RunRecord, exported: ExportedFiles | None) -> dict[str, Any]:
    """Return the metadata for the hub, without the keys of a missing licence or missing results."""
    data = facts.data
    network = facts.network
    dataset = find_dataset(data)
    # The hub has no task for event data.
    is_image = dataset is not None and not dataset.varies and network is not None and len(network.settings.input) > 1
    is_image = is_image and facts.classifies
    task = "image-classification" if is_image else "other"
    head: dict[str, Any] = {"license": facts.license} if facts.license else {}
    head |= {"library_name": "sewdsl", "tags": ["spiking-neural-network", "sewdsl", "pytorch"]}
    if is_image:
        head["pipeline_tag"] = task
    if data:
        head["datasets"] = [ON_THE_HUB.get(data, data)]
    if facts.classifies:
        head["metrics"] = ["accuracy"]
    accuracies = {"last": facts.result.get("accuracy"), "best": facts.result.get("best_accuracy")}
    if exported is not None:
        # An exported folder has the weights of one epoch only.
        accuracies = {exported.epoch: accuracies[exported.epoch]}
    metrics: list[dict[str, Any]] = [
        {"type": "accuracy", "name": f"accuracy on the test samples, {epoch} epoch", "value": round(value, 6)}
        for epoch, value in accuracies.items()
        if value is not None and facts.classifies
    ]
    table = facts.energy_table
    if metrics and table is not None:
        energy = {"counted": table.counted, "usual estimate": table.estimated}
        metrics += [
            {"type": "energy", "name": f"arithmetic of one sample in J, {method}", "value": float(f"{value:.4g}")}
            for method, value in energy.items()
        ]
    if metrics:
        dataset_info = {"name": data, "type": ON_THE_HUB.get(data, data), "split": "test"}
        result = {"task": {"type": task, "name": "Classification"}, "dataset": dataset_info, "metrics": metrics}
        head["model-index"] = [{"name": facts.title, "results": [result]}]
    return head


def _sections(facts: RunRecord, exported: ExportedFiles | None) -> Iterator[str]:
    network, result = facts.network, facts.result
    yield f"# {_plain(facts.title)}"
    yield _summary(facts, network)
    if exported is not None:
        yield exported.origin
    elif not result:
        done, planned = len(facts.epochs), facts.recipe.get("epochs", "unknown")
        yield (
            f"> **Unfinished.** This card was written after {done} of {planned} epochs. "
            "Accuracies, firing rates, energy and the results of claims are not known yet. "
            "`sewdsl train --resume RUN` resumes the run and writes the card again."
        )
    if facts.refused:
        reasons = "\n".join(f"> - {_plain(why)}" for why in facts.refused.values())
        yield f"> **Not reproducible.** `sewdsl eval` rejects this run:\n>\n{reasons}"
    if network is not None:
        picture = "![Diagram of the network](diagram.svg)\n\n" if exported is None or exported.picture else ""
        yield f"{picture}{_fenced(facts.spec, 'text')}"
    yield from _results(facts, network)
    if network is not None:
        rates = facts.firing_rates if result and (exported is None or exported.epoch == "last") else {}
        yield f"## Layers\n\n{_folded(_layers(network, rates), len(network.nodes) - 1, 'layers')}"
    yield _energy(facts, network)
    yield _loading(facts, network, exported)
    yield from _training(facts, network)
    yield f"## Licence\n\n{_licence(facts)}"


def _summary(facts: RunRecord, network: Network | None) -> str:
    if network is None:
        return "A spiking neural network. Its source cannot be read."
    settings = network.settings
    shape = settings.input_text
    return (
        f"A spiking neural network with {network.total_parameters:,} parameters, trained on {_plain(facts.data)}. It "
        f"reads inputs of the shape {shape} over T = {settings.steps} time-steps. The text below defines the whole "
        "network for sewdsl, a compiler for the notation of spiking networks."
    )


def _results(facts: RunRecord, network: Network | None) -> Iterator[str]:
    result, samples = facts.result, sum(map(sum, facts.confusion.counts))
    shown = result if facts.classifies else {}
    last, best = shown.get("accuracy"), shown.get("best_accuracy")
    if last is not None and best is not None:
        sample_text = f"{samples:,} test samples" if samples else "test samples"
        rows = [
            (f"{epoch} epoch", f"{share:.2%}", f"{100 * sqrt(share * (1 - share) / samples):.2f}" if samples else "")
            for epoch, share in (("last", last), ("best", best))
        ]
        others: dict[str, float] = result.get("accuracies") or {}
        rows += [(f"last epoch, accuracy.{name}", f"{share:.2%}", "") for name, share in others.items()]
        if integers := result.get("integers"):
            error = 100 * sqrt(integers.accuracy * (1 - integers.accuracy) / integers.samples)
            rows.append((f"last epoch, {integers}", f"{integers.accuracy:.2%}", f"{error:.2f}"))
        table = _table(("weights", f"accuracy on {sample_text}", "standard error (percentage points)"), rows)
        yield f"## Results\n\n{table}\n\n{run_facts.choice(facts)}"
    if losses := run_facts.losses(facts):
        yield f"## Results\n\n{_table(('weights', 'loss on test samples'), [*losses.items()])}"
    if network is None:
        return
    claims = [] if last is None or best is None else accuracy_claims(network, last, best, samples or None)
    energy = facts.energy_table
    claims += [] if energy is None else energy.claims()
    measured = (*measured_claims(network, "accuracy"), *measured_claims(network, "energy"))
    if measured:
        measured_lines = [f"- {_plain(claim)}." for claim in claims]
        unmeasured = [
            f"- {_plain(f'claim {claim.quantity} {claim.value}')}: not measured."
            for claim, _ in measured
            if not any(line.startswith(f"claim {claim.quantity} ") for line in claims)
        ]
        yield "## Claims\n\nValues that a source claims for this network, compared with this run:\n\n" + "\n".join(
            [*measured_lines, *unmeasured]
        )


def _layers(network: Network, rates: dict[str, float]) -> str:
    head = ("layer", "path", "output", "parameters", "MACs per time-step", "firing rate")
    rows = [
        (
            row.text.partition("(")[0],
            row.path,
            "x".join(map(str, row.signal.shape)),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.macs:,}" if row.macs else "",
            f"{rates[row.path]:.2%}" if row.path in rates else "",
        )
        for row in layer_rows(network)[1:]
    ]
    total = ("total", "", "", f"{network.total_parameters:,}", f"{network.total_macs:,}", "")
    return _table(head, [*rows, total], numbers=3)


def _energy(facts: RunRecord, network: Network | None) -> str:
    if network is None:
        return ""
    table = facts.energy_table
    if table is None:
        return (
            "## Energy\n\nNot measured. After the end of the run, `sewdsl probe energy .` in this folder counts the "
            "operations on the test samples."
        )
    words = (
        f"The arithmetic for one sample takes {format_joules(table.counted)} according to the counted operations, and "
        f"{format_joules(table.estimated)} according to the estimate that most papers use, "
        "for 32-bit floats at 45 nm. Memory accesses are not included. "
        "`sewdsl probe energy .` counts the operations on all test samples."
    )
    return f"## Energy\n\n{words}\n\n{_folded(write_energy_table(table, 'markdown'), len(table.lines), 'layers')}"


MOST_CLASSES = 200
"""Maximum number of class names in a card."""
_LOADING = """\
## Loading

With sewdsl installed, load the trained network as a PyTorch module in this folder:

```python
import sewdsl
{imported}model = sewdsl.load_trained(".")
```

The module reads `[T, N, {shape}]`, or `[N, {shape}]` to repeat an input T times, and returns `[N, classes]`."""
_JUDGING = """\
To evaluate the network on the test samples again, run:

```sh
sewdsl eval .{options}
```"""
_CONVERTING = """\
To export the network as a file that requires only PyTorch, run:

```sh
sewdsl export . network.py{plugins}
```"""
_WITHOUT = """\
Without sewdsl, use the Python file in this folder, which requires PyTorch and safetensors:

```python
from network import {name}
from safetensors.torch import load_file
model = {name}()
model.load_state_dict(load_file("weights.safetensors"))
model.eval()
```"""


def _loading(facts: RunRecord, network: Network | None, exported: ExportedFiles | None) -> str:
    """Describe how to load the trained network, with and without sewdsl."""
    options = "".join(f" --plugin {shlex.quote(file)}" for file in facts.plugins)
    data = " --data DIR" if "--data DIR" in facts.command else ""
    imported = "".join(f"sewdsl.load_plugin({file!r})  # runs the file\n" for file in facts.plugins)
    shape = "*" if network is None else ", ".join(map(str, network.settings.input)) or "*"
    # Damaged weights of the best epoch do not prevent loading of the last ones.
    loadable = facts.refused.keys() <= {"best.safetensors"}
    loading = _LOADING.replace("{imported}", imported).replace("{shape}", shape)
    parts = [loading if loadable else "## Loading\n\nThe trained network cannot be loaded, for the reasons above."]
    if network is not None and network.recipe is not None and not facts.refused:
        parts.append(_JUDGING.format(options=data + options))
    names = facts.confusion.classes
    if any(name != str(index) for index, name in enumerate(names)):
        parts.append(
            f"Classes, from 0: {_plain(', '.join(names[:MOST_CLASSES]))}{', …' * (len(names) > MOST_CLASSES)}."
        )
    if exported is None and loadable:
        parts.append(_CONVERTING.format(plugins=options))
    elif exported is not None and exported.python:
        parts.append(_WITHOUT.format(name=exported.python))
    return "\n\n".join(parts)


def _training(facts: RunRecord, network: Network | None) -> Iterator[str]:
    result, name = facts.result, facts.data
    dataset = find_dataset(name) if name else None
    about = f"`{_plain(name)}`: not a dataset of this version of sewdsl." if name else "Unknown."
    if dataset is not None:
        documented = (inspect.getdoc(dataset) or "").partition("\nAttributes:")[0].strip()
        own_dataset = find_dataset_of(network) if network is not None else None
        scaling = own_dataset.scaling() if own_dataset else ""
        about = f"`{name}`: {re.sub(r'``', '`', documented)}"
        about += f"\n\nInputs are scaled: {scaling}." if scaling else ""
    yield f"## Data\n\n{about}"
    if not facts.command:  # An export without a run.
        yield _MEANING.format(run_facts.counted(facts))
        return
    rows = {**run_facts.recipe(facts), **run_facts.provenance(facts)}
    start = result.get("start")
    rows |= {"start": f"{start.file}, SHA-256 {start.sha256}"} if start else {}
    table = _table(("setting", "value"), [(key, value) for key, value in rows.items()])
    repeat = f"To repeat the training, run in this folder:\n\n{_fenced(facts.command, 'sh')}"
    if facts.spec_refused:
        repeat = "The training cannot be repeated, because the network cannot be read."
    if facts.result:
        versions = ", ".join(f"{package} {version}" for package, version in facts.result.get("versions", {}).items())
        repeat += (
            f"\n\nTrained {_plain(run_facts.summary(facts))}, "
            f"precision {facts.result.get('precision') or 'unknown'}; {_plain(versions)}."
        )
    yield f"## Training\n\n{repeat}\n\n{_folded(table, LONG_TABLE, 'recipe, versions and machine')}"
    yield _MEANING.format(run_facts.counted(facts))


_MEANING = """\
## Metrics

- Accuracy is the fraction of {}.
- Parameters are the learnable parameters. MACs are the multiply-accumulates of one time-step, as if no value were zero.
- A firing rate is the number of spikes per neuron, sample and time-step, over the test samples.
- Energies are counted operations times the energy per operation in the literature. They were not measured on a chip.
- On a CPU, equal seeds, versions and numbers of threads give equal weights. Other machines may round differently."""


def _licence(facts: RunRecord) -> str:
    if facts.license:
        return f"`{facts.license}`, as declared by the author. The dataset has its own terms."
    return (
        "Not declared: only the author may use this model. To declare a licence, use e.g. `sewdsl report RUN --license "
        "mit`. The dataset has its own terms."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a Markdown table with the last ``numbers`` columns aligned right."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *(map(_plain, row) for row in rows)))


def _folded(text: str, rows: int, title: str) -> str:
    """Collapse a long text in an element that GitHub and the hub can open."""
    if rows < LONG_TABLE:
        return text
    return f"<details>\n<summary>{title}</summary>\n\n{text.rstrip()}\n\n</details>"


def _plain(text: str) -> str:
    """Return a text in one line, with the special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _fenced(text: str, language: str) -> str:
    """Return a text in a code block whose fence is longer than any in the text."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"
