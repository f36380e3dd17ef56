"""Facts of a run as text, for the report and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sewdsl.ir.kind import stated_fields
from sewdsl.ir.printed_values import format_value
from sewdsl.train.store.run_record import RunRecord


def summary(facts: RunRecord) -> str:
    """Return dataset, epochs, duration and seed."""
    result, recipe = facts.result, facts.recipe
    done, planned = result.get("epochs", len(facts.epochs)), recipe.get("epochs")
    epochs = f"{done} of {planned} epochs" if planned is not None else f"{done} epochs"
    seconds = result.get("seconds")
    parts = [
        f"on {facts.data or 'unknown data'}",
        epochs,
        format_duration(float(seconds)) if isinstance(seconds, int | float) else "",
        f"seed {result.get('seed', recipe.get('seed', 'unknown'))}",
    ]
    return ", ".join(filter(None, parts))


def accuracies(facts: RunRecord) -> dict[str, str]:
    """Return the known accuracies of the last and the best epoch, and of further outputs."""
    others = facts.result.get("accuracies")
    further = {f"last epoch, accuracy.{name}": value for name, value in (others or {}).items()}
    if not facts.classifies:
        return {epoch: f"{value:.2%}" for epoch, value in further.items()}
    selecting = f"{selection_split(facts)}_accuracy"
    begin = begin_of_rounding(facts)
    selected = {epoch: row[selecting] for epoch, row in facts.epochs.items() if selecting in row and epoch > begin}
    # Of equal epochs, the first one is saved as the best.
    best = f" ({max(selected, key=lambda epoch: (selected[epoch], -epoch))})" if selected else ""
    shares = {"last epoch": facts.result.get("accuracy"), f"best epoch{best}": facts.result.get("best_accuracy")}
    shares |= {
        f"{epoch}, top-5": facts.result.get(name)
        for epoch, name in zip([*shares], ("top5_accuracy", "best_top5_accuracy"), strict=True)
    }
    shares |= further
    if integers := facts.result.get("integers"):
        recipe = facts.network.recipe if facts.network is not None else None
        is_float = recipe is not None and recipe.weight_bits(facts.result.get("epochs", 0) - 1) is None
        after = ", rounded after training" if is_float else ""
        shares[f"last epoch, integers of {integers.bits} bits{after}"] = integers.accuracy
        split = ", validation" if selection_split(facts) == "validation" else ""
        shares[f"epoch {begin}, before rounding{split}"] = facts.epochs.get(begin, {}).get(selecting)
    return {epoch: f"{value:.2%}" for epoch, value in shares.items() if isinstance(value, int | float)}


def losses(facts: RunRecord) -> dict[str, str]:
    """Return the known test losses of the last and the best epoch of a network without an accuracy."""
    values = {"last epoch": facts.result.get("loss"), "best epoch": facts.result.get("best_loss")}
    return {epoch: f"{value:.4f}" for epoch, value in values.items() if isinstance(value, float)}


def begin_of_rounding(facts: RunRecord) -> int:
    """Return the last epoch with float weights before ``quantize`` rounds them, or 0 without such an epoch."""
    recipe = facts.network.recipe if facts.network is not None else None
    if recipe is None or recipe.quantize is None or recipe.quantize_epochs is None:
        return 0
    begin = recipe.epochs - recipe.quantize_epochs
    # A run can end before the rounding begins.
    return begin if facts.result.get("epochs", begin + 1) > begin else 0


def counted(facts: RunRecord) -> str:
    """Return the plural of what the accuracy counts, and the origin of its standard error."""
    recipe = facts.network.recipe if facts.network is not None else None
    if recipe is not None and recipe.terms[0].loss.target:
        return "correctly predicted tokens of the test samples"
    return "correctly classified test samples. Its standard error follows from the number of samples"


def selection_split(facts: RunRecord) -> str:
    """Return the split that selects the best epoch: ``validation`` or ``test``."""
    measured = any("validation_accuracy" in row for row in facts.epochs.values())
    return "validation" if measured or facts.recipe.get("validation") else "test"


def choice(facts: RunRecord) -> str:
    """Describe the samples that selected the best epoch, and the consequence for its accuracy."""
    if "best_accuracy" not in facts.result or not facts.classifies:
        return ""
    integers = facts.result.get("integers")
    in_integers = f", in integers on {integers.samples:,} of them" if integers else ""
    basis = (
        f"{'A' if integers else 'Both a'}ccuracies are on the test samples{in_integers}. The best epoch was selected on"
    )
    if selection_split(facts) == "validation":
        share = facts.recipe.get("validation")
        part = f"{share:.0%} of the training samples" if isinstance(share, float) else "a part of the training samples"
        return f"{basis} {part}, which were not used to train the weights."
    return (
        f"{basis} the test samples as well, as in many papers, so its accuracy is too optimistic: prefer that of the "
        "last epoch. With 'validation 0.1' in the recipe, other samples select the epoch."
    )


def format_duration(seconds: float) -> str:
    """Format a duration: ``28 s``, ``4 min 10 s``, ``3 h 5 min``."""
    minutes, remainder = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {remainder} s" if minutes else f"{remainder} s"


def format_short(number: int) -> str:
    """Format a number with three digits and a unit prefix: ``1.85 M``."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.3g}\N{NO-BREAK SPACE}{unit}"
    return str(number)


SHOWN_ELSEWHERE = {
    "network",
    "data",
    "accuracy",
    "best_accuracy",
    "integers",
    "interrupted",
    "parameters",
    "firing_rates",
    "neurons",
    "versions",
}


def recipe(facts: RunRecord) -> dict[str, str]:
    """Return all settings of the header and the recipe."""
    header = dict(stated_fields(facts.network.settings)) if facts.network else {}
    return _texts({**header, **facts.recipe})


def provenance(facts: RunRecord) -> dict[str, str]:
    """Return the fields of the result that the report shows nowhere else, and the versions."""
    values = {name: value for name, value in facts.result.items() if value is not None}
    rest = {name.replace("_", " "): value for name, value in values.items() if name not in SHOWN_ELSEWHERE}
    versions = facts.result.get("versions")
    return _texts({**rest, **(versions if isinstance(versions, dict) else {})})


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return (
            ", ".join(" ".join(map(_text, part)) if isinstance(part, list) else _text(part) for part in value) or "none"
        )
    return format_value(value)
