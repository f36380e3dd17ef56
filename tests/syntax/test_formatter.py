from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sewdsl.diagnostics import SewdslError
from sewdsl.limits import Limits
from sewdsl.reporter import Reporter
from sewdsl.resources import resource_folder
from sewdsl.source import Source
from sewdsl.syntax.formatter import format_source
from sewdsl.syntax.highlight_tokens import tokens
from sewdsl.syntax.parser import parse
from sewdsl.syntax.printer import print_document
from sewdsl.syntax.scanner import scan, token_start
from tests.effort import examples
from tests.syntax.fixing import apply_fix
from tests.syntax.strategies import documents, fragments, untidy
from tests.words import raises


def formatted(text: str) -> str:
    return format_source(Source("t.net", text))


def errors(text: str) -> bool:
    reporter = Reporter()
    reporter.take(parse(Source("t.net", text)))
    return bool(reporter.errors)


def comments(text: str) -> list[str]:
    return [span.text for kind, span in tokens(Source("t", text)) if kind == "comment"]


def braced(text: str) -> str:
    """Return a text with braces around repeats."""
    characters = list(text)
    for token in scan(Source("t", text)):
        if token.type in {"LESS", "MORE"}:
            characters[token_start(token)] = "{" if token.type == "LESS" else "}"
    return "".join(characters)


@examples(25)
@given(documents.map(print_document).flatmap(lambda text: st.tuples(st.just(text), untidy(text))))
def test_formatting_keeps_tree_and_comments_and_is_stable(texts: tuple[str, str]) -> None:
    """A printed text is formatted, except for ``<`` around repeats. Line ends do not change the format."""
    tidy, messy = texts
    assert formatted(tidy) == braced(tidy)
    reporter = Reporter()
    document = reporter.take(parse(Source("t", messy)))
    assert not reporter.errors
    assert document == reporter.take(parse(Source("t", tidy)))
    result = formatted(messy)
    assert reporter.take(parse(Source("t", result))) == document
    assert comments(result) == comments(messy)
    assert formatted(result) == result
    assert "\n\n\n" not in result
    plain, plain_result = messy.replace("\r\n", "\n"), result.replace("\r\n", "\n")
    for end in ("\n", "\r", "\r\n"):
        assert formatted(plain.replace("\n", end)) == plain_result.replace("\n", end)
    assert "\r" not in plain_result


def test_repeats_have_braces() -> None:
    head = 'sewdsl 1\nnetwork "<a>*2"\nneuron N { give where(x < 1, x, 1) }\n'
    text = head + "body <<c3-\u27e8N\u27e9*2>*2-MAP{fire(x > 1)}>*3  # <b>*2\n"
    last = "body    {{c3-{N}*2}*2-MAP{fire(x > 1)}}*3  # <b>*2"
    assert formatted(text) == formatted(head + last)
    assert formatted(text).splitlines()[-1] == last


@given(fragments)
def test_any_text_is_formatted_stably_or_refused(text: str) -> None:
    reporter = Reporter()
    reporter.take(parse(Source("t.net", text)))
    if reporter.errors:
        with pytest.raises(SewdslError) as caught:
            formatted(text)
        assert caught.value.diagnostics == reporter.sorted
    else:
        assert formatted(formatted(text)) == formatted(text)


@examples(20)
@given(
    st.one_of(documents.map(print_document).flatmap(untidy), fragments),
    st.lists(st.sampled_from(["\n", "\r", "\r\n", "\n\r"]), min_size=1, max_size=5),
)
def test_with_any_line_ends_it_is_formatted_stably(text: str, ends: list[str]) -> None:
    lines = text.splitlines()
    mixed = "".join(line + end for line, end in zip(lines, cycle(ends), strict=False))
    assume(not errors(mixed))
    once = formatted(mixed)
    assert formatted(once) == once
    assert not {*"\r\n"} & {*once.replace(Source("t.net", mixed).line_end, "")}


ENDS = {
    "body FC2 # x\r         # y\r": "body    FC2  # x\n             # y\n",
    "body FC2\rtrain on x {\r epochs 3\r}\r": "body    FC2\ntrain on x {\n    epochs 3\n}\n",
    "body FC2\rtrain on x { epochs 3\r batch 2 }\r": "body    FC2\ntrain on x {\n    epochs 3\n    batch 2\n}\n",
}


