"""Records in a run folder: dataset location, processes, loggers, plugin files and licence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field

from sewdsl.compiler import Compilation
from sewdsl.plugins import plugin_files
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.terminal import echo
from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError
from sewdsl.train.records import STRICT, Digest
from sewdsl.train.store.run_folder import RunError, RunFolder, read_record, write_record, write_run_file
from sewdsl.train.store.run_lookup import missing_run_message
from sewdsl.train.training_plan import TrainingPlan, plan_training

NOT_PUBLISHED = """\
# Of this machine alone. git leaves these out, and so does the Hugging Face hub.
/local.json
/lock
/wandb/
/mlflow/
.*.partial
"""


class DataLocation(BaseModel):
    """Contents of ``local.json``, which is specific to one machine and not for publication."""

    model_config = STRICT

    folder: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
    """Dataset folder at the start of the run."""


def write_data_path(folder: RunFolder, planned: TrainingPlan) -> None:
    """Record the dataset folder, unless the dataset comes with a package, and exclude the record from publication.

    Raises:
        RunError: If a file cannot be written.
        DataError: If the dataset is missing.
    """
    write_run_file(folder.ignored, NOT_PUBLISHED)
    data_folder = planned.data.setup.folder
    if data_folder is not None and planned.data.find():
        write_run_file(folder.local, json.dumps({"folder": str(data_folder.absolute())}, indent=2) + "\n")


def find_inputs(planned: TrainingPlan) -> str:
    """Check that the dataset is complete and the teacher is a run, without reading samples or weights.

    Returns:
        Number and folder of the samples, see :meth:`sewdsl.train.data.dataset.DataSet.find`.

    Raises:
        DataError: If data is missing.
        RunError: If the teacher is not a run.
    """
    teacher = planned.recipe.teacher
    if teacher is not None and not RunFolder(Path(teacher)).spec.is_file():
        raise RunError(f"teacher: {missing_run_message(Path(teacher))}")
    return planned.data.find()


def read_data_path(folder: RunFolder) -> Path | None:
    """Return the recorded dataset folder, or None. Raise RunError if the record cannot be read."""
    record = read_record(folder.local, DataLocation, about=" (dataset location)")
    return None if record is None else Path(record.folder)


def plan_resumed_run(compilation: Compilation, folder: RunFolder, data_folder: Path | None) -> TrainingPlan:
    """Plan a run with an existing folder, and check that its dataset can be found.

    Args:
        data_folder: Dataset folder. The default is the environment variable ``SEWDSL_DATA``, or the recorded folder.

    Raises:
        SewdslError: As in :func:`sewdsl.train.training_plan.plan_training`.
        DataError: If the dataset is missing.
        RunError: If the teacher is missing.
    """
    recorded, note = None, ""
    # The option and the environment variable take precedence over the record.
    if not (data_folder or data_folders.data_folder_variable()):
        try:
            recorded = read_data_path(folder)
            note = f"the run used '{recorded}'" if recorded else ""
        except RunError as error:
            note = str(error)
    planned = plan_training(compilation, data_folder or recorded)
    try:
        find_inputs(planned)
    except DataError as error:
        if not note:
            raise
        raise DataError(f"{error}\n  {note}; if the dataset has moved, pass --data DIR") from None
    return planned


Accelerator = Literal["auto", "cpu", "cuda"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
Strategy = Literal["auto", "ddp", "fsdp"]
"""Distributed strategies in Lightning's terms, where ``auto`` is ddp for several processes."""


class ProcessRecord(BaseModel):
    """Contents of ``processes.json``."""

    model_config = STRICT

    strategy: Strategy = "auto"
    accelerator: Accelerator = "auto"


LoggerName = Literal["tensorboard", "wandb", "mlflow"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)
USUAL: tuple[LoggerName, ...] = ("tensorboard",)

_Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9_-]+$")]


