"""Descriptions of the item under the cursor."""

import pytest

from sewdsl.editing.hover import hover
from sewdsl.editing.kind_docs import code_pages, kind_description
from sewdsl.ops import catalogue
from tests.editing.marked import HEAD, at_cursor


def said(text: str) -> tuple[str, str]:
    """Return the description, and the characters that it describes."""
    view, offset = at_cursor(text)
    found = hover(view, offset)
    assert found is not None
    return found.text, found.span.text


def test_a_layer() -> None:
    text, of = said(f"{HEAD}body ‸c8k3s2-BN-SN-GAP-FC5\n")
    assert of == "c8k3s2"
    assert text.startswith(
        "`c8k3s2p1d1g1b0`  \n`[2, 32, 32] real` → `[8, 16, 16] real`  \n144 parameters, 36,864 MACs per time-step\n\n"
        "Convolution of each time-step, 2-D for `[C, H, W]` and 1-D for `[C, L]`."
    )
    assert "- `padding`: Zero padding on each side" in text


def test_what_a_static_input_gives_is_static() -> None:
    text, _ = said(f"{HEAD}encode direct\nbody c8k3-B‸N-SN-GAP-FC5\n")
    assert "`[8, 32, 32] real, static` → `[8, 32, 32] real, static`" in text


def test_a_neuron_of_the_file() -> None:
    text, of = said(f"{HEAD}body c8k3-BN-‸SN-GAP-FC5\n")
    assert of == "SN"
    assert text.startswith("`LIF(v_threshold=1.0, v_reset=0.0, detach_reset=on, surrogate=")
    assert "tau=3.0)`" in text


def test_copies() -> None:
    text, _ = said(f"{HEAD}body c8k3-BN-SN-{{SEW Block-‸MPk2}}*5-FC5\n")
    assert text.split("\n\n")[0].split("  \n") == [
        "`MPk2s2p0`",
        "`[8, 32, 32] count 0..2` → `[8, 16, 16] count 0..2` (copy 1 of 5)",
        "`[8, 16, 16] count 0..3` → `[8, 8, 8] count 0..3` (copy 2 of 5)",
        "`[8, 8, 8] count 0..4` → `[8, 4, 4] count 0..4` (copy 3 of 5)",
        "…",
        "`[8, 2, 2] count 0..6` → `[8, 1, 1] count 0..6` (copy 5 of 5)",
        "0 parameters, 0 MACs per time-step in 5 copies",
    ]


def test_copies_that_are_alike() -> None:
    text, of = said(f"{HEAD}body c8k3-BN-SN-{{‸c8k3-BN-SN}}*3-{{c4k1-BN-SN}}*2-FC5\n")
    assert of == "c8k3"
    shapes, counts = text.split("\n\n")[0].split("  \n")[1:]
    assert shapes == "`[8, 32, 32] binary` → `[8, 32, 32] real`"
    assert counts == "1,728 parameters, 1,769,472 MACs per time-step in 3 copies"


def test_a_repeat() -> None:
    text, of = said(f"{HEAD}body c8k3-BN-SN-{{SEW Block-MPk2}}*‸2-FC5\n")
    assert of == "{SEW Block-MPk2}*2"
    assert text == "`[8, 32, 32] binary` → `[8, 8, 8] count 0..3`  \n2,368 parameters, 1,474,560 MACs per time-step"


def test_a_block_says_its_body() -> None:
    text, of = said(f"{HEAD}body c8k3-BN-SN-‸SEW Block (c16)-GAP-FC5\n")
    assert of == "SEW Block (c16)"
    assert "`[8, 32, 32] binary` → `[16, 32, 32] count 0..2`" in text
    assert "```sewdsl\nblock SEW Block(c=in, s=1) = g[\n    c$(c)k3s$(s)-BN-SN" in text


def test_a_block_of_the_file_and_a_layer_in_it() -> None:
    text, _ = said(f"{HEAD}body ‸My Net (c8)-My Net (c4s2)-FC5\n")
    assert "`[2, 32, 32] real` → `[8, 32, 32] binary`" in text
    assert "block   My Net(c=in, s=1) = c$(c)k3s$(s)-BN-SN" in text
    text, of = said(HEAD.replace("c$(c)k3", "‸c$(c)k3") + "body My Net (c8)-My Net (c4s2)-FC5\n")
    assert of == "c$(c)k3s$(s)"
    assert text.split("  \n")[:4] == [
        "`c8k3s1p1d1g1b0`",
        "`c4k3s2p1d1g1b0`",
        "`[2, 32, 32] real` → `[8, 32, 32] real` (copy 1 of 2)",
        "`[8, 32, 32] binary` → `[4, 16, 16] real` (copy 2 of 2)",
    ]


