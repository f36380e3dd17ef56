"""Names of inputs in editors: they are found, proposed, explained and renamed like other values."""

from sewdsl.editing.completion import complete
from sewdsl.editing.hover import hover
from sewdsl.editing.references import find_references, rename_edits
from tests.editing.marked import at_cursor

TEXT = "sewdsl 1\ninput left 1x6x6\ninput right 1x6x6\nencode left direct\nbody CAT[ left-c4k3 | ‸right ]-GAP-FC2\n"


def test_a_name_is_renamed_everywhere() -> None:
    view, offset = at_cursor(TEXT.replace("‸", "").replace("[ left", "[ ‸left"))
    referent = view.names.at(offset)
    assert referent is not None
    assert len(list(find_references([view], referent))) == 3
    edits = rename_edits([view], referent, "eye")
    assert sorted(edit.span.line for edit in edits) == [2, 4, 5]


def test_names_are_proposed_and_explained() -> None:
    view, offset = at_cursor(TEXT)
    assert {"left", "right"} <= {proposal.text for proposal in complete(view, offset, ()).proposals}
    shown = hover(view, offset + 1)
    assert shown is not None
    assert "input right 1x6x6" in shown.text
