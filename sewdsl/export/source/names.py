"""Names and texts of somebody else's, made harmless: whatever a spec says never becomes code."""

from __future__ import annotations

import builtins
import keyword
import re

MAX_IDENTIFIER_LENGTH = 40
"""Characters of a name that are kept."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_WORD = re.compile(r"[A-Za-z0-9]+")
_COMMENT = re.compile(r"#.*")


def is_identifier(name: str) -> bool:
    """Whether Python takes a name as it stands, for an attribute or an argument."""
    return bool(_IDENTIFIER.fullmatch(name)) and not keyword.iskeyword(name)


def string_literal(text: str) -> str:
    """A text as a literal of Python, in ASCII."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def one_line_prose(text: str) -> str:
    """A text as one line of a comment or docstring: no line breaks, quotes, backslashes, or signs that cannot be seen.

    What stands behind a ``#`` is left out, so that no tool takes it for an instruction.
    """
    words = " ".join(" ".join(_COMMENT.sub("", line) for line in text.splitlines()).split())
    harmless = words.replace('"', "'").replace("\\", "/")
    return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in harmless)


def class_name(text: str, otherwise: str, taken: set[str]) -> str:
    """A name for a class: ``SEW ResNet-18`` becomes ``SEWResNet18``, ``7B-Net`` becomes ``Net7B``.

    Args:
        text: What it is the class of.
        otherwise: What to call it where nothing of the text is left, and what to put behind a name that is taken.
        taken: The names in use; the new one is added.
    """
    words = _WORD.findall(text)
    letters = next((i for i, word in enumerate(words) if word[0].isalpha()), None)
    words = [otherwise] if letters is None else [*words[letters:], *words[:letters]]
    name = "".join(word[0].upper() + word[1:] for word in words)[:MAX_IDENTIFIER_LENGTH]
    if name in taken or keyword.iskeyword(name) or hasattr(builtins, name):
        name = found = name.removesuffix(otherwise) + otherwise
        number = 1
        while found in taken:
            number += 1
            found = f"{name}{number}"
        name = found
    taken.add(name)
    return name
