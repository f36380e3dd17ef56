"""The model card of a run, ``README.md``: Markdown after a head in YAML, in the form of the Hugging Face hub."""

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
from sewdsl.notation.energy_forms import EnergyForm, write_energy_table
from sewdsl.train.data import DataOptions, find_dataset
from sewdsl.train.report import run_facts
from sewdsl.train.store.result import accuracy_claims
from sewdsl.train.store.run_record import RunRecord

ON_THE_HUB = {
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "imagenet": "ILSVRC/imagenet-1k",
    "mnist": "ylecun/mnist",
}
"""What the Hugging Face hub calls our datasets, as far as it has them."""
LONG_TABLE = 30
"""Rows from which on a table is folded away."""
OWN_PART = "<!-- What you write below this line stays when the card is made again. -->"


class ExportedFiles(NamedTuple):
    """What lies next to the card of a network that was exported to a folder, where it is not the folder of a run.

    Attributes:
        origin: Where its weights come from, in a sentence.
        python: The class in ``network.py``; empty: there is no such file.
        epoch: Whose weights they are, if they come from a run: ``last`` or ``best``.
    """

    origin: str
    python: str
    epoch: str
    picture: bool


def render_card(facts: RunRecord, own: str = "", exported: ExportedFiles | None = None) -> str:
    """Render the card of a run, whole also where the run has not ended: it says what is not known yet.

    No path of a machine is in it, and no name of one.

    Args:
        own: What its author has added, after :data:`OWN_PART`.
        exported: What lies next to it; None: the folder of the run itself.
    """
    head = yaml.safe_dump(_head(facts, exported), sort_keys=False, allow_unicode=True, width=10_000)
    body = "\n\n".join(text for text in _sections(facts, exported) if text)
    return f"---\n{head}---\n\n{body}\n\n{OWN_PART}\n{own}"


def own_part(card: str) -> str:
    """Return what the author of a run has added to its card."""
    return card.partition(f"{OWN_PART}\n")[2]


def _head(facts: RunRecord, exported: ExportedFiles | None) -> dict[str, Any]:
    """Return what the hub reads; without a licence or results, these are left out and not made up."""
    data = facts.data
    network = facts.network
    dataset = find_dataset(data)
    still = dataset is not None and not dataset.varies and network is not None and len(network.settings.input) > 1
    task = "image-classification" if still else "other"
    head: dict[str, Any] = {"license": facts.license} if facts.license else {}
    head |= {"library_name": "sewdsl", "tags": ["spiking-neural-network", "sewdsl", "pytorch"]}
    if still:
        head["pipeline_tag"] = task
    if data:
        head["datasets"] = [ON_THE_HUB.get(data, data)]
    head["metrics"] = ["accuracy"]
    accuracies = {"last": facts.result.get("accuracy"), "best": facts.result.get("best_accuracy")}
    if exported is not None:
        accuracies = {exported.epoch: accuracies[exported.epoch]}
    metrics: list[dict[str, Any]] = [
        {"type": "accuracy", "name": f"accuracy on the test samples, {epoch} epoch", "value": round(value, 6)}
        for epoch, value in accuracies.items()
        if value is not None
    ]
    table = facts.energy_table
    if metrics and table is not None:
        energy = {"counted": table.counted, "usual estimate": table.estimated}
        metrics += [
            {"type": "energy", "name": f"arithmetic of one sample in J, {how}", "value": float(f"{value:.4g}")}
            for how, value in energy.items()
        ]
    if metrics:
        described = {"name": data, "type": ON_THE_HUB.get(data, data), "split": "test"}
        result = {"task": {"type": task, "name": "Classification"}, "dataset": described, "metrics": metrics}
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
            f"> **Unfinished.** This run had not ended when this card was written, after {done} of {planned} epochs. "
            "Accuracies, firing rates, energy and whether claims hold are not known yet. "
            "In the folder above, `sewdsl train --resume RUN` goes on with it, which writes the card again."
        )
    if facts.refused:
        reasons = "\n".join(f"> - {_plain(why)}" for why in facts.refused.values())
        yield f"> **Not reproducible.** `sewdsl eval` refuses this run:\n>\n{reasons}"
    if network is not None:
        picture = "![The network as a picture](diagram.svg)\n\n" if exported is None or exported.picture else ""
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
        return "A spiking network whose text cannot be read any more."
    settings = network.settings
    shape = "x".join(map(str, settings.input))
    return (
        f"A spiking network of {network.total_parameters:,} parameters that reads {shape} over T = {settings.steps} "
        f"time-steps, trained on {_plain(facts.data)}. The text below is all of it, for sewdsl, the compiler "
        "for the notation of spiking networks."
    )


