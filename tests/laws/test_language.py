"""Whatever is typed, there is a network or a diagnostic; never a traceback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sewdsl
from sewdsl.cli.print_diagnostics import format_diagnostic
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.ir.json import to_json
from sewdsl.ir.op import Op
from sewdsl.ops import catalogue
from tests.effort import examples
from tests.laws.strategies import NETWORKS, TOKENS
from tests.network_json import from_json


def holds(text: str, **options: object) -> None:
    """A valid network that is whole, or at least one error whose place can be shown."""
    compilation = sewdsl.read(text, **options)  # type: ignore[arg-type]
    if compilation.valid:
        assert compilation.network is None or compilation.network.validate()
    else:
        assert any(str(d.severity) == "error" for d in compilation.diagnostics)
    for diagnostic in compilation.diagnostics:
        assert diagnostic.message
        assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(diagnostic.span.source.text)
        assert "\n".join(format_diagnostic(diagnostic))
        assert "Traceback" not in diagnostic.message


@examples(300)
@given(TOKENS)
def test_random_tokens(tokens: list[str]) -> None:
    holds("".join(tokens), input="2x16x16")


@examples(100)
@given(
    TOKENS,
    st.sampled_from(["body ", "block A(c) = ", "neuron ", "train on digits {", "expect parameters ", "use ", ""]),
)
def test_random_files(tokens: list[str], keyword: str) -> None:
    holds("sewdsl 1\ninput 2x16x16\n" + keyword + "".join(tokens))


@examples(100)
@given(st.text(max_size=60))
def test_random_text(text: str) -> None:
    holds("c4k3-" + text, input="2x16x16")


NUMBERS = st.sampled_from(["0", "1", "2", "7", "00", "999999999", "0.5", "1.5", "0.0", "1e3", "1e400", "-1", "9.9.9"])
VALUES = st.one_of(
    NUMBERS,
    st.lists(NUMBERS, min_size=2, max_size=3).flatmap(lambda n: st.sampled_from("x\u00d7*").map(lambda x: x.join(n))),
)
"""Numbers and sizes of all forms, most of which no argument takes."""


@examples(100)
@given(
    st.sampled_from(
        [(n, letter) for n, kind in catalogue().items() if issubclass(kind, Op) for letter in kind.letters()]
    ),
    VALUES,
    st.sampled_from(["", "4", "4k3"]),
)
def test_compact_arguments(argument: tuple[str, str], value: str, first: str) -> None:
    kind, letter = argument
    holds(f"c4k3-{kind}{first}{letter}{value}-FC2", input="2x8x8")


@examples(100)
@given(
    VALUES,
    st.sampled_from(["default", "compact", "named", "formula", "override"]),
    st.sampled_from(["c4k3s$(s)-BN-IF", "{c4k3-BN-IF}*$(s)", "c$(s*2)k3-BN-IF", "LIF(tau=$(s))", "Inner (s$(s))"]),
)
def test_values_of_a_parameter(value: str, given_as: str, expression: str) -> None:
    default = f"={value}" if given_as == "default" else "=1"
    call = {"compact": f"(s{value})", "named": f"(s={value})", "formula": f"(s$({value}))"}.get(given_as, "(c4)")
    blocks = f"block Inner(s=1) = MPk$(s)\nblock B(c=in, s{default}) = {expression}"
    changes = {"body.s": value} if given_as == "override" else {}
    holds(f"sewdsl 1\ninput 2x8x8\nneuron IF\n{blocks}\nbody B {call}\n", set=changes)


@examples(75)
@given(
    st.text(max_size=20),
    st.sampled_from(["input", "steps", "neuron", "join", "init", "train.epochs", "neuron.tau", "x.y"]),
)
def test_random_overrides(value: str, key: str) -> None:
    holds("c4k3-BN-IF", input="2x8x8", set={key: value})


@examples(60)
@given(NETWORKS)
def test_fixes_apply(text: str) -> None:
    """A text with a lost hyphen is fixed to one that says nothing of it."""
    broken = text.replace("BN-IF", "BNIF", 1)
    compilation = sewdsl.read(broken, input="2x16x16")
    found = [d for d in compilation.diagnostics if d.code == "missing-hyphen"]
    assert found
    assert compilation.spec_source is not None
    assert apply_fixes(found, compilation.spec_source.source) == text


@examples(40)
@given(NETWORKS)
def test_json(text: str) -> None:
    network = sewdsl.read(text, input="2x16x16").network
    if network is not None and sewdsl.read(text, input="2x16x16").valid:
        assert from_json(to_json(network)) == network


@pytest.mark.parametrize("depth", [1, 31, 32, 33, 40, 5000])
def test_depth(depth: int) -> None:
    compilation = sewdsl.read("{" * depth + "BN" + "}*1" * depth, input="3")
    assert compilation.valid == (depth <= 32)
