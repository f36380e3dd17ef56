"""Code actions for diagnostics."""

from lsprotocol.types import CodeActionKind, Position, Range

from sewdsl.editing import compile_for_editor
from sewdsl.lsp.convert import MAX_ACTIONS, answer_code_actions, fix_all_action
from sewdsl.lsp.open_documents import OpenDocument

PASTED = "sewdsl 1\ninput 2x9x9\nneuron IF\nbody c4k3–BN-IF−PLIFMPk2–FC2\n"


def test_of_very_many_fixes_the_first_are_offered() -> None:
    document = OpenDocument(
        "x", compile_for_editor(f"sewdsl 1\ninput 2x9x9\nbody {'BN–' * (MAX_ACTIONS + 800)}BN\n", "x.net")
    )
    offered = answer_code_actions(document, Range(Position(2, 0), Position(2, 9999)))
    assert len(offered) == MAX_ACTIONS
    assert offered[0].edit is not None


def test_all_that_has_one_reading_is_mended_at_once() -> None:
    (action,) = fix_all_action(OpenDocument("x", compile_for_editor(PASTED, "x.net")))
    assert action.kind == CodeActionKind.SourceFixAll
    assert action.edit is not None
    assert action.edit.changes is not None
    (edit,) = action.edit.changes["x"]
    assert (edit.range.start, edit.range.end) == (Position(0, 0), Position(4, 0))
    assert edit.new_text == PASTED.replace("–", "-").replace("−", "-").replace("PLIFMP", "PLIF-MP")


def test_where_nothing_has_one_reading_nothing_is_offered() -> None:
    assert fix_all_action(OpenDocument("x", compile_for_editor("sewdsl 1\ninput 2x9x9\nbody q\n", "x.net"))) == []
