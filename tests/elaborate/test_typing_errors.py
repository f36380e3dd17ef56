"""Typing errors in the newer constructs: where they are, and how to fix them."""

import pytest

import sewdsl
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.train.training_plan import check_training
from tests.words import check_words

HEAD = "sewdsl 1\ninput 2x16x16\nsteps 4\nneuron LIF\n"
TWO = "{\n    h = v + a - b\n    s = fire(h - v_threshold)\n    v = reset(h, s)\n    give s\n}\n"
EXITS = "sewdsl 1\ninput 1x8x8\nsteps 4\nencode direct\nneuron LIF\nlet low = c8k3-BN-SN\n"
OUTPUTS = EXITS + "let early = low-GAP-FC10\nlet last = low-SN-GAP-FC10\noutputs early last\n"
RECIPE = "train on digits {\n    epochs 2\n    batch 10\n    optimizer Adam(lr=0.01)\n%s\n}\n"

BODIES = {
    "MAP{1 - y}": ("unknown-name", "y"),
    "MAP{1 - X}": ("unknown-name", "X"),
    "MAP{uniform(0, 1)}": ("unknown-name", "uniform"),
    "MAP{index(3)}": ("unknown-name", "index"),
    "MAP{give x}": ("unexpected-token", "x"),
    "MAP{h = x}": ("unexpected-token", "="),
    "MAP{}": ("unexpected-token", "}"),
    "MAP{|x|}": ("unexpected-token", "|"),
    "MAP{where(x = 1, 1, 0)}": ("unexpected-token", "="),
    "MAP(surrogate=ATan){1 - x}": ("unknown-argument", "surrogate=ATan"),
    "MAP(v_threshold=2.0){fire(x - 1)}": ("unknown-argument", "v_threshold=2.0"),
    "MAP{0*x + 1}": ("without-effect", "MAP{0*x + 1}"),
    "MAP{x/0}": ("invalid-equation", "x/0"),
    "MAP{log(0)*x}": ("invalid-equation", "log(0)"),
    "MAP(1 - x)": ("unexpected-token", "-"),
    "MAP[1 - x]": ("unexpected-token", "1"),
    "MAP{1 - x}*2": ("unexpected-token", "*"),
    "swap[c256k1]": ("unknown-name", "swap"),
    "Swap[c256k1]*2": ("unexpected-token", "*"),
    "Transpose": ("unknown-name", "Transpose"),
    "View(2x256)": ("unknown-name", "View"),
    "LayerScale": ("unknown-name", "LayerScale"),
    "Reshape[c4]": ("wrong-kind", "Reshape"),
    "Reshape(2,16,16)": ("duplicate-argument", "16"),
    "Flatten-Reshape(2x256)-UP2x3": ("wrong-rank", "UP2x3"),
    "UP2x3x4": ("unknown-argument", "x4"),
    "Slice(stop=99)": ("invalid-argument", "Slice(stop=99)"),
    "PAD16(mode=reflect)": ("invalid-argument", "PAD16(mode=reflect)"),
    "FC8-PAD1": ("wrong-rank", "PAD1"),
    "APk16x2s1p0-FFT": ("invalid-argument", "FFT"),
    "FFT(inverse=on)-c3k1-FFT(inverse=on)": ("invalid-argument", "FFT(inverse=on)"),
    "FC8-FFT": ("wrong-rank", "FFT"),
    "Slice(start=2)": ("invalid-argument", "Slice(start=2)"),
    "Slice(start=1, stop=1, over=places)": ("invalid-argument", "Slice(start=1, stop=1, over=places)"),
    "Slice(start=2, over=time)": ("invalid-argument", "Slice(start=2, over=time)"),
    "Slice(start=4, stop=5, over=time)": ("invalid-argument", "Slice(start=4, stop=5, over=time)"),
    "FC8-Slice(stop=1, over=places)": ("wrong-rank", "Slice(stop=1, over=places)"),
    "Narrow(stop=1)": ("unknown-name", "Narrow"),
    "ClsToken": ("unknown-name", "ClsToken"),
    "TOK0": ("invalid-argument", "0"),
    "MAX(over=channels)": ("wrong-kind", "MAX"),
    "ADD[ GAP | id ]": ("join-shape-mismatch", "ADD[ GAP | id ]"),
    "ADD[ MEAN(over=places) | id ]": ("join-shape-mismatch", "ADD[ MEAN(over=places) | id ]"),
    "ADD[ id | APk2x1-MEAN(over=places) ]": ("join-shape-mismatch", "ADD[ id | APk2x1-MEAN(over=places) ]"),
    "DELAY(4)": ("invalid-argument", "4"),
    "FIR(k=4)": ("unknown-argument", "k=4"),
    "FIRk2000": ("invalid-argument", "k2000"),
    "GAP-DFC4b2(reach=3)": ("invalid-argument", "b2"),
    "TEBN(eps=none)": ("invalid-argument", "eps=none"),
}
STATEMENTS = {
    "neuron N[a, b] " + TWO + "body N[ c4k1 | c4k1 ]": ("unexpected-token", ","),
    "neuron N[a | b](tau=2.0) " + TWO + "body FC2": ("unexpected-token", "["),
    "neuron N {\n    state a(2) = 0\n    a = x\n    give sum(a)\n}\nbody N-FC2": ("unexpected-token", "("),
    "neuron N {\n    state a[2] = 0\n    a = x\n    give a[0]\n}\nbody N-FC2": ("unexpected-token", "["),
    "neuron N {\n    state a[2] = [0, 1]\n    a = x\n    give sum(a)\n}\nbody N-FC2": ("unexpected-token", "["),
    "neuron N {\n    state a[2] = 0\n    a = x\n    give fire(a)\n}\nbody N-FC2": ("vector-not-summed", "a"),
    "neuron N {\n    state a[2] = 0\n    a = x\n    give mean(a)\n}\nbody N-FC2": ("unknown-name", "mean"),
    "neuron N {\n    learn w = unifrm(0, 1)\n    give w*x\n}\nbody N-FC2": ("unknown-name", "unifrm"),
    "block B {\n    let y = c2k3\n    let z = c2k3\n    give y z\n}\nbody B-FC2": ("unknown-name", "y z"),
    "block B { let y = c2k3 give y }\nbody B-FC2": ("unexpected-token", "give"),
    "block B { let y = ADD[ BN | c2k3 ] let z = y\ngive z }\nbody B-FC2": ("unexpected-token", "let"),
    "block B(c=in) = GAP-Reshape($(c)x1x)\nbody B-FC2": ("invalid-argument", "$(c)x1x"),
    "block B(c=in) = GAP-Reshape($(c)y1)\nbody B-FC2": ("invalid-argument", "$(c)y1"),
    "block B(c=in) = SCALE(value=$(1/0))\nbody B-FC2": ("invalid-formula", "1/0"),
    "block B(c=in) = SCALE(value=$(1/(c-c)))\nbody B-FC2": ("invalid-formula", "1/(c-c)"),
    "block B(c=in) = SUM(over=channels, groups=$(1/c))\nbody B-FC2": ("invalid-argument", "groups=$(1/c)"),
    "block id = c2k3\nbody FC2": ("duplicate-block", "id"),
    "part P = c2k3\nneuron P { give x }\nbody P-P-FC2": ("duplicate-neuron", "P"),
    "block B[x](c=in) = c$(c)k1\nbody B-FC2": ("unexpected-token", "("),
    "part Eye c2k3\nbody FC2": ("unexpected-token", "c2k3"),
    "input left = 1x8x8\nbody FC2": ("unexpected-token", "="),
    "init * constant(0)\nbody FC2": ("unexpected-token", "*"),
    "init fc1* constant(0)\nbody FC2": ("unexpected-token", "*"),
    "init fc2.* constant(0)\nbody FC2": ("unknown-name", "fc2.*"),
}
LINES = {
    "loss last KL(to=last)\n    loss early MSE": ("invalid-argument", "loss last KL(to=last)"),
    "loss last CrossEntropy\n    loss early KL(to=c)": ("unknown-name", "loss early KL(to=c)"),
    "loss last CrossEntropy\n    loss early KL(to=lst)": ("unknown-name", "loss early KL(to=lst)"),
    "loss last CrossEntropy\n    loss erly MSE": ("unknown-name", "loss erly MSE"),
    "loss last CrossEntropy\n    loss early KL(to=teacher)": ("teacher-mismatch", "loss early KL(to=teacher)"),
    'loss last CrossEntropy\n    loss early MSE\n    teacher "runs/a"': ("teacher-mismatch", 'teacher "runs/a"'),
    "loss last KL(to=early)\n    loss early MSE": ("invalid-argument", "loss last KL(to=early)"),
    "loss last MSE 0.5\n    loss early MSE": ("invalid-argument", "loss last MSE 0.5"),
    "loss last MSE\n    loss early MSE\n    teacher runs/a": ("unexpected-token", "/"),
    "loss last MSE\n    loss early MSE\n    freeze lwo.*": ("unknown-name", "lwo.*"),
    "loss last MSE\n    loss early MSE\n    lr low.conv1.wieght 2x": ("unknown-name", "low.conv1.wieght"),
    "loss last MSE\n    loss early MSE\n    lr *.wieght 2x": ("unknown-name", "*.wieght"),
    "loss last MSE\n    loss early MSE\n    freeze low*": ("unexpected-token", "*"),
    "loss last MSE\n    loss early MSE\n    freeze *": ("unexpected-token", "*"),
}
TRAIN = "body FC2\ntrain on digits {\n    epochs 2\n    %s\n}"
HABITS = {
    "body [c4k3-BN]*2-FC2": ("unexpected-token", "["),
    "body ADD(c2k3-BN | id)-FC2": ("unexpected-token", "-"),
    "body ADD[ id | c2k3 ](g=2)-FC2": ("unexpected-token", "("),
    "body c4k3-BN, FC2": ("unexpected-token", ","),
    "body ADD[c2k3, id]-FC2": ("unexpected-token", ","),
    "body Input-FC2-Output": ("unknown-name", "Input"),
    "body APk2-AP2-FC2": ("unknown-argument", "2"),
    "body c3x64k3-FC2": ("invalid-argument", "3x64"),
    "body c4@3-FC2": ("unexpected-character", "@"),
    "body LIF(tau=0.75)-FC2": ("invalid-argument", "tau=0.75"),
    "body LIF(decay=0.75)-FC2": ("unknown-argument", "decay=0.75"),
    "body GAP-FC(2)": ("invalid-argument", "2"),
    "stem = c4k3-BN\nbody stem-FC2": ("unexpected-token", "="),
    "block A(c) { c$(c)k3-BN }\nbody A(c4)-FC2": ("unexpected-token", "c"),
    "block A(c) = c{c}k3-BN\nbody A(c4)-FC2": ("missing-hyphen", ""),
    "body FC2\nclaim parameters 68,874": ("unexpected-token", ","),
    "T 4\nbody FC2": ("unknown-setting", "T"),
    "lr 0.1\nbody FC2": ("unknown-setting", "lr"),
    "tau 2.0\nbody FC2": ("unknown-setting", "tau"),
    TRAIN % "optimizer Adam lr=0.1": ("unexpected-token", "="),
    TRAIN % "optimizer Adam(lr=0.1)\n    dataset digits": ("unknown-setting", "dataset"),
}
"""Notation of other libraries and of papers."""
TEXTS = {
    HEAD.replace("2x", "self 2x", 1) + "body self-FC2\n": ("reserved-name", "self"),
    **{HEAD + f"body {body}-GAP-FC2\n": expected for body, expected in BODIES.items()},
    **{HEAD + f"{text}\n": expected for text, expected in STATEMENTS.items()},
    **{OUTPUTS + RECIPE % f"    {lines}": expected for lines, expected in LINES.items()},
    **{HEAD + f"{text}\n": expected for text, expected in HABITS.items()},
}


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_an_error_and_its_help(number: int) -> None:
    text, (code, span) = [*TEXTS.items()][number]
    diagnostic, *_ = check_training(sewdsl.read(text)).diagnostics
    assert (diagnostic.code, diagnostic.span.text) == (code, span)
    assert diagnostic.help or "must be" in diagnostic.message
    check_words(f"{diagnostic.message}: {diagnostic.help}")


