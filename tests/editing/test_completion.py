"""Completions at a position of a text."""

from pathlib import Path

import pytest

from sewdsl.editing.completion import complete
from sewdsl.elaborate.neuron_kinds import NeuronKinds
from sewdsl.ir.op import Activation
from tests.editing.marked import HEAD, at_cursor

BLOCK_NAMES = (
    "SEW Block, SEW Bottleneck, Spiking Block, Spiking Bottleneck, Plain Block, Basic Block, Bottleneck, RBA Block"
)
LAYERS = {
    *BLOCK_NAMES.split(", "),
    "My Net",
    "c",
    "BN",
    "IF",
    "LIF",
    "PLIF",
    "MP",
    "AP",
    "GAP",
    "FC",
    "SN",
    "g[",
    "ADD[",
}
STATEMENTS = {"sewdsl", "let", "body", "block", "use", "expect", "claim", "allow", "train", "study"}
DATA = ("mnist5k", "dvs128-gesture")


def offered(text: str, file: Path | None = None) -> tuple[list[str], str]:
    """Return the completions, and the text that they replace."""
    view, offset = at_cursor(text, file)
    found = complete(view, offset, DATA)
    return [proposal.text for proposal in found.proposals], found.span.text


@pytest.mark.parametrize(
    "text", ["body ‸", "body c3‸", "body c32k3-‸", "body c32k3-\n  ‸", "body c3-{BN-‸", "body c3-<‸", "body g[‸"]
)
def test_layers(text: str) -> None:
    found, _ = offered(HEAD + text)
    assert set(found) >= LAYERS
    assert "input" not in found
    assert ("id" in found) == ("g[" in text)


@pytest.mark.parametrize(
    "written", ["", "tr", "train.", "train.op", "train.optimizer.", "train.optimizer.w", "neuron."]
)
def test_keys_of_a_study(written: str) -> None:
    """All keys are offered after ``vary``, with the arguments of the kinds of the file, however much is typed."""
    recipe = "body c3k3-SN\ntrain on mnist5k {\n optimizer SGD(lr=0.1)\n schedule Cosine\n}"
    found, span = offered(f"{HEAD}neuron LIF\n{recipe}\nstudy {{\n vary {written}‸\n}}")
    assert {"steps", "join", "train.batch", "train.loss", "train.optimizer.weight_decay", "neuron.tau"} <= {*found}
    assert span == written
    assert len(found) == len({*found})


@pytest.mark.parametrize(
    ("text", "replaced"),
    [("body c8k3-SEW B‸", "SEW B"), ("body {My‸ N}*3", "My"), ("body SEW Block (c32)-B‸", "B"), ("body ‸BN", "")],
)
def test_the_whole_name_is_replaced(text: str, replaced: str) -> None:
    found, span = offered(HEAD + text)
    assert set(found) >= LAYERS
    assert span == replaced


@pytest.mark.parametrize("text", ["", "sew‸", "sewdsl 1\n‸", "sewdsl 1\nbo‸"])
def test_statements(text: str) -> None:
    found, _ = offered(text if "‸" in text else "‸")
    assert set(found) >= STATEMENTS | {"network", "input", "steps", "neuron", "join", "init", "readout", "encode"}


def test_what_is_set_is_not_offered_again() -> None:
    found, _ = offered(f"{HEAD}body BN\n‸")
    assert {"join", "init"} <= set(found)
    assert {"network", "steps"}.isdisjoint(found)
    found, _ = offered("sewdsl 1\ntrain on mnist5k {\n    epochs 3\n    ‸\n}")
    assert {"batch", "optimizer", "memory"} <= set(found)
    assert {"epochs", "on", "steps"}.isdisjoint(found)
    assert "losses" not in found  # no key of files: several lines begin with 'loss'


ACTIVATIONS = " ".join(sorted(NeuronKinds().names(Activation)))
"""Those that have a kind, and those that ``nets/neurons.net`` has equations of."""