def _results(facts: RunRecord, network: Network | None) -> Iterator[str]:
    result, samples = facts.result, sum(map(sum, facts.confusion.counts))
    last, best = result.get("accuracy"), result.get("best_accuracy")
    if last is not None and best is not None:
        shown = f"{samples:,} test samples" if samples else "test samples"
        rows = [
            (f"{epoch} epoch", f"{share:.2%}", f"{100 * sqrt(share * (1 - share) / samples):.2f}" if samples else "")
            for epoch, share in (("last", last), ("best", best))
        ]
        table = _table(("weights of the", f"accuracy on the {shown}", "standard error, points"), rows)
        yield f"## Results\n\n{table}\n\n{run_facts.choice(facts)}"
    if network is None:
        return
    claims = [] if last is None or best is None else accuracy_claims(network, last, best, samples or None)
    energy = facts.energy_table
    claims += [] if energy is None else energy.claims()
    measured = (*measured_claims(network, "accuracy"), *measured_claims(network, "energy"))
    if measured:
        held = [f"- {_plain(claim)}." for claim in claims]
        waiting = [
            f"- {_plain(f'claim {claim.quantity} {claim.value}')}: not measured."
            for claim in measured
            if not any(said.startswith(f"claim {claim.quantity} ") for said in claims)
        ]
        yield "## Claims\n\nWhat a source prints of this network, and whether it holds here:\n\n" + "\n".join(
            [*held, *waiting]
        )


def _layers(network: Network, rates: dict[str, float]) -> str:
    head = ("layer", "path", "output", "parameters", "MACs of a time-step", "firing rate")
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
    total = ("in all", "", "", f"{network.total_parameters:,}", f"{network.total_macs:,}", "")
    return _table(head, [*rows, total], numbers=3)


def _energy(facts: RunRecord, network: Network | None) -> str:
    if network is None:
        return ""
    table = facts.energy_table
    if table is None:
        return (
            "## Energy\n\nNot measured. In the folder of this card, `sewdsl probe energy .` counts the operations on "
            "the test samples, if the run has ended."
        )
    words = (
        f"Of one sample, arithmetic takes {format_joules(table.counted)} as counted, and "
        f"{format_joules(table.estimated)} by the estimate that most papers print, "
        "in 32-bit floats at 45 nm; weights and membranes come on top. "
        "`sewdsl probe energy .` counts on all test samples."
    )
    return (
        f"## Energy\n\n{words}\n\n{_folded(write_energy_table(table, EnergyForm.MARKDOWN), len(table.lines), 'layers')}"
    )


MOST_CLASSES = 200
"""Whose names a card lists."""
_LOADING = """\
## Loading it

In the folder of this card, with sewdsl installed, Python has the trained network as a module of PyTorch:

```python
import sewdsl
{imported}model = sewdsl.load_trained(".")
```

It reads `[T, N, {shape}]`, or `[N, {shape}]`, which is shown T times, and gives `[N, classes]`."""
_JUDGING = """\
On the command line, this judges it again on the test samples:

```sh
sewdsl eval .{options}
```"""
_CONVERTING = """\
This writes it as a file that needs PyTorch alone:

```sh
sewdsl export . network.py{plugins}
```"""
_WITHOUT = """\
Without sewdsl, PyTorch and safetensors do, with the network as a file of Python that lies here too:

```python
from network import {name}
from safetensors.torch import load_file
model = {name}()
model.load_state_dict(load_file("weights.safetensors"))
model.eval()
```"""