def test_a_projection_that_was_not_taken_is_not_counted() -> None:
    """The identity was tried first, and what became of it taken back."""
    text = f"{HEAD}block B(c) = g[c$(c)k3-BN-SN | id or ‸c$(c)k1-BN-SN]\nbody c8k3-BN-SN-B (c8)-B (c16)-FC5\n"
    found, _ = said(text)
    assert found.split("  \n")[:2] == ["`c16k1s1p0d1g1b0`", "`[8, 32, 32] count 0..2` → `[16, 32, 32] real`"]
    identity, of = said(text.replace("‸", "").replace("| id", "| ‸id"))
    assert of == "id"
    facts = identity.split("\n\n")[0].split("  \n")
    assert facts == ["`[8, 32, 32] binary` → `[8, 32, 32] binary`", "0 parameters, 0 MACs per time-step"]


def test_a_join() -> None:
    text, _ = said(f"{HEAD}body c8k3-BN-SN-‸IAND[c8k3-BN-SN | id]-FC5\n")
    assert "`[8, 32, 32] binary` → `[8, 32, 32] binary`" in text
    assert "g(A, S) = (1 - A) · S" in text


@pytest.mark.parametrize(
    ("text", "of", "expected"),
    [
        (HEAD.replace("steps", "st‸eps"), "steps", "Number of time-steps T."),
        (HEAD.replace("LIF", "‸LIF"), "LIF(tau=3.0)", "H[t] = (1 - 1/tau) V[t-1]"),
        (HEAD.replace("tau", "‸tau"), "tau", "Membrane time constant in time-steps"),
        (HEAD.replace("My Net", "My‸ Net"), "My Net", "```sewdsl\nblock   My Net(c=in"),
        (f"{HEAD}body BN-FC5\nexpect ‸parameters 5", "parameters", "computed: 10,249"),
        (f"{HEAD}body BN-FC5\nclaim ‸output 5", "output", "computed: 5"),
        (f"{HEAD}body BN-FC5\nclaim ‸energy 4mJ", "energy", "measured by 'sewdsl probe energy'"),
        (f"{HEAD}body BN-FC5\nclaim ‸accuracy 4%", "accuracy", "measured by 'sewdsl train' and 'sewdsl eval'"),
        (f'{HEAD}allow ‸growing-output "why"', "growing-output", code_pages()["growing-output"]),
        (f"{HEAD}body SEW Block (‸c=8)-FC5", "c", "A parameter of SEW Block."),
        (f"{HEAD}body SEW Block (‸g=AND)-FC5", "g", "The join of the file"),
        (f"{HEAD}train on mnist5k {{\n    war‸mup 3\n}}", "warmup", "Epochs before the schedule starts"),
        (f"{HEAD}train on mnist5k {{\n    optimizer S‸GD(lr=1.0)\n}}", "SGD(lr=1.0)", "w = w - lr · b"),
        (f"{HEAD}study {{\n    va‸ry join ADD AND\n}}", "vary", "one variant per value"),
        (f"{HEAD}study {{\n    sea‸rch TPE(trials=20)\n}}", "search", "train this number of trials"),
        (f"{HEAD}bo‸dy c8k3-", "body", "The network, in the notation of papers."),
        (f"{HEAD}body c8k3-PL‸IF-", "PLIF", "with one learnable time constant per layer"),
        (f"{HEAD}body c8k3-M‸AP{{ x*x }}-FC5", "MAP{ x*x }", "`[8, 32, 32] real` → `[8, 32, 32] real`"),
        (f"{HEAD}body FC5-MAP(v_‸reset=0.5){{ x }}", "MAP(v_reset=0.5){ x }", "Function of each value"),
        (f"{HEAD}neu‸ron Eye {{\n    give (x\n}}", "neuron", "defines a neuron by the equations"),
    ],
)
def test_words(text: str, of: str, expected: str) -> None:
    found, span = said(text)
    assert span == of
    assert expected in found