@pytest.mark.parametrize(
    ("text", "expected", "replaced"),
    [
        ("body g[c8k3-SN | i‸d]", "id", "i"),
        ("body g[c8k3-SN | id ‸", "or", ""),
        ("body LIF(‸", "v_threshold= v_reset= detach_reset= surrogate= tau=", ""),
        ("body LIF(tau=2.0, ‸", "v_threshold= v_reset= detach_reset= surrogate=", ""),
        ("body LIF(tau=2.0,\n  ‸", "v_threshold= v_reset= detach_reset= surrogate=", ""),
        ("train on mnist5k {\n optimizer SGD(lr=0.1,\n ‸", "momentum= weight_decay= nesterov=", ""),
        ("body LIF(tau=2.0, su‸r", "v_threshold= v_reset= detach_reset= surrogate=", "su"),
        ("body LIF(surrogate=‸", "ATan Constant Rectangular Sigmoid Triangle", ""),
        ("body LIF(surrogate=ATan(‸", "alpha= scale=", ""),
        ("body LIF(detach_reset=‸", "on off", ""),
        ("body LIF(v_reset=‸", "none", ""),
        ("body SEW Block (‸", "c s g= SN=", ""),
        ("body My Net (c8, g=‸", "ADD AND IAND OR", ""),
        ("body My Net (c8, SN=‸", ACTIVATIONS, ""),
        ("block X(width, n=2) = c$(‸", "width n", ""),
        ("block X(width, n=2) = c$(2*wi‸", "width n", "wi"),
        ("block X = c$(‸", "", ""),
        ("neuron ‸", ACTIVATIONS, ""),
        ("neuron PLIF(tau=3.0, surrogate=Sig‸", "ATan Constant Rectangular Sigmoid Triangle", "Sig"),
        ("join ‸", "ADD AND IAND OR", ""),
        ("encode ‸", "none direct", ""),
        ("input 128 ‸", "of", ""),
        ("input left 2x8x8 ‸", "of", ""),
        ("input 128 of 300 ‸", "", ""),
        ("init ‸", "constant default kaiming normal orthogonal sparse uniform zero", ""),
        ("body FC5(init=‸)", "constant default kaiming normal orthogonal sparse uniform none", ""),
        ("body FC5(init=sparse(density=0.5, ‸))", "std= radius= keep=", ""),
        ("init kaiming ‸", "constant default kaiming normal orthogonal sparse uniform zero", ""),
        ("readout m‸", "mean sum last", "m"),
        ("expect ‸", "parameters macs output", ""),
        ("claim ‸", "parameters macs output accuracy energy", ""),
        ("train ‸", "on", ""),
        ("train on ‸", "mnist5k dvs128-gesture", ""),
        ("train on dvs128-ge‸", "mnist5k dvs128-gesture", "dvs128-ge"),
        ("train on mnist5k {\n optimizer ‸", "Adam AdamW NAdam RAdam RMSprop SGD", ""),
        ("train on mnist5k {\n optimizer SGD(‸", "lr= momentum= weight_decay= nesterov=", ""),
        ("train on mnist5k {\n schedule ‸\n}", "Cosine OneCycle Plateau Step WarmRestarts none", ""),
        ("train on mnist5k {\n loss ‸\n}", "CrossEntropy KL MSE TET", ""),
        ("train on mnist5k {\n flip ‸\n}", "on off", ""),
        ("block X {\n ‸\n}", "let give", ""),
        ("block X {\n let a = BN\n gi‸\n}", "let give", "gi"),
        ("study {\n‸\n}", "vary variant probe search", ""),
        ("study {\n search ‸\n}", "TPE(trials=20) Random(trials=20)", ""),
        ("study {\n vary train.clip ‸\n}", "log linear", ""),
        ("study {\n probe ‸\n}", "rates gradients", ""),
    ],
)
def test_exactly(text: str, expected: str, replaced: str) -> None:
    found, span = offered(HEAD + text)
    assert set(expected.split()) <= set(found)
    if "| i‸" not in text:
        assert found == expected.split()
    assert span == replaced


