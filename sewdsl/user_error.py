"""Errors that a user can act on: a notebook shows them without the frames of this package."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

PACKAGE = f"{Path(__file__).parent}{os.sep}"


class UserError(Exception):
    """An error whose message says what is wrong and how to fix it."""

    def _render_traceback_(self) -> list[str]:
        """Return the traceback as IPython prints it: the user's frames up to the call of sewdsl, and the message."""
        from traceback import extract_tb, format_exception_only, format_list

        notebook = f"{os.sep}IPython{os.sep}"
        frames = [frame for frame in extract_tb(self.__traceback__) if notebook not in frame.filename]
        own = takewhile(lambda frame: not frame.filename.startswith(PACKAGE), frames)
        return [line.rstrip("\n") for line in (*format_list([*own]), *format_exception_only(self))]
