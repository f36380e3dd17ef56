"""Which plugin files a run was made with: its folder has a copy of each, and imports none by itself."""

from __future__ import annotations

import shlex
from itertools import count
from typing import Annotated

from pydantic import BaseModel, Field

from sewdsl.plugins import plugin_files
from sewdsl.terminal import echo
from sewdsl.train.records import STRICT, Digest
from sewdsl.train.store.run_folder import RunError, RunFolder, read_record, write_run_file


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
    """Notes the plugin files that were imported, and keeps a copy of each; nothing where there are none.

    Raises:
        RunError: it cannot be written.
    """
    notes: list[PluginNote] = []
    for file in plugin_files():
        name, taken = file.path.name, {note.copy_name for note in notes}
        if name in taken:  # of another folder
            name = next(f"{file.path.stem}-{k}.py" for k in count(2) if f"{file.path.stem}-{k}.py" not in taken)
        write_run_file(folder.plugins.with_suffix("") / name, file.content)
        notes.append(PluginNote(sha256=file.sha256, copy_name=name))
    if notes:
        write_run_file(folder.plugins, PluginRecord(files=notes).model_dump_json(indent=2) + "\n")


def read_plugins(folder: RunFolder) -> list[PluginNote]:
    """The files that a run was made with; none where none were noted.

    Raises:
        RunError: the note cannot be read.
    """
    about = ", which says what code the run was made with,"
    record = read_record(folder.plugins, PluginRecord, about=about)
    return [] if record is None else record.files


def require_plugins(folder: RunFolder, *, same: bool = False) -> None:
    """Looks whether the plugin files of a run were imported; code in a folder is never run because it lies there.

    Args:
        folder: Of the run.
        same: Whether a file that has changed since is refused; otherwise that is said.

    Raises:
        RunError: one was not, or has changed; the message has the option that imports it.
    """
    digests = {file.sha256 for file in plugin_files()}
    names = {file.path.name for file in plugin_files()}
    missing: list[str] = []
    for note in read_plugins(folder):
        if note.sha256 in digests:
            continue
        copy = folder.plugins.with_suffix("") / note.copy_name
        if note.copy_name not in names:
            missing += ["--plugin", str(copy)]
            continue
        changed = f"'{note.copy_name}' is not what the run in '{folder.path}' began with; that is '{copy}'"
        if same:
            message = f"{changed}: with other code it is another run"
            raise RunError(message)
        echo(f"note: {changed}", err=True)
    if missing:
        message = (
            f"the run in '{folder.path}' was made with code of its own, which is never imported unasked; "
            f"if you trust it, add {shlex.join(missing)}"
        )
        raise RunError(message)
