"""The page on a diagnostic's code, taken apart."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sewdsl.diagnostics import Severity
from sewdsl.light_dataclass import dataclass
from sewdsl.resources import resource_folder

_HEAD = re.compile(r"^\*(\w+) · ([^*]+)\*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"\.\s+(?=[A-Z`'])")
"""'Fang et al. 2021' and 'Sec. 3' are no ends of one."""


@dataclass(frozen=True)
class CodePage:
    """What a page says of a code.

    Attributes:
        code: Such as ``missing-hyphen``.
        group: What it is about: ``syntax``, ``shapes``, ``theory``.
        description: What it means, in a paragraph of one line, in Markdown.
        text: The whole page, in Markdown.
    """

    code: str
    severity: Severity
    group: str
    description: str
    text: str

    @property
    def summary(self) -> str:
        """The first sentence of the description, without its full stop."""
        return _SENTENCE_END.split(self.description)[0].rstrip(".")


def read_code_pages() -> Mapping[str, CodePage]:
    """Every page, by its code, in the order of the codes.

    Raises:
        ValueError: a page has no line that says how bad its code is and what it is about.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(resource_folder("codes").glob("*.md"))}
    return {code: _parse(code, text) for code, text in texts.items()}


def _parse(code: str, text: str) -> CodePage:
    head = _HEAD.search(text)
    if head is None:
        message = f"the page on {code} has no line such as '*error · syntax*'"
        raise ValueError(message)
    description = text[head.end() :].partition("\n```")[0].strip().replace("\n", " ")
    return CodePage(code, Severity[head[1].upper()], head[2].strip(), description, text)
