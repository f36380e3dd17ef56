"""Callbacks of the user's own: what plugin files define, and what a checkpoint can hold of them."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import torch
from lightning.pytorch import Callback

from sewdsl.plugins import PluginFile, describe_failure, plugin_files
from sewdsl.train.store.run_folder import RunError


def plugin_callbacks() -> list[Callback]:
    """New callbacks from the function ``callbacks`` of each plugin file that has one, in the order of the files.

    Raises:
        RunError: it raises, or gives something else.
    """
    found: list[Callback] = []
    for file in plugin_files():
        make = getattr(file.module, "callbacks", None)
        if make is None:
            continue
        if not callable(make):
            message = (
                f"'{file.path}': 'callbacks' is a function that gives a list, so that each run has callbacks of "
                "its own: def callbacks(): return [...]"
            )
            raise RunError(message)
        try:
            made = list(make())
        except Exception as error:  # noqa: BLE001 -- whatever the code of others does
            raise RunError(describe_failure(file.path, error)) from None
        found += made
        _require_callbacks(file, made)
    return found


def _require_callbacks(file: PluginFile, made: list[Any]) -> None:
    for each in made:
        if not isinstance(each, Callback):
            message = (
                f"'{file.path}': callbacks() gives objects of classes derived from lightning.pytorch.Callback, "
                f"not {type(each).__module__}.{type(each).__qualname__}"
            )
            raise RunError(message)


def require_plain_state(states: dict[str, Any]) -> None:
    """Refuses what a callback wants to keep in a checkpoint and could not be read back from it, where nothing is run.

    Args:
        states: What their ``state_dict`` gave, by their names.

    Raises:
        RunError: one gave something else than numbers, texts, tensors, and lists and dicts of these.
    """
    for name, state in states.items():
        buffer = BytesIO()
        try:
            torch.save(state, buffer)
            buffer.seek(0)
            torch.load(buffer, weights_only=True)
        except Exception:  # noqa: BLE001 -- pickle ends in any of them
            message = (
                f"what the callback {name} keeps by state_dict() could not be read from a checkpoint again: "
                "it may hold numbers, texts, tensors, lists and dicts alone"
            )
            raise RunError(message) from None
