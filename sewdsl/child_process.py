"""Child processes of Python, which find modules where their parent does and never in the current folder.

``python -m`` and ``python -c`` put the current folder first on the search path, before the standard library: a file
``torchmetrics.py`` in an unpacked archive would run in place of the package.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN_GROUP: dict[str, Any] = {"start_new_session": True}
"""Arguments of ``Popen`` for a process that Ctrl-C in the terminal does not reach."""
if sys.platform == "win32":
    OWN_GROUP = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}


def python_command(code: str) -> list[str]:
    """Return the command that runs code in a new Python process.

    The process gets the search path of this one, since this one found sewdsl and the files of plugins there.

    Args:
        code: Statements on one line.
    """
    return [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]


def leave_out_current_folder() -> None:
    """Remove the current folder from the search path of ``python -m sewdsl`` and of processes that libraries start.

    Lightning starts the program again with ``-m``, and other libraries start processes with ``-m`` and ``-c``.
    A checkout of sewdsl that is run in place stays on the search path, where such processes find sewdsl.
    """
    here = os.path.realpath(os.curdir)
    if here == os.path.realpath(Path(__file__).parents[1]):
        return
    # Compare resolved names: Python resolves links in the first entry only for scripts.
    if sys.path and os.path.realpath(sys.path[0]) == here:
        del sys.path[0]
    os.environ["PYTHONSAFEPATH"] = "1"
