"""Expressions that differ in numbers only, as one."""

from __future__ import annotations

from functools import partial

import pytest

from sewdsl.exchange.write.source.expressions import (
    WIDTH,
    Arg,
    Code,
    Copies,
    CopySequence,
    Literal,
    PyCall,
    format_statement,
    merge_copies,
    one_line,
    strip_numbers,
)


def conv(before: object, after: object = 4, stride: object = 1) -> PyCall:
    return PyCall(
        "Conv",
        (
            Arg("before", Literal(before), positional=True),
            Arg("after", Literal(after), positional=True),
            Arg("stride", Literal(stride), 1, positional=True),
            Arg("bias", Literal(value=True), default=True),
        ),
    )


def test_values_that_go_together_are_one_variable() -> None:
    assert (
        one_line(merge_copies([conv(2, 2), conv(4, 4), conv(8, 8)]))
        == "repeat(Conv(before, before) for before in (2, 4, 8))"
    )


def test_many_values_that_are_the_same_are_counted() -> None:
    assert one_line(merge_copies([conv(2), *[conv(4)] * 5])) == "repeat(Conv(before, 4) for before in (2, *[4] * 5))"


def test_values_that_do_not_are_several() -> None:
    made = merge_copies([conv(2, 3), conv(3, 5), conv(5, 5, 2)])
    loop = "for before, after, stride in ((2, 3, 1), (3, 5, 1), (5, 5, 2))"
    assert one_line(made) == f"repeat(Conv(before, after, stride) {loop})"


def test_copies_in_copies_have_variables_of_their_own() -> None:
    inner = [merge_copies([conv(2), conv(3)]), merge_copies([conv(4), conv(5)])]
    (run,) = merge_copies(inner).runs
    assert run.names == ("before_2", "before_3")
    assert one_line(run.body) == "repeat(Conv(before, 4) for before in (before_2, before_3))"


def test_variables_that_are_taken() -> None:
    assert one_line(merge_copies([conv(2), conv(3)], {"before"})) == "repeat(Conv(before_2, 4) for before_2 in (2, 3))"


def test_copies_of_different_layers_are_listed() -> None:
    other = PyCall("IF")
    expected = "repeat([*(Conv(before, 4) for before in (2, 4)), IF(), *(Conv(4, 4) for _ in range(2))])"
    assert one_line(merge_copies([conv(2), conv(4), other, conv(4), conv(4)])) == expected


def test_values_from_elsewhere_are_not_numbers() -> None:
    def made(*values: object) -> Copies:
        return Copies((CopySequence(conv(Code("n")), 2, ("n",), tuple((Literal(value),) for value in values)),))

    assert strip_numbers(made(1, 2)) == strip_numbers(made(3, 4))
    assert strip_numbers(made(Code("m"), 2)) != strip_numbers(made(2, Code("m")))
    assert strip_numbers(conv(Code("m"))) != strip_numbers(conv(Code("n")))


def test_an_argument_behind_one_that_is_left_out_has_its_name() -> None:
    call = PyCall("Pool", (Arg("stride", Literal(1), 1, positional=True), Arg("padding", Literal(2), positional=True)))
    assert one_line(call) == "Pool(padding=2)"


def test_what_is_too_long_is_broken_at_every_argument() -> None:
    long = PyCall("layers", tuple(Arg(f"conv{i}", conv(1000 + i)) for i in range(5)))
    assert format_statement("self.branch = ", long, 8) == [
        "        self.branch = layers(",
        *(f"            conv{i}=Conv({1000 + i}, 4)," for i in range(5)),
        "        )",
    ]


@pytest.mark.parametrize(
    "calls",
    [
        [conv(1000 + i) for i in range(20)],
        [*(conv(1000 + i) for i in range(20)), PyCall("IF"), *(conv(i, 2 * i) for i in range(2, 30))],
        [conv("a" * 90), conv("b" * 90, 3), PyCall("Conv", (Arg("before", Literal("c" * 90)),))],
    ],
)
def test_long_copies_are_the_separate_calls(calls: list[PyCall]) -> None:
    lines = format_statement("", merge_copies(calls), 0)
    assert all(len(line) <= WIDTH or '"' in line for line in lines)
    scope = {name: partial(call_text, name) for name in ("Conv", "IF")} | {"repeat": list}
    assert eval("\n".join(lines), scope) == [eval(one_line(call), scope) for call in calls]  # noqa: S307


def call_text(*arguments: object, **named: object) -> str:
    return f"{arguments} {named}"