def _loading(facts: RunRecord, network: Network | None, exported: ExportedFiles | None) -> str:
    """Say how to load the trained network, with sewdsl and without."""
    options = "".join(f" --plugin {shlex.quote(file)}" for file in facts.plugins)
    data = " --data DIR" if "--data DIR" in facts.command else ""
    imported = "".join(f"sewdsl.load_plugin({file!r})  # runs it\n" for file in facts.plugins)
    shape = "*" if network is None else ", ".join(map(str, network.settings.input))
    loadable = facts.refused.keys() <= {"best.safetensors"}
    loading = _LOADING.replace("{imported}", imported).replace("{shape}", shape)
    parts = [loading if loadable else "## Loading it\n\nThe trained network cannot be loaded; the reasons are above."]
    if network is not None and network.recipe is not None and not facts.refused:
        parts.append(_JUDGING.format(options=data + options))
    names = facts.confusion.classes
    if any(name != str(number) for number, name in enumerate(names)):
        parts.append(
            f"The classes, from 0: {_plain(', '.join(names[:MOST_CLASSES]))}{', …' * (len(names) > MOST_CLASSES)}."
        )
    if exported is None and loadable:
        parts.append(_CONVERTING.format(plugins=options))
    elif exported is not None and exported.python:
        parts.append(_WITHOUT.format(name=exported.python))
    return "\n\n".join(parts)


def _training(facts: RunRecord, network: Network | None) -> Iterator[str]:
    result, name = facts.result, facts.data
    dataset = find_dataset(name) if name else None
    about = f"`{_plain(name)}`: no data set of this sewdsl." if name else "Not known."
    if dataset is not None:
        documented = (inspect.getdoc(dataset) or "").partition("\nAttributes:")[0].strip()
        shape = network.settings.input if network is not None else None
        scaling = dataset(DataOptions(shape=shape)).scaling()
        about = f"`{name}`: {re.sub(r'``', '`', documented)}"
        about += f"\n\nInputs are scaled: {scaling}." if scaling else ""
    yield f"## Data\n\n{about}"
    if not facts.command:  # no run is known
        yield _MEANING
        return
    rows = {**run_facts.recipe(facts), **run_facts.provenance(facts)}
    start = result.get("start")
    rows |= {"start": f"{start.file}, SHA-256 {start.sha256}"} if start else {}
    table = _table(("what", "value"), [(key, value) for key, value in rows.items()])
    repeat = f"In the folder of this card, this repeats it:\n\n{_fenced(facts.command, 'sh')}"
    if facts.spec_refused:
        repeat = "It cannot be repeated without its network."
    if facts.result:
        versions = ", ".join(f"{package} {version}" for package, version in facts.result.get("versions", {}).items())
        repeat += (
            f"\n\nTrained {_plain(run_facts.summary(facts))}, "
            f"precision {facts.result.get('precision') or 'unknown'}; {_plain(versions)}."
        )
    yield f"## Training\n\n{repeat}\n\n{_folded(table, LONG_TABLE, 'the whole recipe, versions and machine')}"
    yield _MEANING


_MEANING = """\
## What the numbers mean

- Accuracy is the share of the test samples that are classified right. Its standard error is that of so few samples.
- Parameters are those that are learned. MACs are multiply-accumulates of one time-step, as if there were no zeros.
- A firing rate is spikes per neuron, sample and time-step, over the test samples.
- Energies are counted operations times the energy of one operation from the literature; nothing was measured on a chip.
- The same seed, versions and number of threads give the same weights on a CPU. Another machine may round otherwise."""


def _licence(facts: RunRecord) -> str:
    if facts.license:
        return f"`{facts.license}`, as its author says. The data has terms of its own."
    return (
        "Not stated, so that only its author may use it. `sewdsl report RUN --license mit`, or another one, "
        "states it. The data has terms of its own."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a table of Markdown, whose last columns are numbers."""
    rule = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *(map(_plain, row) for row in rows)))


def _folded(text: str, rows: int, what: str) -> str:
    """Fold a text away if it is long: both the hub and GitHub open it at a click."""
    if rows < LONG_TABLE:
        return text
    return f"<details>\n<summary>{what}</summary>\n\n{text.rstrip()}\n\n</details>"


def _plain(text: str) -> str:
    """Return a text of one line in which Markdown and HTML find nothing to act on."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _fenced(text: str, language: str) -> str:
    """Return a text as it is, between fences that are longer than any in it."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"
