"""Networks in the notation of other papers, where ours is expected."""

import pytest

from sewdsl.diagnostics import Diagnostics
from sewdsl.source import Source
from sewdsl.syntax.parser import parse, parse_compact

FOREIGN = {
    "128C3-AP2-256C3-10FC": "128C3",
    "MP4-64C3-128C3-AP2-256FC-11": "64C3",
    "28x28-12c5-2a-64c5-2a-10o": "12c5",
    "(2x128C3)-MP2-10SVM": "2x128C3",
    "784-800-10": "784",
    "32 Conv3 - 64Conv3": "64Conv3",
    "1024FC-10": "1024FC",
}
OURS = [
    "{MPk2}*2FC3",  # a lost hyphen
    "c32k3-2FC11",  # ours, with a number too many
    "c32k3-BN-10",
    "DP-5",
    "$(4-1)",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_string_is_known(text: str) -> None:
    diagnostics = Diagnostics()
    assert parse_compact(Source("t", text), diagnostics).statements == ()
    (found,) = diagnostics
    assert (found.code, found.span.text) == ("other-notation", FOREIGN[text])
    assert "--dialect he" in found.help


@pytest.mark.parametrize("text", OURS)
def test_mistakes_in_ours_are_not(text: str) -> None:
    diagnostics = Diagnostics()
    parse_compact(Source("t", text), diagnostics)
    assert "other-notation" not in {found.code for found in diagnostics}


def test_a_body_is_known_and_the_rest_of_the_file_is_read() -> None:
    diagnostics = Diagnostics()
    text = "sewdsl 1\nbody 128C3-AP2-10FC\nsteps 16\n"
    assert len(parse(Source("t", text), diagnostics).statements) == 2
    (found,) = diagnostics
    assert (found.code, found.span.line, found.span.text) == ("other-notation", 2, "128C3")
