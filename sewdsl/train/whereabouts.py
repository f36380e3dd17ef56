"""Where the data of a run lies: a run folder remembers it."""

from __future__ import annotations

import json
from pathlib import Path

from sewdsl.compiler import Compilation
from sewdsl.train import atomic
from sewdsl.train.data import places
from sewdsl.train.data.problem import DataError
from sewdsl.train.folder import RunFolder
from sewdsl.train.plan import Plan, plan

KEY = "folder"
"""Of the one value in ``data.json``."""


def remember(folder: RunFolder, planned: Plan) -> None:
    """Notes where the data lies, unless it travels with a package.

    Raises:
        RunError: it cannot be written.
        DataError: it is not there.
    """
    place = planned.data.setup.folder
    if place is not None and planned.data.find():
        atomic.write_text(folder.data, json.dumps({KEY: str(place.absolute())}, indent=2) + "\n")


def remembered(folder: RunFolder) -> Path | None:
    """Where the data lay; None where that was not noted, or cannot be read."""
    try:
        found = json.loads(folder.data.read_text(encoding="utf-8"))[KEY]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(found) if isinstance(found, str) and found else None


def plan_again(compilation: Compilation, folder: RunFolder, said: Path | None) -> Plan:
    """The plan of a run that has a folder; its data is looked for before anything is done.

    Args:
        compilation: The run's spec.
        folder: The run's.
        said: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says, or where it lay.

    Raises:
        SewdslError: see :func:`sewdsl.train.plan.plan`.
        DataError: the data is not there.
    """
    lay = None if said or places.told() else remembered(folder)
    planned = plan(compilation, said or lay)
    try:
        planned.data.find()
    except DataError as error:
        if lay is None:
            raise
        message = f"{error}\n  '{lay}' is where it lay when the run began; --data DIR says where it lies now"
        raise DataError(message) from None
    return planned