@pytest.mark.parametrize(
    "text",
    [
        "# bo‸dy",
        "steps ‸",
        "steps 4 ‸",
        'network "‸',
        "body c8k3 ‸",
        "body {BN}‸",
        "body {BN}*‸",
        "expect parameters ‸",
        "block ‸",
        "block X(‸",
        "block X {\n let ‸\n}",
        "let ‸",
        "body c$(‸",
        "train on mnist5k {\n epochs ‸\n}",
        "body LIF(tau=‸",
        "allow growing-output ‸",
        "use im‸",
    ],
)
def test_nothing(text: str) -> None:
    assert offered(HEAD + text)[0] == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("let low = BN\nlet high = l‸\nbody SN", {"low"}),
        ("let low = BN\nlet high = SN\nbody ‸", {"low", "high"}),
        ("let low = BN\nbody CAT[ ‸", {"low"}),
        ("let low = BN\nbody BN-‸", set()),
        ("let low = BN\nblock X[ p | q ] {\n let r = p\n let t = ‸\n}", {"p", "q", "r"}),
        ("let low = BN\nblock X[ p | q ] {\n let r = p\n give CAT[ r | ‸\n}", {"p", "q", "r"}),
        ("let low = ‸", set()),
        ("let low = BN\nblock X[ p | q ] = ADD[ ‸", {"p", "q"}),
        ("let low = BN\nblock X(c=in)[ p | q ] = ‸", {"p", "q"}),
    ],
)
def test_named_values(text: str, values: set[str]) -> None:
    found, _ = offered(HEAD + text)
    assert {"low", "high", "p", "q", "r", "t"} & set(found) == values
    assert "BN" in found


def test_codes() -> None:
    found, span = offered(f"{HEAD}allow vanishing-gr‸")
    assert {"vanishing-gradient", "growing-output"} <= set(found)
    assert span == "vanishing-gr"


def test_files(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "nets").mkdir()
    for name in ("nets/a.net", "nets/b.net", "c.net"):
        (tmp_path / name).write_text("sewdsl 1\n")
    assert offered('sewdsl 1\nuse "‸', tmp_path / "nets/a.net")[0] == ["../c.net", "b.net"]
    assert offered('sewdsl 1\nuse "b‸', tmp_path / "nets/a.net") == (["../c.net", "b.net"], "b")
    assert offered('sewdsl 1\nuse "‸', None)[0] == []


def test_kinds_say_what_they_are() -> None:
    view, offset = at_cursor(f"{HEAD}body ‸")
    about = {proposal.text: proposal for proposal in complete(view, offset).proposals}
    assert about["PLIF"].about.startswith("LIF neuron (Eq. 5) with one learnable")
    assert about["SEW Block"].about.startswith("```sewdsl\nblock SEW Block(c=in, s=1)")
    assert about["My Net"].detail == "own block"


def test_outputs_are_names_of_values() -> None:
    found, _ = offered(f"{HEAD}let low = BN\nlet high = SN\noutputs low ‸")
    assert {"low", "high"} <= set(found)
    assert "BN" not in found
    found, _ = offered(f"{HEAD}let low = BN\nlet high = SN\noutputs low high\nexpect ‸")
    assert {"parameters", "macs", "low", "high"} == set(found)


@pytest.mark.parametrize("line", ["freeze ‸", "freeze conv1 ‸", "lr ‸", "lr fc1 10x ‸"])
def test_layers_and_parts_of_the_network(line: str) -> None:
    text = "sewdsl 1\ninput 1x8x8\nbody c4k3-BN-IF-SEW Block (c4)-FC10\ntrain on digits {\n    optimizer Adam\n    "
    found, span = offered(f"{text}{line}\n}}\n")
    assert {"conv1", "sew_block1", "sew_block1.branch", "sew_block1.branch.bn2", "fc1"} <= set(found)
    assert span == ""


EXITS = "sewdsl 1\ninput 4\nlet early = FC3\nlet last = FC3\noutputs early last\ntrain on digits {\n"
EXITS += "    epochs 1\n    batch 1\n    optimizer Adam(lr=0.1)\n    loss last MSE\n"


@pytest.mark.parametrize(
    ("text", "expected", "absent"),
    [
        (f"{EXITS}    loss early ‸\n}}\n", {"KL", "MSE", "CrossEntropy"}, {"SN"}),
        (f"{EXITS}    loss early KL(to=‸)\n}}\n", {"early", "last", "input", "teacher"}, {"KL"}),
        ("sewdsl 1\nbody MAP{‸}", {"x", "abs(", "where("}, {"BN"}),
        ("sewdsl 1\nbody MAP{1 - abs(‸", {"x", "abs("}, {"BN"}),
        ("sewdsl 1\nbody {MAP{x}-‸", {"BN"}, {"abs("}),
        ("sewdsl 1\nneuron N {\n    learn w[4] ‸", {"per"}, {"abs("}),
    ],
)
def test_words_of_the_newer_constructs(text: str, expected: set[str], absent: set[str]) -> None:
    words = {proposal.text for proposal in complete(*at_cursor(text)).proposals}
    assert expected <= words
    assert not words & absent
