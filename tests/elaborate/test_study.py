"""The ``study`` section: what is varied, and what is said of mistakes in it."""

import pytest

from sewdsl.compiler import Compilation, compile_trial, compile_variants, read
from sewdsl.elaborate.study_section import StudyRange
from sewdsl.source import Source
from tests.words import check_words

NET = """\
sewdsl 1
network "S"
input 2x32x32
steps 4
neuron PLIF
body c8k3-BN-SN-{SEW Block (c8)-MPk2s2}*2-FC10
expect parameters 7663

train on digits {
    epochs 1
    optimizer AdamW(lr=0.01)
}

"""


def study(*lines: str) -> Source:
    return Source("s.net", NET + "study {\n" + "".join(f"    {line}\n" for line in lines) + "}\n")


def titles(*lines: str) -> list[str]:
    base, found = compile_variants(study(*lines))
    assert base.valid, base.diagnostics
    return [one.variant.title for one in found]


def test_every_value_of_every_axis() -> None:
    lines = ["vary join ADD AND IAND", "vary train.T_train none 2"]
    assert titles(*lines) == [
        f"join {join}, train.T_train {steps}" for join in ("ADD", "AND", "IAND") for steps in ("none", "2")
    ]


def test_named_variants_come_first() -> None:
    lines = ["vary steps 2 4", 'variant "A" "join=AND" "train.optimizer.lr=0.1"', 'variant "B" "block=Spiking Block"']
    base, found = compile_variants(study(*lines))
    assert [one.variant.title for one in found] == ["A, steps 2", "A, steps 4", "B, steps 2", "B, steps 4"]
    networks = [one.compilations[0].result() for one in found]
    assert [network.settings.join.kind for network in networks] == ["AND", "AND", "ADD", "ADD"]
    assert [network.settings.steps for network in networks] == [2, 4, 2, 4]
    assert [network.recipe.optimizer.lr for network in networks if network.recipe] == [0.1, 0.1, 0.01, 0.01]
    assert base.result().settings.steps == 4


def test_values_in_quotes_and_with_arguments() -> None:
    lines = ["vary neuron.surrogate ATan(alpha=3.0) Rectangular", 'vary block "SEW Block" "SEW Block (g=IAND)"']
    _, found = compile_variants(study(*lines))
    networks = [one.compilations[0].result() for one in found]
    assert [str(network.settings.neuron.surrogate) for network in networks] == [  # type: ignore[union-attr]
        *["ATan(alpha=3.0, scale=1.0)"] * 2,
        *["Rectangular(width=1.0)"] * 2,
    ]
    joins = [{node.op.kind for node in network} & {"ADD", "IAND"} for network in networks]
    assert joins == [{"ADD"}, {"IAND"}, {"ADD"}, {"IAND"}]


def test_seeds_are_no_variants() -> None:
    _, found = compile_variants(study("vary join ADD AND", "vary seed 3 5"))
    assert [one.variant.title for one in found] == ["join ADD", "join AND"]
    seeds = [[c.result().recipe.seed for c in one.compilations] for one in found]  # type: ignore[union-attr]
    assert seeds == [[3, 5], [3, 5]]
    _, once = compile_variants(study("vary join ADD AND", "vary seed 3 5"), seeded=False)
    assert [len(one.compilations) for one in once] == [1, 1]


def test_only_seeds() -> None:
    _, found = compile_variants(study("vary train.seed 0 1"))
    assert [(one.variant.title, len(one.compilations)) for one in found] == [("as written", 2)]


def test_what_a_file_expects_is_of_its_own_network() -> None:
    base, found = compile_variants(study('variant "wide" "body=c64k3-BN-SN-FC10"'))
    assert base.valid
    assert found[0].compilations[0].valid
    wrong, none = compile_variants(Source("s.net", study("vary steps 2").text.replace("7663", "1")))
    assert [d.code for d in wrong.diagnostics] == ["expectation-failed"]
    assert none == ()


def test_overrides_lie_beneath() -> None:
    _, found = compile_variants(study("vary steps 2 3"), set={"steps": 9, "join": "IAND"})
    assert [one.compilations[0].result().settings.steps for one in found] == [2, 3]
    assert {one.compilations[0].result().settings.join.kind for one in found} == {"IAND"}


def test_a_run_of_a_variant_is_a_file_without_study() -> None:
    _, found = compile_variants(study('variant "B" "block=Spiking Block"', "vary seed 4"))
    text = found[0].compilations[0].standalone_text()
    assert "study" not in text
    assert "SEW Block" not in text.partition("body")[2]
    again = read(Source("spec.net", text))
    assert again.result().total_parameters == found[0].compilations[0].result().total_parameters


def test_used_files_keep_their_study_to_themselves() -> None:
    assert read("table-4").study.variants
    text = 'sewdsl 1\nuse "table-4.net"\nbody c8k3-BN-SN-FC10\n'
    found = read(Source("x.net", text))
    assert found.study.variants == ()


