"""Editor features for neurons as equations, and for the names in their equations."""

import pytest

from sewdsl.editing import compile_for_editor
from sewdsl.editing.completion import complete
from sewdsl.editing.hover import hover
from sewdsl.editing.outline import outline
from sewdsl.editing.references import RenameProblem, find_definition, find_references, rename_edits
from tests.editing.marked import at_cursor
from tests.words import raises

TEXT = """\
sewdsl 1
input 2x8x8
neuron Half(keep=0.25)
neuron Half(keep=0.5) {
    learn w per channel = 1   state i = 0
    i = i + w*x
    h = keep*v + i
    s = fire(h - v_threshold)
    v = reset(h, s)   give s
}
neuron Two[top | bottom] { give top*relu(bottom) }
body c8k3-SN-c8k3-Half(keep=0.75)-FC2-ILIF-Two[ id | FC2 ]
"""


def marked(before: str, word: str) -> str:
    place = TEXT.index(word, TEXT.index(before))
    return f"{TEXT[:place]}‸{TEXT[place:]}"


def renamed(before: str, word: str, name: str) -> str:
    view, offset = at_cursor(marked(before, word))
    found = view.names.at(offset)
    assert found is not None
    text = view.source.text
    for edit in sorted(rename_edits([view], found, name), key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


@pytest.mark.parametrize(
    ("before", "word", "said"),
    [
        ("body", "Half", "h = keep*v + i"),
        ("body", "SN", "neuron"),
        ("body", "ILIF", "round(clip(h, 0, D))"),
        ("neuron Half(keep=0.5)", "Half", "Neuron defined by equations"),
        ("neuron Half(keep=0.5)", "keep", "A parameter of Half, default 0.5."),
        ("h = ", "keep", "A parameter of Half"),
        ("learn", "w", "learn w per channel = 1"),
        ("fire(", "h", "`h = keep*v + i`"),
        ("keep*v", "v", "Membrane potential"),
        ("fire(", "fire", "1 if u >= 0"),
        ("learn", "learn", "its initial value"),
        ("learn", "channel", "A learnable value per channel"),
        ("body", "keep", "Parameter of the equations"),
        ("body", "Two", "give top*relu(bottom)"),
        ("neuron Two", "bottom", "An input of Two."),
        ("relu(", "bottom", "An input of Two."),
    ],
)  # fmt: skip
def test_hover(before: str, word: str, said: str) -> None:
    found = hover(*at_cursor(marked(before, word)))
    assert found is not None
    assert said in found.text


@pytest.mark.parametrize(("before", "word", "line"), [("body", "Half", 4), ("fire(", "h", 7), ("body", "keep", 4)])
def test_definition(before: str, word: str, line: int) -> None:
    found = find_definition(*at_cursor(marked(before, word)))
    assert found is not None
    assert found[0].line == line


def test_definition_in_the_library() -> None:
    found = find_definition(*at_cursor(marked("body", "ILIF")))
    assert found is not None
    span, path = found
    assert (span.text, path.name if path else "") == ("ILIF", "neurons.net")


@pytest.mark.parametrize(
    ("before", "word"),
    [
        *(("body", "Half"), ("neuron Half(keep=0.5)", "Half"), ("fire(", "h"), ("body", "keep")),
        *(("body", "Two"), ("neuron Two", "bottom"), ("relu(", "bottom")),
    ],
)
def test_rename(before: str, word: str) -> None:
    """The text means the same under another name, and the name is gone."""
    text = renamed(before, word, "other")
    view, back = compile_for_editor(text, "x.net"), compile_for_editor(TEXT, "x.net")
    assert view.compilation.valid
    assert back.compilation.valid
    assert [node.output for node in view.compilation.result()] == [node.output for node in back.compilation.result()]
    before_renaming, offset = at_cursor(marked(before, word))
    use = before_renaming.names.at(offset)
    assert use is not None
    assert text.count("other") == len([*find_references([back], use)])


REFUSED = (
    ("body", "Half", "LIF"),
    ("body", "Half", "FC3"),
    ("body", "Half", "Two"),
    ("body", "Half", "a-b"),
    ("body", "ILIF", "Mine"),
    ("fire(", "h", "x"),
    ("fire(", "h", "i"),
    ("keep*v", "v", "u"),
)


@pytest.mark.parametrize(("before", "word", "name"), REFUSED)
def test_refused_names(before: str, word: str, name: str) -> None:
    with pytest.raises(RenameProblem):
        renamed(before, word, name)


def test_a_parameter_that_a_call_of_sn_sets_keeps_its_name() -> None:
    view, offset = at_cursor(marked("neuron Half(keep=0.5)", "keep").replace("-SN-", "-SN(keep=0.1)-"))
    found = view.names.at(offset)
    assert found is not None
    with raises(RenameProblem):
        rename_edits([view], found, "other")


@pytest.mark.parametrize(
    ("text", "proposed", "not_proposed"),
    [
        ("neuron A(tau=2) {\n    ‸", {"learn", "state", "give"}, {"exp(", "c"}),
        ("neuron A(tau=2) {\n    h = v + x   s = fire(‸", {"h", "tau", "x", "v_threshold", "exp("}, {"c", "SN"}),
        ("neuron A(tau=2) {\n    learn w ‸", {"per"}, {"exp("}),
        ("neuron A(tau=2) {\n    learn w per ‸", {"channel", "step"}, {"exp("}),
        ("neuron A { give relu(x) }\nbody c8-‸", {"A", "ILIF", "KLIF", "SN"}, set()),
        ("neuron A { give relu(x) }\nneuron ‸", {"A", "ILIF", "LIF"}, {"c"}),
        ("neuron A(tau=2) { give tau*relu(x) }\nneuron A(‸", {"tau=", "v_reset="}, set()),
        ("neuron A[top | z] { give top*z }\nbody c8-‸", {"A[", "ADD["}, {"A"}),
        ("neuron A[top | z] { give top*z }\nneuron ‸", {"LIF"}, {"A"}),
        ("neuron A(tau=2)[top | z] {\n    h = v + ‸", {"top", "z", "tau", "v"}, {"x"}),
    ],
)
def test_completion(text: str, proposed: set[str], not_proposed: set[str]) -> None:
    found = {each.text for each in complete(*at_cursor(f"sewdsl 1\n{text}")).proposals}
    assert proposed <= found
    assert not not_proposed & found


def test_outline() -> None:
    entry = next(each for each in outline(compile_for_editor(TEXT, "x.net")) if each.name == "Half")
    assert (entry.detail, [inner.name for inner in entry.children]) == ("keep", ["w", "i"])
