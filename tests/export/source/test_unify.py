"""Expressions that differ in numbers only, as one."""

from __future__ import annotations

from sewdsl.export.source.code import Arg, Call, Code, Copies, Literal, Run
from sewdsl.export.source.layout import flat, statement
from sewdsl.export.source.unify import copies, skeleton


def conv(before: object, after: object = 4, stride: object = 1) -> Call:
    return Call(
        "Conv",
        (
            Arg("before", Literal(before), positional=True),
            Arg("after", Literal(after), positional=True),
            Arg("stride", Literal(stride), 1, positional=True),
            Arg("bias", Literal(value=True), default=True),
        ),
    )


def test_values_that_go_together_are_one_variable() -> None:
    assert flat(copies([conv(2, 2), conv(4, 4), conv(8, 8)])) == "repeat(Conv(before, before) for before in (2, 4, 8))"


def test_many_values_that_are_the_same_are_counted() -> None:
    assert flat(copies([conv(2), *[conv(4)] * 5])) == "repeat(Conv(before, 4) for before in (2, *[4] * 5))"


def test_values_that_do_not_are_several() -> None:
    made = copies([conv(2, 3), conv(3, 5), conv(5, 5, 2)])
    loop = "for before, after, stride in ((2, 3, 1), (3, 5, 1), (5, 5, 2))"
    assert flat(made) == f"repeat(Conv(before, after, stride) {loop})"


def test_copies_in_copies_have_variables_of_their_own() -> None:
    inner = [copies([conv(2), conv(3)]), copies([conv(4), conv(5)])]
    (run,) = copies(inner).runs
    assert run.names == ("before_2", "before_3")
    assert flat(run.body) == "repeat(Conv(before, 4) for before in (before_2, before_3))"


def test_variables_that_are_taken() -> None:
    assert flat(copies([conv(2), conv(3)], {"before"})) == "repeat(Conv(before_2, 4) for before_2 in (2, 3))"


def test_copies_of_different_layers_are_listed() -> None:
    other = Call("IF")
    expected = "repeat([*(Conv(before, 4) for before in (2, 4)), IF(), *(Conv(4, 4) for _ in range(2))])"
    assert flat(copies([conv(2), conv(4), other, conv(4), conv(4)])) == expected


def test_values_from_elsewhere_are_not_numbers() -> None:
    def made(*values: object) -> Copies:
        return Copies((Run(conv(Code("n")), 2, ("n",), tuple((Literal(value),) for value in values)),))

    assert skeleton(made(1, 2)) == skeleton(made(3, 4))
    assert skeleton(made(Code("m"), 2)) != skeleton(made(2, Code("m")))
    assert skeleton(conv(Code("m"))) != skeleton(conv(Code("n")))


def test_an_argument_behind_one_that_is_left_out_has_its_name() -> None:
    call = Call("Pool", (Arg("stride", Literal(1), 1, positional=True), Arg("padding", Literal(2), positional=True)))
    assert flat(call) == "Pool(padding=2)"


def test_what_is_too_long_is_broken_at_every_argument() -> None:
    long = Call("layers", tuple(Arg(f"conv{i}", conv(1000 + i)) for i in range(5)))
    assert statement("self.branch = ", long, 8) == [
        "        self.branch = layers(",
        *(f"            conv{i}=Conv({1000 + i}, 4)," for i in range(5)),
        "        )",
    ]