SEVERAL = [
    ("vary join ADD XOR", (15, 19, "invalid-argument")),
    ("vary join ADD IF", (15, 19, "invalid-argument")),
    ("vary jion ADD AND", (15, 10, "unknown-setting")),
    ("vary steps 2 0", (15, 18, "invalid-argument")),
    ('vary body "c8k3-XX-FC10"', (15, 21, "unknown-name")),
    ('variant "A" "join=XOR"', (15, 23, "invalid-argument")),
    ('variant "A" "train.epoch=3"', (15, 30, "unknown-setting")),
    ("vary tau 2 3", (15, 10, "unknown-setting")),
    ("vary train.learning_rate 2 3", (15, 30, "unknown-setting")),
    ("vary train.lr none 3", (15, 24, "invalid-argument")),
    ("vary neuron.taux 2 3", (15, 22, "unknown-argument")),
    ('vary block "Spiky Block"', (15, 17, "unknown-name")),
]


@pytest.mark.parametrize(("line", "where"), SEVERAL)
def test_a_wrong_value_is_said_where_it_stands(line: str, where: tuple[int, int, str]) -> None:
    base, _ = compile_variants(study(line))
    assert [(d.span.line, d.span.column, d.code) for d in base.diagnostics] == [where]
    assert base.diagnostics[0].span.source.name == "s.net"


@pytest.mark.parametrize("key", ["encode", "steps", "train.batch"])
def test_each_wrong_value_is_said(key: str) -> None:
    base, _ = compile_variants(study(f"vary {key} -1 -2"))
    assert [d.span.text for d in base.diagnostics] == ["-1", "-2"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("vary seed 0-2", "seed must be a non-negative integer, got '-2'"),
        ("vary seed 1.5", "seed must be a non-negative integer, got '1.5'"),
        ("vary seed two", "seed must be a non-negative integer, got 'two'"),
    ],
)
def test_seeds_are_numbers_from_zero(line: str, message: str) -> None:
    (said,) = read(study(line)).diagnostics
    assert said.message == message
    check_words(said.help)


@pytest.mark.parametrize(
    ("line", "column", "code"),
    [
        ("vary join", 5, "missing-argument"),
        ("vary 3 4", 10, "invalid-argument"),
        ("vary join ADD ADD", 19, "duplicate-argument"),
        ("vari join ADD", 5, "unknown-setting"),
        ("variant A", 5, "invalid-argument"),
        ('variant ""', 5, "invalid-argument"),
        ('variant "A" "join"', 18, "invalid-argument"),
        ('variant "A" join', 5, "invalid-argument"),
        ('variant "A" "steps=2" "join=AND" " steps =4"', 39, "duplicate-setting"),
    ],
)
def test_mistakes_in_the_section(line: str, column: int, code: str) -> None:
    found: Compilation = read(study(line))
    assert [(d.span.line, d.span.column, d.code) for d in found.diagnostics] == [(15, column, code)]


def test_twice() -> None:
    found = read(
        study("vary join ADD", "vary join AND", "vary seed 1", "vary train.seed 2", 'variant "A"', 'variant "A"')
    )
    assert [(d.span.line, d.code) for d in found.diagnostics] == [(line, "duplicate-setting") for line in (16, 18, 20)]


def test_on() -> None:
    text = study("vary steps 2").text.replace("study {", "study on digits {")
    assert [d.code for d in read(Source("s.net", text)).diagnostics] == ["unexpected-token"]


def test_too_many() -> None:
    numbers = " ".join(map(str, range(1, 102)))
    found = read(study(f"vary steps {numbers}", f"vary train.batch {numbers}"))
    assert [d.message for d in found.diagnostics] == ["the study has 10,201 runs; the limit is 10,000"]


def test_a_variant_that_is_no_network_names_itself() -> None:
    base, _ = compile_variants(study('variant "deep" "body=c8k3-BN-SN-{MPk2s2}*6-FC10"', 'variant "flat" "steps=2"'))
    (said,) = base.diagnostics
    assert (said.code, said.path[0]) == ("spatial-size-exhausted", "deep")


SEARCH = "search TPE(trials=3)"