@pytest.mark.parametrize(
    "text",
    [
        *("‸", "sewdsl 1\n‸\n", f"{HEAD}# a com‸ment", HEAD.replace('"A"', '"‸A"'), f"{HEAD}body c8k3 ‸  -BN"),
        # The network has an error, so its counts may be wrong.
        f"{HEAD}body FC5-XYZ\nexpect ‸parameters 5",
        # The equations define no such name.
        f"{HEAD}neuron Eye {{\n    give fire(L‸IF*x)\n}}\n",
        # The definition cannot be read, and the neuron RF of the library is another one.
        f"{HEAD}neuron R‸F {{\n    give (x\n}}\n",
    ],
)
def test_nothing_to_say(text: str) -> None:
    assert hover(*at_cursor(text)) is None


def test_where_something_is_broken_the_rest_is_known() -> None:
    broken = f"{HEAD}body ‸c8k3-BN-XYZ-FC5\n"
    assert "`[2, 32, 32] real` → `[8, 32, 32] real`" in said(broken)[0]
    assert "Fully connected layer" in said(broken.replace("‸", "").replace("FC5", "‸FC5"))[0]
    assert "→" not in said(broken.replace("‸", "").replace("FC5", "‸FC5"))[0]


def test_every_kind_is_described() -> None:
    for name, kind in catalogue().items():
        assert len(kind_description(kind)) > 20, name
        assert "``" not in kind_description(kind)
        assert ":class:" not in kind_description(kind)


VALUES = """\
block Up(c)[ low | high ] {
    let wide = high-c$(c)k1-BN
    give CAT[ low | wide-SN ]
}
let low = c8k3-BN-SN
body Up (c4)[ low | low-BN-SN ]-FC5
"""


@pytest.mark.parametrize(
    ("place", "text", "of"),
    [
        ("let ‸low", "`[8, 32, 32] binary`\n\n`let low = c8k3-BN-SN`", "low"),
        ("[ ‸low | low-BN", "`[8, 32, 32] binary`\n\n`let low = c8k3-BN-SN`", "low"),
        ("| ‸low-BN", "`[8, 32, 32] binary`\n\n`let low = c8k3-BN-SN`", "low"),
        ("let w‸ide", "`[4, 32, 32] real`\n\n`let wide = high-c$(c)k1-BN`", "wide"),
        ("| wi‸de-SN", "`[4, 32, 32] real`\n\n`let wide = high-c$(c)k1-BN`", "wide"),
        ("= ‸high", "An operand of Up.", "high"),
        ("[ l‸ow | wide", "An operand of Up.", "low"),
    ],
)
def test_a_named_value(place: str, text: str, of: str) -> None:
    plain = place.replace("‸", "")
    assert VALUES.count(plain) == 1
    assert said(HEAD + VALUES.replace(plain, place)) == (text, of)


@pytest.mark.parametrize(("place", "begin"), [("‸let low", "`let low = "), ("‸give CAT", "`give expression`")])
def test_words_of_named_values(place: str, begin: str) -> None:
    text, _ = said(HEAD + VALUES.replace(place.replace("‸", ""), place))
    assert text.startswith(begin)


def test_a_call_with_operands() -> None:
    text, of = said(HEAD + VALUES.replace("Up (c4)[", "‸Up (c4)["))
    assert of == "Up (c4)[ low | low-BN-SN ]"
    assert "`[12, 32, 32] binary`" in text
    assert "block Up(c)[ low | high ] {" in text


def test_outputs_and_loops() -> None:
    heads = "let low = c8k3-BN-SN\nlet high = low-MPk2\noutputs low high\n"
    assert said(HEAD + heads.replace("outputs low", "outputs ‸low")) == (
        "`[8, 32, 32] binary`\n\n`let low = c8k3-BN-SN`",
        "low",
    )
    text, _ = said(HEAD + heads.replace("outputs", "out‸puts"))
    assert "instead of `body`" in text
    text, of = said(f"{HEAD}body c8k3-‸LOOP[ SN | c8k3 ]-GAP\n")
    assert of == "LOOP[ SN | c8k3 ]"
    assert "`[8, 32, 32] binary`" in text
    assert "Recurrent loop" in text
    text, _ = said(f"{HEAD}let h = ADD[ c8k3 | h-DEL‸AY-c8k3 ]-SN\nbody h-GAP\n")
    assert "`[8, 32, 32] binary`" in text
    assert "zeros at first" in text
