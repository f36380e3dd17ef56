"""Where the statements between the braces of a neuron begin and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.syntax.lexicon import EQUATION_KEYWORDS, PER
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

_NUMBERS = frozenset({"INTEGER", "DECIMAL", "SIZE", "QUANTITY"})
_ENDS = _NUMBERS | {"WORD", "_RPAR"}
"""What a complete sum ends with, or one that is refused."""
_DEPTH = {"_LPAR": 1, "_RPAR": -1}


def split_equations(tokens: list[Token]) -> list[list[Token]]:
    """The statements between the braces of a neuron, their first words as keywords where they are.

    Nothing separates them, not even the end of a line: after a complete sum, a name can only begin the next statement.

    Args:
        tokens: All that is between the braces, without comments and ends of lines.
    """
    found: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if not found or (depth <= 0 and token.type == "WORD" and _is_complete(found[-1], token)):
            found.append([])
            depth = 0
            if token.type == "WORD":
                token.type = EQUATION_KEYWORDS.get(token, token.type)
        elif token == PER and _declares(found[-1], "_LEARN") and token.type == "WORD":
            token.type = "_PER"
        depth += _DEPTH.get(token.type, 0)
        found[-1].append(token)
    return found


def _is_complete(statement: list[Token], following: Token) -> bool:
    """Whether a statement can end before a word."""
    last = statement[-1]
    if last.type not in _ENDS:
        return False
    if _declares(statement, "_LEARN") and following == PER:
        return False
    return last.type not in _NUMBERS or token_end(last) != token_start(following)  # 2x is 2*x forgotten


def _declares(statement: list[Token], keyword: str) -> bool:
    """Whether a statement is a keyword and a name so far."""
    return len(statement) == 2 and statement[0].type == keyword  # noqa: PLR2004