class LoggerRecord(BaseModel):
    """Contents of ``loggers.json``."""

    model_config = STRICT

    loggers: Annotated[list[LoggerName], Field(max_length=len(LOGGERS))] = list(USUAL)
    ids: dict[LoggerName, _Id] = {}
    """IDs of the run at services that assign their own."""


def record_loggers(folder: RunFolder, loggers: Sequence[LoggerName], ids: dict[LoggerName, str]) -> None:
    """Record the loggers of a run, unless default, or raise RunError if the file cannot be written."""
    record = LoggerRecord(loggers=list(loggers), ids=ids)
    # An existing record must be replaced, even by the default.
    if record != LoggerRecord() or folder.loggers.is_file():
        write_record(folder.loggers, record)


def read_loggers(folder: RunFolder) -> LoggerRecord:
    """Read the loggers of the run so far, or raise RunError if the record cannot be read."""
    about, remedy = " (loggers)", "; pass --logger to replace it"
    return read_record(folder.loggers, LoggerRecord, about=about, remedy=remedy) or LoggerRecord()


class PluginNote(BaseModel):
    """Imported plugin file."""

    model_config = STRICT

    sha256: Digest
    """SHA-256 of the file as it was imported."""
    copy_name: Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f/\\]+\.py$")]
    """Name of the copy in the folder ``plugins`` of the run."""


class PluginRecord(BaseModel):
    """Contents of ``plugins.json``."""

    model_config = STRICT

    files: Annotated[list[PluginNote], Field(max_length=1000)]


def record_plugins(folder: RunFolder) -> None:
    """Record and copy the imported plugin files, or raise RunError if a file cannot be written."""
    notes: list[PluginNote] = []
    for file in plugin_files():
        name, taken = file.path.name, {note.copy_name for note in notes}
        if name in taken:  # A file of the same name in another folder.
            name = next(f"{file.path.stem}-{k}.py" for k in count(2) if f"{file.path.stem}-{k}.py" not in taken)
        write_run_file(folder.plugins.with_suffix("") / name, file.content)
        notes.append(PluginNote(sha256=file.sha256, copy_name=name))
    if notes:
        write_record(folder.plugins, PluginRecord(files=notes))


def require_plugins(folder: RunFolder, *, same: bool = False) -> None:
    """Check that the plugin files of a run were imported. Files in a run folder are never imported automatically.

    Args:
        same: Whether a changed file is an error instead of a note.

    Raises:
        RunError: If a file was not imported or has changed, or the record cannot be read. The message names the
            option that imports the file.
    """
    record = read_record(folder.plugins, PluginRecord, about=" (plugin files)")
    digests = {file.sha256 for file in plugin_files()}
    names = {file.path.name for file in plugin_files()}
    missing: list[str] = []
    for note in record.files if record else ():
        if note.sha256 in digests:
            continue
        copy = folder.plugins.with_suffix("") / note.copy_name
        # An imported file of the same name counts as a changed version, not as a missing one.
        if note.copy_name not in names:
            missing += ["--plugin", str(copy)]
            continue
        changed = f"'{note.copy_name}' has changed since the run in '{folder.path}' started"
        if same:
            raise RunError(f"{changed}; to resume the run, use its copy '{copy}'")
        echo(f"note: {changed}; the run has a copy, '{copy}'", err=True)
    if missing:
        raise RunError(
            f"the run in '{folder.path}' uses plugin files, which are not imported automatically; "
            f"if you trust them, add {shlex.join(missing)}"
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
"""Licence identifiers of the Hugging Face hub. ``other`` requires an explanation in the card."""


def parse_license(text: str) -> str:
    """Return a licence identifier in lower case, or raise ValueError with a suggestion if it is unknown."""
    identifier = text.strip().lower()
    if identifier not in LICENSES:
        near = did_you_mean(identifier, LICENSES)
        raise ValueError(f"'{text}' is not a licence identifier of the Hugging Face hub{f'; {near}' if near else ''}")
    return identifier


class Terms(BaseModel):
    """Contents of ``terms.json``."""

    model_config = STRICT

    license: Annotated[str, AfterValidator(parse_license)]