@pytest.mark.parametrize(
    ("lines", "line", "column", "code", "said"),
    [
        (["vary train.optimizer.lr log 1e-4 0.1"], 15, 5, "missing-argument", "has no 'search' line"),
        (["vary steps log 0 4", SEARCH], 15, 20, "invalid-argument", "must start above 0, got 0"),
        (["vary steps linear 8 2", SEARCH], 15, 23, "invalid-argument", "must start below its end, got 8 to 2"),
        (["vary steps log 2", SEARCH], 15, 5, "invalid-argument", "requires two numbers"),
        (["vary steps log a 4", SEARCH], 15, 20, "invalid-argument", "requires two numbers"),
        (["vary seed linear 1 4", SEARCH], 15, 5, "invalid-argument", "'vary seed' does not support ranges"),
        (["vary steps linear 2 4", "search tpe(trials=3)"], 16, 12, "unknown-name", "unknown search method 'tpe'"),
        (["vary steps linear 2 4", "search TPE"], 16, 12, "missing-argument", "'TPE' requires 'trials'"),
        (["vary steps linear 2 4", "search TPE(3)"], 16, 16, "unknown-argument", "'TPE' has no argument '3'"),
        (["vary steps linear 2 4", "search TPE(trial=3)"], 16, 22, "unknown-argument", "no argument 'trial'"),
        (["vary steps linear 2 4", "search TPE(trials=0)"], 16, 23, "invalid-argument", "'trials' of 'TPE'"),
        (["vary steps linear 2 4", "search TPE(trials=3, prune=soon)"], 16, 32, "invalid-argument", "'prune' of 'TPE'"),
        (
            ["vary steps linear 2 4", "search TPE(trials=3, trials=4)"],
            16,
            26,
            "duplicate-argument",
            "duplicate argument 'trials'",
        ),
        (["vary steps linear 2 4", SEARCH, SEARCH], 17, 5, "duplicate-setting", "duplicate 'search'"),
        ([SEARCH], 15, 5, "missing-argument", "'search' requires a 'vary' or 'variant' line"),
        (
            ["vary steps linear 2 4", SEARCH, "probe rates"],
            16,
            5,
            "invalid-argument",
            "'search' and 'probe' cannot be combined",
        ),
        (
            ["vary steps linear 2 4", "search TPE(trials=9999)", "vary seed 0 1"],
            14,
            1,
            "invalid-argument",
            "19,998 runs",
        ),
    ],
)
def test_mistakes_in_a_search(lines: list[str], line: int, column: int, code: str, said: str) -> None:
    (found,) = read(study(*lines)).diagnostics
    assert (found.span.line, found.span.column, found.code) == (line, column, code)
    assert said in found.message
    assert found.help or "must be" in found.message


def test_the_fix_of_a_range_adds_a_search() -> None:
    source = study("vary train.optimizer.lr log 1e-4 0.1", "vary seed 0 1")
    (said,) = read(source).diagnostics
    (edit,) = said.fixes[0].edits
    fixed = source.text[: edit.span.start] + edit.text + source.text[edit.span.end :]
    base, _ = compile_variants(Source("s.net", fixed))
    assert base.valid, base.diagnostics
    assert str(base.study.search) == "TPE(trials=20)"
    assert base.study.numbers == (0, 1)


def test_a_range_is_of_whole_numbers_where_its_key_is() -> None:
    lines = [
        "vary steps linear 2 8",
        "vary neuron.tau linear 2 4",
        "vary train.clip linear 1 4",
        "vary train.batch log 16 64",
    ]
    source = study(*lines, "search Random(trials=5)").text.replace("expect parameters 7663\n", "")
    base, found = compile_variants(Source("s.net", source.replace("neuron PLIF", "neuron LIF")))
    assert base.valid, base.diagnostics
    assert [axis.is_integer for axis in base.study.axes if isinstance(axis, StudyRange)] == [True, False, False, True]
    assert [one.variant.labels["steps"] for one in found] == ["2", "8"]  # the bounds are compiled beforehand
    values = {"steps": "3", "neuron.tau": "2.5", "train.clip": "1.25", "train.batch": "20"}
    trial = compile_trial(base, 4, values)
    assert trial.variant.title == "trial 4, steps 3, neuron.tau 2.5, train.clip 1.25, train.batch 20"
    network = trial.compilations[0].result()
    assert network.settings.steps == 3
    assert network.recipe is not None
    assert (network.recipe.clip, network.recipe.batch) == (1.25, 20)


def test_a_wrong_bound_is_said_where_it_is() -> None:
    base, _ = compile_variants(study("vary train.optimizer.lr linear -1 1", SEARCH))
    (said,) = base.diagnostics
    assert (said.span.line, said.span.column, said.code) == (15, 36, "invalid-argument")


def test_numbers_have_few_digits_and_stay_in_range() -> None:
    base, _ = compile_variants(study("vary train.optimizer.lr log 0.00012345 0.1", SEARCH))
    (axis,) = base.study.axes
    assert isinstance(axis, StudyRange)
    assert [axis.text(x) for x in (0.00012345, 0.0123456, 0.1)] == ["0.00012345", "0.01235", "0.1"]


def test_listed_words_are_no_range() -> None:
    base, _ = compile_variants(study('vary init "default" "kaiming"', "vary train.batch 4 8"))
    assert base.study.search is None
    assert len(base.study.variants) == 4
