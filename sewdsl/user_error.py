"""Base class of errors that users can fix. Notebooks show them without frames of sewdsl."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

PACKAGE = f"{Path(__file__).parent}{os.sep}"


class UserError(Exception):
    """Error that the user can fix. The message names the problem and the remedy."""

    def _render_traceback_(self) -> list[str]:
        """Return the traceback for IPython: the frames of the user up to the call of sewdsl, and the message."""
        from traceback import extract_tb, format_exception_only, format_list

        ipython = f"{os.sep}IPython{os.sep}"
        frames = [frame for frame in extract_tb(self.__traceback__) if ipython not in frame.filename]
        user_frames = takewhile(lambda frame: not frame.filename.startswith(PACKAGE), frames)
        return [line.rstrip("\n") for line in (*format_list([*user_frames]), *format_exception_only(self))]
