"""The keys that ``--set`` and ``vary`` take, by the names that somebody may give them."""

from __future__ import annotations

from sewdsl.ir.recipe import Recipe
from sewdsl.syntax.lexicon import SETTINGS

KEY_ALIASES = {
    **{name: f"train.{name}" for name in Recipe.model_fields},
    **{name: name for name in SETTINGS},
    "lr": "train.optimizer.lr",
    "learning_rate": "train.optimizer.lr",
    "batch_size": "train.batch",
    "dataset": "train.on",
    "tau": "neuron.tau",
    "surrogate": "neuron.surrogate",
}


def resolve_key_alias(name: str) -> str | None:
    """The key that a name or an option stands for, ``train.optimizer.lr`` for ``--lr`` and ``train.lr``; None: none."""
    return KEY_ALIASES.get(name.removeprefix("train.").lstrip("-").replace("-", "_"))
