"""Where the figures of a run are logged: with which loggers, and under which ids, so that it can go on there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from sewdsl.train.records import STRICT
from sewdsl.train.store.run_folder import RunFolder, read_record, write_run_file

LoggerName = Literal["tensorboard", "wandb", "mlflow"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)
"""What figures can be logged to."""
USUAL: tuple[LoggerName, ...] = ("tensorboard",)
"""What they are logged to unless something else is asked for."""

_Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]


class LoggerRecord(BaseModel):
    """The contents of ``loggers.json``.

    Attributes:
        loggers: Those that the run logs to.
        ids: What the run is called by services that number runs themselves.
    """

    model_config = STRICT

    loggers: Annotated[list[LoggerName], Field(max_length=len(LOGGERS))] = list(USUAL)
    ids: dict[LoggerName, _Id] = {}


def remember_loggers(folder: RunFolder, loggers: Sequence[LoggerName], ids: dict[LoggerName, str]) -> None:
    """Notes where a run logs, unless as usual.

    Raises:
        RunError: it cannot be written.
    """
    record = LoggerRecord(loggers=list(loggers), ids=ids)
    if record != LoggerRecord() or folder.loggers.is_file():
        write_run_file(folder.loggers, record.model_dump_json(indent=2) + "\n")


def read_loggers(folder: RunFolder) -> LoggerRecord:
    """Where a run has logged so far.

    Raises:
        RunError: the note cannot be read.
    """
    about, remedy = ", which says where the run logs,", "; --logger takes its place"
    return read_record(folder.loggers, LoggerRecord, about=about, remedy=remedy) or LoggerRecord()
