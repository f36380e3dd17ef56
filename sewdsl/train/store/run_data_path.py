"""Where the data of a run lies: a run folder remembers it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from sewdsl.compiler import Compilation
from sewdsl.train.data import search_path
from sewdsl.train.data.dataset import DataError
from sewdsl.train.records import STRICT
from sewdsl.train.store.run_folder import RunError, RunFolder, read_record, write_run_file
from sewdsl.train.training_plan import TrainingPlan, plan_training

NOT_PUBLISHED = """\
# Of this machine alone. git leaves these out, and so does the Hugging Face hub.
/local.json
/lock
/wandb/
/mlflow/
.*.partial
"""


class Lay(BaseModel):
    """The contents of ``local.json``, which is of one machine and is not published.

    Attributes:
        folder: Where the data lay when the run began.
    """

    model_config = STRICT

    folder: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]


def write_data_path(folder: RunFolder, planned: TrainingPlan) -> None:
    """Notes where the data lies, unless it travels with a package, and that such notes are not to be published.

    Raises:
        RunError: it cannot be written.
        DataError: it is not there.
    """
    write_run_file(folder.ignored, NOT_PUBLISHED)
    place = planned.data.setup.folder
    if place is not None and planned.data.find():
        write_run_file(folder.local, json.dumps({"folder": str(place.absolute())}, indent=2) + "\n")


def read_data_path(folder: RunFolder) -> Path | None:
    """Where the data lay; None where that was not noted.

    Raises:
        RunError: the note cannot be read.
    """
    record = read_record(folder.local, Lay, about=", which says where the data lay,")
    return None if record is None else Path(record.folder)


def plan_resumed_run(compilation: Compilation, folder: RunFolder, said: Path | None) -> TrainingPlan:
    """The plan of a run that has a folder; its data is looked for before anything is done.

    Args:
        compilation: The run's spec.
        folder: The run's.
        said: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says, or where it lay.

    Raises:
        SewdslError: see :func:`sewdsl.train.training_plan.plan_training`.
        DataError: the data is not there.
    """
    lay, note = None, ""
    if not (said or search_path.data_folder_variable()):
        try:
            lay = read_data_path(folder)
            note = f"'{lay}' is where it lay when the run began" if lay else ""
        except RunError as error:
            note = str(error)
    planned = plan_training(compilation, said or lay)
    try:
        planned.data.find()
    except DataError as error:
        if not note:
            raise
        message = f"{error}\n  {note}; --data DIR says where it lies now"
        raise DataError(message) from None
    return planned
