"""Names of other libraries and papers, and misspelt ones: what is offered in their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sewdsl
from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.exchange.spikingjelly_names import NEURONS, SURROGATES
from sewdsl.ir.op import Activation, Layer
from sewdsl.ops import catalogue
from sewdsl.syntax.suggestions import names_elsewhere
from tests.syntax.fixing import apply_fix
from tests.words import check_words

WRITTEN = {
    "C32k3": "c32k3",
    "conv32k3": "c32k3",
    "Mpk2": "MPk2",
    "AvgPool2": "APk2",
    "MaxPool2d2": "MPk2",
    "Linear10": "FC10",
    "Dense10": "FC10",
    "BatchNorm2d": "BN",
    "Dropout": "DP",
    "AdaptiveAvgPool2d(1)": "GAP",
    "LayerNorm": "LN",
    "GroupNorm8": "GN8",
    "Upsample2": "UP2",
    "StochasticDepth0.2": "DropPath0.2",
    "Swish": "SiLU",
    "SEWBlok": "SEW Block",
}
SAID = {
    "Conv64": "use the form c32k3s1",
    "Conv2d(3, 64, 3)": "use the form c32k3s1",
    "MaxPool2d(2)": "use the form MPk2s2",
    "MAP": "write MAP{…} with an expression, e.g. MAP{1 - x}",
    "VotingLayer": "use APk10 as the voting layer, after a layer of 10 neurons per class",
    "ConvTranspose2d": "use the form tc64k2s2",
    "Deconv64": "use the form tc64k2s2",
    "Quux": "run 'sewdsl nets --kinds' to list all names",
}


ELSEWHERE = {
    "neuron {}": {
        "IFNode": "IF",
        "LIFNode": "LIF",
        "SimpleLIFNode": "LIF",
        "ParametricLIFNode": "PLIF",
        "KLIFNode": "KLIF",
        "GatedLIFNode": "GLIF",
        "EIFNode": "EIF",
        "ILIFNode": "ILIF",
        "CUBALIFNode": "CUBA",
        "TernaryLIFNode": "Ternary",
        "RAFNode": "RF",
        "Leaky": "LIF1",
        "Synaptic": "CUBA",
        **dict.fromkeys(
            [
                "QIFNode",
                "IzhikevichNode",
                "LIAFNode",
                "NonSpikingIFNode",
                "NonSpikingLIFNode",
                "NoisyCUBALIFNode",
                "ComplementaryLIFNode",
                "DSRIFNode",
                "ILCLIFNode",
                "OTTTLIFNode",
                "SLTTLIFNode",
                "MPBNLIFNode",
                "STBIFNode",
                "FewSpikeNode",
                "HalfThresholdIFNode",
            ]
        ),
    },
    "neuron LIF(surrogate={})": {
        **{name: name for name in ("ATan", "Sigmoid")},
        "atan": "ATan",
        "PiecewiseQuadratic": "Triangle",
        "triangular": "Triangle",
        "PiecewiseLeakyReLU": "Rectangular",
        "piecewise_leaky_relu": "Rectangular",
        "Rect": "Rectangular",
        "LeakyKReLU": "Constant",
        "DeterministicPass": "Constant",
        "straight_through_estimator": "Constant",
        **dict.fromkeys(
            [
                "PiecewiseExp",
                "SoftSign",
                "SuperSpike",
                "fast_sigmoid",
                "FastSigmoid",
                "NonzeroSignLogAbs",
                "Erf",
                "SquarewaveFourierSeries",
                "S2NN",
                "QPseudoSpike",
                "LogTailedReLU",
                "FakeNumericalGradient",
                "PoissonPass",
                "spike_rate_escape",
                "LSO",
                "SFS",
            ]
        ),
    },
    "train on x {{ optimizer {} }}": {
        **{name: name for name in ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop", "SGD")},
        "adam": "Adam",
        "SDG": "SGD",
        **dict.fromkeys(
            [
                "Adagrad",
                "Adadelta",
                "Adamax",
                "Adafactor",
                "ASGD",
                "LBFGS",
                "Rprop",
                "SparseAdam",
                "Muon",
                "Lion",
                "LAMB",
            ]
        ),
    },
    "train on x {{ optimizer SGD(lr=0.1)\nschedule {} }}": {
        "StepLR": "Step",
        "CosineAnnealingLR": "Cosine",
        "CosineAnnealingWarmRestarts": "WarmRestarts",
        "ReduceLROnPlateau": "Plateau",
        "OneCycleLR": "OneCycle",
        **dict.fromkeys(
            [
                "LambdaLR",
                "MultiplicativeLR",
                "MultiStepLR",
                "ConstantLR",
                "LinearLR",
                "ExponentialLR",
                "PolynomialLR",
                "CyclicLR",
                "SequentialLR",
                "ChainedScheduler",
            ]
        ),
    },
    "train on x {{ optimizer SGD(lr=0.1)\nloss {} }}": {
        "CrossEntropyLoss": "CrossEntropy",
        "cross_entropy": "CrossEntropy",
        "NLLLoss": "CrossEntropy",
        "MSELoss": "MSE",
        "KLDivLoss": "KL",
        **dict.fromkeys(
            [
                "L1Loss",
                "SmoothL1Loss",
                "HuberLoss",
                "BCELoss",
                "BCEWithLogitsLoss",
                "CTCLoss",
                "TripletMarginLoss",
                "my",
            ]
        ),
    },
    "train on x {{ optimizer SGD(lr=0.1)\naugment {} }}": {
        "MixUp": "Mixup",
        "CutOut": "RandomErasing",
        "TrivialAugmentWide": "TrivialAugment",
        **dict.fromkeys(
            [
                "RandomCrop",
                "RandomResizedCrop",
                "CenterCrop",
                "RandomHorizontalFlip",
                "RandomVerticalFlip",
                "RandomRotation",
                "RandomAffine",
                "RandomPerspective",
                "Normalize",
                "Grayscale",
            ]
        ),
    },
}
"""For each place of a kind, classes of SpikingJelly, snnTorch, PyTorch and torchvision with their kinds."""


NOUNS = {
    *("layer", "neuron", "activation", "join", "merge", "surrogate"),
    *("optimizer", "schedule", "delay width", "loss", "transform", "rule of initial weights"),
}
"""Families of kinds in messages."""


def help_of(name: str) -> tuple[str, list[str]]:
    """Return the help for an unknown name, and the text of its fix."""
    found = sewdsl.read(f"c4k3-{name}", input="1x8x8").diagnostics
    (said,) = (d for d in found if d.code == "unknown-name")
    return said.help, [edit.text for fix in said.fixes for edit in fix.edits]


@pytest.mark.parametrize(("name", "ours"), WRITTEN.items())
def test_what_can_be_written_in_its_place(name: str, ours: str) -> None:
    assert help_of(name) == (f"did you mean '{ours}'?", [ours])


@pytest.mark.parametrize(
    ("place", "name", "ours"), [(place, *pair) for place, pairs in ELSEWHERE.items() for pair in pairs.items()]
)
def test_a_class_of_another_library(place: str, name: str, ours: str | None) -> None:
    """A class with a counterpart is translated. For others no kind is suggested, but what can be done instead."""
    text = f"sewdsl 1\ninput 1x8x8\nbody c2k3\n{place.format(name)}\n"
    # With arguments, the name is read by another function.
    for written in (text, text.replace(name, f"{name}(a=1)")):
        found = [d for d in sewdsl.read(written).diagnostics if name in d.span.text and d.code != "unknown-dataset"]
        hints = [d.help for d in found if d.code in {"invalid-argument", "unknown-name"}]
        if name == ours:
            assert not any("did you mean" in hint for hint in hints), hints
        elif ours is not None:
            page = " docs/spikingjelly.md translates the names of SpikingJelly's classes" * name.endswith("Node")
            assert hints == [f"did you mean '{ours}'?{page}"]
        else:
            (hint,) = hints
            assert "did you mean" not in hint
            assert re.match("the language has no .+: (use|define) |expected one of: .+; otherwise, define it", hint), (
                hint
            )


@pytest.mark.parametrize("name", sorted({*catalogue()} - {"input"}))
def test_a_kind_in_another_place_has_the_noun_of_its_family(name: str) -> None:
    """As a layer, a layer or a neuron is only misspelt. Of others, the message has the noun and where it is written."""
    spaced = f"{name[0]} {name[1:]}"
    for item in (name, spaced) if len(name) > 1 else (name,):
        found = [d for d in sewdsl.read(f"c4k3-{item}-IF", input="1x8x8").diagnostics if d.code == "wrong-kind"]
        kind = catalogue()[name]
        if issubclass(kind, Layer | Activation):
            assert not found
        else:
            (wrong,) = found
            assert wrong.message == f"'{name}' is {kind.noun_phrase()}, expected a layer or a block"
            assert kind.noun in NOUNS
            assert f"{name}[" in wrong.help or re.search(rf"write it (in) [^:]+: .*{name}", wrong.help), wrong.help


def test_names_elsewhere() -> None:
    """Each entry is needed and has a kind, and the names that are read from SpikingJelly are among them."""
    kinds = {**catalogue(), **shipped_neurons()}
    assert {*names_elsewhere().values()} <= kinds.keys()
    tested = {name: kind for place in ELSEWHERE.values() for name, kind in place.items()}
    assert {name: kind.kind for kind, name in NEURONS.items() if kind.kind != "DLIF"}.items() <= tested.items()
    assert {surrogate.name: surrogate.kind.kind for surrogate in SURROGATES}.items() <= tested.items()


@pytest.mark.parametrize(("name", "said"), SAID.items())
def test_where_numbers_are_wanting(name: str, said: str) -> None:
    assert help_of(name) == (said, [])


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        ("My Block c32", "My Block (c32)"),
        ("My Block c$(4*c)s2", "My Block (c$(4*c)s2)"),
        ("SEW Block c4", "SEW Block (c4)"),
        ("ADD[BN | id c4k1]", "id or c4k1"),
        ("ADD[BN | id c$(c)k1]", "id or c$(c)k1"),
    ],
)
def test_a_call_in_another_form(call: str, meant: str) -> None:
    text = f"sewdsl 1\ninput 4x8x8\nblock My Block(c) = c$(c)k3\nblock Net(c=4) = {call}\nbody IF-Net\n"
    (said,) = sewdsl.read(text).diagnostics
    assert (said.code, said.help) == ("unknown-name", f"write '{meant}'")
    assert [edit.text for edit in said.fixes[0].edits] == [meant]


@pytest.mark.parametrize(
    ("call", "fixed"),
    [
        ("My Block [c4]", "My Block (c4)"),
        ("My Block[ c4s2 ]", "My Block (c4s2)"),
        ("Up[c4]", "Up (c4)"),
        ("Nothing[c4]", "Nothing (c4)"),  # the next error names what is unknown
    ],
)
def test_arguments_of_a_block_in_brackets(call: str, fixed: str) -> None:
    blocks = "block My Block(c) = c$(c)k3\nblock Up(c)[a | b] = ADD[a | b]\n"
    text = f"sewdsl 1\ninput 4x8x8\n{blocks}body IF-{call}-WRONG\n"
    (said, _) = sewdsl.read(text).diagnostics
    assert (said.code, said.help) == ("operand-count", f"use parentheses for the arguments of a block: {fixed}")
    assert apply_fix(text, said.fixes[0]) == text.replace(call, fixed)


@pytest.mark.parametrize(
    ("body", "help_"),
    [
        ("ADD[WRONG]", "a merge requires at least two operands: write ADD[ branch | shortcut ]"),
        ("c4k3-g[c4]", "a merge requires at least two operands: write g[ branch | shortcut ]"),
        ("CAT[c4k3]", "a merge requires at least two operands: write CAT[ first | second ]"),
        ("IAND[SN]", "write IAND[ branch | shortcut ]"),
        ("ATTN(heads=2)[WRONG]", "write ATTN[ q | k | v ]"),
        ("LOOP[SN]", "write LOOP[ body | feedback ]"),
    ],
)
def test_one_operand_is_too_few(body: str, help_: str) -> None:
    """The count is checked before the operand: it may be anything else. `SN` after it may be a neuron in it."""
    (said,) = sewdsl.read(f"{body}-SN", input="4x8x8").diagnostics
    assert (said.code, said.help) == ("operand-count", help_)
    check_words(said.message)


@pytest.mark.parametrize("name", ["ResBlock(128)", "ResidualBlock", "res_block", "Block"])
def test_a_block_with_a_shortcut_is_one_of_several(name: str) -> None:
    said, written = help_of(name)
    titles = filter(re.compile(".+ Block").fullmatch, map(block_title, shipped_blocks().values()))
    assert said == f"use one of {', '.join(titles)}, e.g. SEW Block (c64)"
    assert written == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("SEW", "use one of SEW Block, SEW Bottleneck"), ("ms", "did you mean 'MS Block'?")],
)
def test_the_first_word_of_a_block_suggests_the_block(name: str, expected: str) -> None:
    assert help_of(name)[0] == expected


HEAD = "sewdsl 1\ninput 4x8x8\nneuron LIF\n"
MISTAKES = {
    "body FC1l": "did you mean 'FC11', with digits instead of letters?",
    "body l0FC": "did you mean 'FC10', with digits instead of letters?",
    "body tcl6k2s2": "did you mean 'tc16k2s2', with digits instead of letters?",
    "body cO8k3": "did you mean 'c08k3', with digits instead of letters?",
    "body LIF(beta=0.9)": (
        "use tau=10, which is 1/(1 - beta); LIF1(decay=0.9) does not scale the input, as in snnTorch"
    ),
    "body LIF(tau=0.9)": "for a decay of 0.9, use tau=10, which is 1/(1 - decay)",
    "body LIF(tau=20ms)": "remove the unit: values have none, and time constants count time-steps, here of 1 ms",
    "neuron LIF(tau=20 ms)": "remove the unit: values have none, and time constants count time-steps, here of 1 ms",
    "body EMB(30522, 64)": "write 'EMB256', after 'input 128 of 30522' in the header",
    "body Swap(0, 1)": "write 'Swap[ c256k1-BN-SN-c64k1 ]'",
    "body GN(8, 32)": "write 'GN8', 'GN8(eps=1e-6)'",
    "body FC24-Reshape(-1)": "write all lengths, as none is inferred; Flatten returns a vector",
    "body FC24-Reshape(-1, 4)": "write '-1x4'; no length is inferred",
    'import "x.net"': "import the definitions of another file with 'use \"file.net\"'",
    'resume "runs/x"': "resume a run with 'sewdsl train --resume RUN'",
    "batch_size 3": "write it in a section: train on DATASET { … }",
    "train on digits {\noptimizer SGD(lr=0.1)\nresume on\n}": "resume a run with 'sewdsl train --resume RUN'",
    "train on digits {\noptimizer SGD(lr=0.1)\nval_split 0.1\n}": "did you mean 'validation'?",
    "train on digits {\noptimizer SGD(lr=0.1)\nweight_decay 0.1\n}": "write 'optimizer …(weight_decay=…)'",
    "train on digits {\noptimizer SGD(lr=0.1)\nmemory 2 GB\n}": "write 'memory 2GB'",
    "body DLIF(beta=0.9)": "use decay=0.9, which is beta in snnTorch",
    "body FC8-tc4k2s2": ("keep the feature map: use c64k1 instead of FC64, and MEAN(over=places) instead of GAP"),
    "body FC8-c4k3": "move it before the layer that flattens the input (FC, Flatten or GAP)",
    "block B(t=2) = c$(t*in)k3\nbody B": ("use 'in' as a default: write 'block NAME(i=in)', and i in the formula"),
    "body FC2\ntrain on digits {\noptimizer Adam\nlabel-smoothing 0.1\n}": (
        "use '_' in names of settings: label_smoothing"
    ),
    "body ADD[TOK1 | id]": "repeat the smaller operand at all positions: append Reshape(4x1x1)-UP8",
    "body CAT[TOK1 | id]": "CAT joins channels; write CAT[ a-Swap | b-Swap ]-Swap to join positions",
    "body CAT[APk2 | id]": "make height and width equal, by equal strides or by pooling",
    "body UP2x3x4": "use at most two numbers, e.g. 2x3",
    "body Reshape": "add 'shape', e.g. Reshape(512x4x4)",
    "body TOK4(init=uniform)": "add 'low', e.g. uniform(low=-0.1, high=0.1)",
    "body FC2\nneuron N { h = {IF}*2 give h }": (
        "move layers to 'body', 'let' or 'block'; equations contain only numbers"
    ),
}


@pytest.mark.parametrize(("lines", "help_"), MISTAKES.items())
def test_help_leads_to_the_right_fix(lines: str, help_: str) -> None:
    body = "body FC3\n" if lines.startswith("train") else ""
    first, *_ = sewdsl.read(f"{HEAD}{body}{lines}\n").diagnostics
    assert first.help == help_


@pytest.mark.parametrize("before", ["", "q=1, ", "v_reset=1, ", "v_reset=1,\n q=1, "])
def test_the_first_of_equal_parameters(before: str) -> None:
    """Parameters before it, which may be invalid, do not change which is the first."""
    text = f"{HEAD}neuron N({before}p=2, p=3) {{ give p*x }}\n"
    *_, twice = sewdsl.read(text).diagnostics
    line, column = twice.span.source.position(text.index("p=2"))
    assert (twice.message, twice.help) == ("'p' is defined twice", f"first defined in line {line}, column {column}")


@pytest.mark.parametrize(
    ("body", "message", "label"),
    [
        ("UP0x3", "factor of 'UP' must be at least 1", "got 0"),
        ("UP2.5x3", "factor of 'UP' must be an integer", "got 2.5"),
        ("MEAN(over=foo)", "'over' of 'MEAN' must be 'channels', 'places' or 'time'", "got 'foo'"),
        ("FC2(init=foo)", "'init' of 'FC' must be a rule of initial weights", "got 'foo'"),
        ("FC2(init=LIF)", "'init' of 'FC' must be a rule of initial weights", "got 'LIF'"),
    ],
)
def test_messages_name_the_value(body: str, message: str, label: str) -> None:
    (found,) = sewdsl.read(f"{HEAD}body {body}\n").diagnostics
    assert (found.message, found.label) == (message, label)


def test_an_input_is_not_named_like_the_word_before_its_values() -> None:
    first, *_ = sewdsl.read("FC2", input="of 128").diagnostics
    assert (first.code, first.span.text) == ("reserved-name", "of")


@pytest.mark.parametrize("body", ["c8k3-FC2", "BN-SN-c8k3-FC2", "tc8k2s2-FC2"])
def test_a_vector_that_is_the_input_is_given_as_a_map(body: str) -> None:
    said = sewdsl.read(body, input="128", neuron="LIF").diagnostics[-1]
    check_words(said.help)


@pytest.mark.parametrize(
    ("spec", "help_"),
    [
        ("mynet.net", "run 'sewdsl nets' to list shipped networks"),  # imagenet is a library
        ("photos.net", "run 'sewdsl nets' to list shipped networks"),
        ("mine.net", "did you mean 'mines'?"),
        ("unet", "did you mean 'spiking-unet'?"),
        ("sdt_8_384", "did you mean 'sdt-8-384'? run 'sewdsl nets' to list all"),
    ],
)
def test_names_of_networks(spec: str, help_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with one of photographs and one with a network."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "mines").mkdir()
    (tmp_path / "mines" / "spec.net").write_text(HEAD)
    assert [said.help for said in sewdsl.read(spec).diagnostics] == [help_]


@pytest.mark.parametrize(
    ("name", "label", "hint"),
    [
        (
            "DCNv3",
            "the language has no deformable convolution",
            "write it with APPLY, as in docs/attention.md, 'Selections and samplings'",
        ),
        (
            "TopK",
            "the language has no top-k selection",
            "write it with the rank of each value, as in docs/attention.md, 'Selections and samplings'",
        ),
        (
            "ScatterAdd",
            "the language has no gather or scatter",
            "use EMB to read a table, or APPLY, as in docs/attention.md, 'Selections and samplings'",
        ),
        (
            "InstanceNorm2d",
            "the language has no instance norm",
            "use GN with a group for each channel: GN32 after c32k3",
        ),
        (
            "MultiheadAttention",
            "the language has no attention with built-in projections",
            "use ATTN(heads=8)[ c64k1 | c64k1 | c64k1 ] with q, k and v, or SCORES and APPLY",
        ),
        ("MatMul", "the language has no matrix product", "use SCORES, APPLY or ATTN"),
        ("Gate", "not a layer, neuron or block", "did you mean 'Rate'?"),
    ],
)
def test_layers_that_the_language_does_not_have(name: str, label: str, hint: str) -> None:
    (found,) = sewdsl.read(f"c4k3-{name}-FC3", input="2x8x8").diagnostics
    assert (found.code, found.label, found.help) == ("unknown-name", label, hint)