@pytest.mark.parametrize("text", ENDS)
def test_lines_that_end_in_a_carriage_return(text: str) -> None:
    """Comments stay below each other, and sections are broken, as with any other end of line."""
    expected = f"sewdsl 1\ninput   3\n{ENDS[text]}"
    assert formatted(f"sewdsl 1\rinput 3\r{text}") == expected.replace("\n", "\r")


UNTIDY = """\


sewdsl   1


# head
network   "7B-Net"   # a
  input 2×128×128      # x
steps       16         # y
                       # and more on y
neuron PLIF (tau = 2.0,surrogate=ATan( alpha=2.0 ))
   # before the body
body c32k3s1–BN -PLIF- # go on
  {SEW  Block(c32)-
# inside
MPk2×2s2
} * 7-
FC11

expect parameters 0.13M          # Tab. 5
expect output 11
init x -1


block SEW Block (c = in,s=1)=g[
c$(c)k3s$( s ) - BN |
   id or SEWBlock (c) -BN- Foo Bar(c$(4 * (c+1)) d, g = IAND)
]-
a
train   on dvs128 - gesture { epochs 192   # long
   batch -1   

   # last
   optimizer SGD(lr=0.1,
   momentum=0)
   # none
   }
data { memory   2GB }
# end  

"""  # noqa: W291 -- what is to be tidied

TIDY = """\
sewdsl 1

# head
network "7B-Net"  # a
input   2x128x128  # x
steps   16         # y
                   # and more on y
neuron  PLIF(tau=2.0, surrogate=ATan(alpha=2.0))
# before the body
body    c32k3s1-BN-PLIF-  # go on
        {SEW Block (c32)-
            # inside
            MPk2x2s2
        }*7-
        FC11

expect  parameters 0.13M  # Tab. 5
expect  output 11
init    x -1

block SEW Block(c=in, s=1) = g[
    c$(c)k3s$(s)-BN |
    id or SEWBlock(c)-BN-Foo Bar (c$(4*(c+1)) d, g=IAND)
]-
    a
train on dvs128-gesture {
    epochs 192  # long
    batch -1

    # last
    optimizer SGD(lr=0.1,
        momentum=0)
    # none
}
data { memory 2GB }
# end  
"""  # noqa: W291 -- comments stay byte for byte


def test_an_untidy_file() -> None:
    assert formatted(UNTIDY) == TIDY
    assert formatted(TIDY) == TIDY


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_stay(end: str) -> None:
    assert formatted(UNTIDY.replace("\n", end)) == TIDY.replace("\n", end)


def test_mixed_line_ends_become_that_of_the_first_line() -> None:
    assert formatted("sewdsl 1\r\ninput   8\nbody    FC3\r") == "sewdsl 1\r\ninput   8\r\nbody    FC3\r\n"


def test_a_byte_order_mark_goes() -> None:
    assert formatted("\ufeffsewdsl 1\n") == "sewdsl 1\n"


def test_a_file_with_errors_is_refused_with_all_of_them() -> None:
    with pytest.raises(SewdslError) as caught:
        formatted("sewdsl 1\nbody {a}-b\nsteps = 4\n")
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["missing-count", "unexpected-token"]


def test_limits_hold_for_the_formatter_too() -> None:
    with pytest.raises(SewdslError, match="nesting-too-deep"):
        format_source(Source("t", "sewdsl 1\nbody {{a}*2}*2\n"), Limits(nesting=1))


@pytest.mark.parametrize("path", sorted(resource_folder("nets").glob("*.net")), ids=lambda path: path.stem)
def test_shipped_networks_keep_tree_and_comments(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    result = formatted(text)
    assert parse(Source("t", result)).value == parse(Source("t", text)).value
    assert comments(result) == comments(text)


def test_a_text_does_not_become_too_long_to_be_read() -> None:
    """Here by the line end that is missing."""
    source = Source("t", "sewdsl 1\nbody    BN")
    assert format_source(source, Limits(source_bytes=20)) == "sewdsl 1\nbody    BN\n"
    with raises(SewdslError):
        format_source(source, Limits(source_bytes=19))


@pytest.mark.parametrize("text", ["sewdsl 1\n# a \ud83d\n", 'sewdsl 1\nnetwork "a\udc00"\n'])
def test_half_a_character_is_refused_since_no_file_can_hold_it(text: str) -> None:
    with pytest.raises(SewdslError) as error:
        format_source(Source("t", text))
    (said,) = error.value.diagnostics
    assert said.code == "unexpected-character"
    assert "unpaired surrogate" in said.message
    fixed = apply_fix(text, said.fixes[0])
    assert format_source(Source("t", fixed)).encode().decode() == fixed
