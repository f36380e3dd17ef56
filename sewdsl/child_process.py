"""Python child processes that never import modules from the current folder.

``python -m`` and ``python -c`` put the current folder first on the search path. A file ``torchmetrics.py`` in an
unpacked archive would then run in place of the package.
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
    """Return the command that runs code, statements on one line, in a Python process with the same search path."""
    # -P omits the current folder; sewdsl and plugin files must be found as in this process.
    return [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]


def leave_out_current_folder() -> None:
    """Remove the current folder from the search path of this process and of processes that libraries start.

    Lightning restarts the program with ``-m``, and other libraries start processes with ``-m`` and ``-c``.
    """
    here = os.path.realpath(os.curdir)
    # Processes of a checkout that runs in place find sewdsl in the current folder.
    if here == os.path.realpath(Path(__file__).parents[1]):
        return
    # Compare resolved names: Python resolves links in the first entry only for scripts.
    if sys.path and os.path.realpath(sys.path[0]) == here:
        del sys.path[0]
    os.environ["PYTHONSAFEPATH"] = "1"
