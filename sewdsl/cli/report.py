"""``sewdsl report``: report and model card of a run, rebuilt from its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sewdsl.cli.files import fail
from sewdsl.cli.options import HelpPanel, Run, license_option
from sewdsl.cli.print_diagnostics import print_diagnostics
from sewdsl.diagnostics import SewdslError, errors_in
from sewdsl.terminal import echo

if TYPE_CHECKING:
    from sewdsl.train.store.run_folder import RunError, RunFolder

License = Annotated[
    str | None, HelpPanel.OUTPUT.option("--license ID", "Licence to record in the model card, e.g. mit or cc-by-4.0.")
]


def command(run: Run, license: License = None) -> None:
    """Rebuild the report and the model card of a run.

    Writes report.html and README.md. Also works for unfinished runs.
    """
    from sewdsl.train.report import write
    from sewdsl.train.store.run_folder import RunError, RunFolder, hide_machine, write_run_file
    from sewdsl.train.store.run_lookup import is_run, missing_run_message
    from sewdsl.train.store.run_notes import Terms
    from sewdsl.train.store.run_record import load_record

    folder = RunFolder(run)
    try:
        if license is not None:
            terms = Terms(license=license_option(license))
            if not is_run(folder.path):
                fail(missing_run_message(folder.path))
            write_run_file(folder.terms, terms.model_dump_json() + "\n")
        record = load_record(folder)
        errors = _find_refusals(folder)
        # The commands in the model card pass --plugin, so missing plugins are not an error there.
        reasons = {name: _relative(error, folder.path) for name, error in errors.items() if name != folder.plugins.name}
        omitted = write(folder, replace(record, refused=reasons))
        hide_machine(folder)
    except RunError as error:
        fail(str(error))
    for name, reason in omitted.items():
        echo(f"warning: omitted '{folder.path / name}', which is damaged or from another version: {reason}", err=True)
    for name, problem in errors.items():
        if isinstance(problem, SewdslError):
            echo(f"warning: 'sewdsl eval' rejects this run: '{folder.path / name}' has errors", err=True)
            print_diagnostics(errors_in(problem.diagnostics))
        else:
            echo(f"warning: 'sewdsl eval' rejects this run: {problem}", err=True)
    echo(str(folder.report))
    echo(str(folder.card))


def _find_refusals(folder: RunFolder) -> Mapping[str, RunError | SewdslError]:
    """Return the errors of ``sewdsl eval`` for the files of a run, by file name. Returns no errors without torch."""
    try:
        from sewdsl.train.fit.load_run import find_refusals
    except ModuleNotFoundError:
        return {}
    return find_refusals(folder)


def _relative(error: Exception, folder: Path) -> str:
    """Return the first line of a message, without the path of the run folder."""
    # Reports are published, so they must not contain local paths.
    first, *others = str(error).splitlines()
    return first.replace(f"{folder}{os.sep}", "") + (f" (and {len(others)} more)" if others else "")
