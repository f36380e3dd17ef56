"""Notes in a run folder: the place of the data, processes, loggers, code that was imported, and terms of use."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field

from sewdsl.compiler import Compilation
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.plugins import plugin_files
from sewdsl.terminal import echo
from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError
from sewdsl.train.records import STRICT, Digest
from sewdsl.train.store.run_folder import RunError, RunFolder, read_record, write_record, write_run_file
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
    """Note where the data lies, unless it travels with a package, and that such notes are not to be published.

    Raises:
        RunError: If it cannot be written.
        DataError: If it is not there.
    """
    write_run_file(folder.ignored, NOT_PUBLISHED)
    place = planned.data.setup.folder
    if place is not None and planned.data.find():
        write_run_file(folder.local, json.dumps({"folder": str(place.absolute())}, indent=2) + "\n")


def read_data_path(folder: RunFolder) -> Path | None:
    """Read where the data lay; None where that was not noted.

    Raises:
        RunError: If the note cannot be read.
    """
    record = read_record(folder.local, Lay, about=", which says where the data lay,")
    return None if record is None else Path(record.folder)


def plan_resumed_run(compilation: Compilation, folder: RunFolder, said: Path | None) -> TrainingPlan:
    """Plan a run that has a folder; its data is looked for before anything is done.

    Args:
        said: Where the data lies; None: where the environment variable ``SEWDSL_DATA`` says, or where it lay.

    Raises:
        SewdslError: see :func:`sewdsl.train.training_plan.plan_training`.
        DataError: If the data is not there.
    """
    lay, note = None, ""
    if not (said or data_folders.data_folder_variable()):
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
        raise DataError(f"{error}\n  {note}; --data DIR says where it lies now") from None
    return planned


Accelerator = Literal["auto", "cpu", "cuda"]
Strategy = Literal["auto", "ddp", "fsdp"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
"""How processes share the work, by Lightning's names; ``auto`` is ddp where there are several."""


class ProcessRecord(BaseModel):
    """The contents of ``processes.json``."""

    model_config = STRICT

    strategy: Strategy = "auto"
    accelerator: Accelerator = "auto"


LoggerName = Literal["tensorboard", "wandb", "mlflow"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)
"""What figures can be logged to."""
USUAL: tuple[LoggerName, ...] = ("tensorboard",)
"""What they are logged to unless something else is asked for."""

_Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]


class LoggerRecord(BaseModel):
    """The contents of ``loggers.json``.

    Attributes:
        ids: What the run is called by services that number runs themselves.
    """

    model_config = STRICT

    loggers: Annotated[list[LoggerName], Field(max_length=len(LOGGERS))] = list(USUAL)
    ids: dict[LoggerName, _Id] = {}


def remember_loggers(folder: RunFolder, loggers: Sequence[LoggerName], ids: dict[LoggerName, str]) -> None:
    """Note where a run logs, unless as usual.

    Raises:
        RunError: If it cannot be written.
    """
    record = LoggerRecord(loggers=list(loggers), ids=ids)
    if record != LoggerRecord() or folder.loggers.is_file():
        write_record(folder.loggers, record)


def read_loggers(folder: RunFolder) -> LoggerRecord:
    """Read where a run has logged so far.

    Raises:
        RunError: If the note cannot be read.
    """
    about, remedy = ", which says where the run logs,", "; --logger takes its place"
    return read_record(folder.loggers, LoggerRecord, about=about, remedy=remedy) or LoggerRecord()


class PluginNote(BaseModel):
    """A file.

    Attributes:
        sha256: Of what was run.
        copy_name: Its name among the copies, in the folder ``plugins`` of the run.
    """

    model_config = STRICT

    sha256: Digest
    copy_name: Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f/\\]+\.py$")]


class PluginRecord(BaseModel):
    """The contents of ``plugins.json``."""

    model_config = STRICT

    files: Annotated[list[PluginNote], Field(max_length=1000)]


def remember_plugins(folder: RunFolder) -> None:
    """Note the plugin files that were imported, and keep a copy of each; nothing where there are none.

    Raises:
        RunError: If it cannot be written.
    """
    notes: list[PluginNote] = []
    for file in plugin_files():
        name, taken = file.path.name, {note.copy_name for note in notes}
        if name in taken:  # of another folder
            name = next(f"{file.path.stem}-{k}.py" for k in count(2) if f"{file.path.stem}-{k}.py" not in taken)
        write_run_file(folder.plugins.with_suffix("") / name, file.content)
        notes.append(PluginNote(sha256=file.sha256, copy_name=name))
    if notes:
        write_record(folder.plugins, PluginRecord(files=notes))


def require_plugins(folder: RunFolder, *, same: bool = False) -> None:
    """Check that the plugin files of a run were imported; code in a folder is never run because it lies there.

    Args:
        same: Whether a file that has changed since is refused; otherwise that is said.

    Raises:
        RunError: If one was not, or has changed, and the message has the option that imports it; or if the note of
            what they were cannot be read.
    """
    record = read_record(folder.plugins, PluginRecord, about=", which says what code the run was made with,")
    digests = {file.sha256 for file in plugin_files()}
    names = {file.path.name for file in plugin_files()}
    missing: list[str] = []
    for note in record.files if record else ():
        if note.sha256 in digests:
            continue
        copy = folder.plugins.with_suffix("") / note.copy_name
        if note.copy_name not in names:
            missing += ["--plugin", str(copy)]
            continue
        changed = f"'{note.copy_name}' is not what the run in '{folder.path}' began with; that is '{copy}'"
        if same:
            raise RunError(f"{changed}: with other code it is another run")
        echo(f"note: {changed}", err=True)
    if missing:
        raise RunError(
            f"the run in '{folder.path}' was made with code of its own, which is never imported unasked; "
            f"if you trust it, add {shlex.join(missing)}"
        )


LICENSES = (
    *("afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear"),
    *("bsl-1.0", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
    *("cdla-sharing-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1", "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0"),
    *("isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by"),
    *("ofl-1.1", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unlicense", "wtfpl", "zlib"),
)
"""Licences by the identifiers that the Hugging Face hub knows; ``other`` is one that the card itself explains."""


def parse_license(text: str) -> str:
    """Return the identifier of a licence, in small letters.

    Raises:
        ValueError: If it is none; the message names one that is like it.
    """
    identifier = text.strip().lower()
    if identifier not in LICENSES:
        near = did_you_mean(identifier, LICENSES)
        raise ValueError(f"'{text}' is no licence that the Hugging Face hub knows{f'; {near}' if near else ''}")
    return identifier


class Terms(BaseModel):
    """The contents of ``terms.json``."""

    model_config = STRICT

    license: Annotated[str, AfterValidator(parse_license)]
