"""Networks in the notation of other papers, where ours is expected."""

import pytest

from sewdsl.compiler.fixing import apply_fixes
from sewdsl.reporter import Reporter
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
    "c32k3-2c64-MPk2",  # a number too many
    "{SEW Block}*2FC-BN",  # a lost hyphen
    "$(4-1)",
]


@pytest.mark.parametrize("text", FOREIGN)
def test_a_string_is_known(text: str) -> None:
    reporter = Reporter()
    assert reporter.take(parse_compact(Source("t", text))).statements == ()
    (found,) = reporter
    assert (found.code, found.span.text) == ("other-notation", FOREIGN[text])
    assert "--dialect he" in found.help


@pytest.mark.parametrize("text", OURS)
def test_mistakes_in_ours_are_not(text: str) -> None:
    reporter = Reporter()
    reporter.take(parse_compact(Source("t", text)))
    assert "other-notation" not in {found.code for found in reporter}


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("32c3-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", "c32k3-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11"),
        ("c32k3-BN-64Conv5-MPk2-{BN}*2-10FC", "c32k3-BN-c64k5-MPk2-{BN}*2-FC10"),
    ],
)
def test_single_layers_in_ours_are_written_in_ours(text: str, ours: str) -> None:
    reporter, source = Reporter(), Source("t", text)
    reporter.take(parse_compact(source))
    assert {found.code for found in reporter} == {"other-notation"}
    assert all(found.help.startswith("write '") for found in reporter)
    assert apply_fixes(reporter, source) == ours
    after = Reporter()
    assert after.take(parse_compact(Source("t", ours))).statements
    assert not list(after)


def test_a_body_is_known_and_the_rest_of_the_file_is_read() -> None:
    reporter = Reporter()
    text = "sewdsl 1\nbody 128C3-AP2-10FC\nsteps 16\n"
    assert len(reporter.take(parse(Source("t", text))).statements) == 2
    (found,) = reporter
    assert (found.code, found.span.line, found.span.text) == ("other-notation", 2, "128C3")