def test_a_setting_with_a_syntax_error_is_not_missing() -> None:
    (only,) = check_training(sewdsl.read(HEAD + TRAIN % "optimizer Adam lr=0.1" + "\n")).diagnostics
    assert only.code == "unexpected-token"


@pytest.mark.parametrize("name", ["map", "Map"])
def test_the_keyword_in_other_letters(name: str) -> None:
    text = HEAD + f"body {name}{{1 - x}}-GAP-FC2\n"
    first, *_ = sewdsl.read(text).diagnostics
    assert (first.code, first.help) == ("missing-hyphen", "write MAP{…}")
    assert sewdsl.read(apply_fixes((first,), first.span.source)).valid


def test_an_output_with_the_name_of_a_layer() -> None:
    """The word is the output, although the layer ``c`` requires arguments."""
    text = OUTPUTS.replace("early", "c") + RECIPE % "    loss last CrossEntropy\n    loss c KL(to=last)"
    assert check_training(sewdsl.read(text)).diagnostics == ()
    text = OUTPUTS.replace("last", "c") + RECIPE % "    loss c CrossEntropy\n    loss early KL(to=c)"
    assert check_training(sewdsl.read(text)).diagnostics == ()


@pytest.mark.parametrize("sequence", ["DELAY4", "FIRk2d4", "GAP-DFC3(reach=5)"])
def test_delays_beyond_the_input(sequence: str) -> None:
    (diagnostic,) = sewdsl.read(HEAD + f"body SN-{sequence}-FC2\n").diagnostics
    assert diagnostic.code == "delay-beyond-steps"
    assert not sewdsl.read(HEAD.replace("steps 4", "steps 5") + f"body SN-{sequence}-FC2\n").diagnostics
    assert not sewdsl.read(f"LIF-{sequence}-FC2", input="2x16x16").diagnostics


@pytest.mark.parametrize("rule", ["constant(1e39)", "uniform(low=-1e39, high=0)", "uniform(low=0, high=3e38)"])
def test_initial_weights_beyond_float32(rule: str) -> None:
    (diagnostic,) = sewdsl.read(HEAD + f"init fc1 {rule}\nbody FC2\n").diagnostics
    assert diagnostic.code == "invalid-argument"
    assert "must be at" in diagnostic.message


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("input", "left=1x8x8"),
        ("input", "128 off 100"),
        ("init", "conv1 zero"),
        ("init.conv1", "orthogonal"),
        ("train.lr.fc1", "10x"),
        ("train.lr", "10x"),
        ("train.teacher", "runs/x"),
    ],
)
def test_an_override_and_its_help(key: str, text: str) -> None:
    diagnostic, *_ = sewdsl.read("mnist5k", set={key: text}).diagnostics
    check_words(" | ".join(filter(None, (diagnostic.message, diagnostic.help))))
