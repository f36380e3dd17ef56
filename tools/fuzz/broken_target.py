"""Target that hangs in a regular expression, exits, or raises, to test the runner."""

from __future__ import annotations

import os
import re
from random import Random

from tools.fuzz.texts import numbered_text

SECONDS = 1.0
_NUMBERS = {numbered_text(1, number): number for number in range(6)}


def ask(text: str, random: Random) -> None:
    """Fail for three of the first six texts."""
    match _NUMBERS.get(text):
        case 1:
            re.fullmatch("(a|a)*b", "a" * 60)
        case 3:
            os._exit(7)
        case 4:
            message = "as is tested"
            raise ValueError(message)
