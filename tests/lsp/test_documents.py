"""Cached texts and files of the server, and their expiry."""

from pathlib import Path

import pytest
from lsprotocol import types as lsp
from pygls.workspace import Workspace

from sewdsl.lsp.open_documents import Documents, UnreadError
from tests.systems import make_link

LIBRARY = "sewdsl 1\nneuron IF\nblock Mine(c) = c$(c)k3-BN-SN\n"
NET = 'sewdsl 1\nuse "lib.net"\ninput 2x9x9\nbody Mine (c16)\n'


def opened(folder: Path, *names: str) -> tuple[Workspace, Documents]:
    """A project of three files, some of which are open."""
    for name, text in (("lib.net", LIBRARY), ("a.net", NET), ("b.net", NET), ("pyproject.toml", "")):
        (folder / name).write_text(text)
    workspace = Workspace(folder.as_uri(), lsp.TextDocumentSyncKind.Full)
    for name in names:
        text = (folder / name).read_text()
        workspace.put_text_document(lsp.TextDocumentItem((folder / name).as_uri(), "sewdsl", 1, text))
    return workspace, Documents(workspace)


def change(workspace: Workspace, file: Path, text: str) -> None:
    name = lsp.VersionedTextDocumentIdentifier(uri=file.as_uri(), version=2)
    workspace.update_text_document(name, lsp.TextDocumentContentChangeWholeDocument(text))


def test_nothing_is_read_twice(tmp_path: Path) -> None:
    _, documents = opened(tmp_path, "a.net")
    uri = (tmp_path / "a.net").as_uri()
    beside = list(documents.read_project(uri))
    assert [each.uri.rsplit("/")[-1] for each in beside] == ["a.net", "b.net", "lib.net"]
    assert [id(each) for each in documents.around(uri, ["Mine"])] == [id(each) for each in beside]
    assert list(documents.read_project(uri)) == []


def test_used_files_are_found_wherever_they_lie(tmp_path: Path) -> None:
    workspace, documents = opened(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/between.net").write_text('sewdsl 1\nuse "lib.net"\n')
    (tmp_path / ".hidden/lib.net").write_text(LIBRARY)
    uri = (tmp_path / "c.net").as_uri()
    text = NET.replace("lib.net", ".hidden/between.net")
    workspace.put_text_document(lsp.TextDocumentItem(uri, "sewdsl", 1, text))
    assert (tmp_path / ".hidden/lib.net").as_uri() in [each.uri for each in documents.around(uri, ["Mine"])]


def test_files_without_the_word_are_left_out(tmp_path: Path) -> None:
    _, documents = opened(tmp_path, "a.net")
    (tmp_path / "b.net").write_text("sewdsl 1\n")
    assert len(list(documents.around((tmp_path / "a.net").as_uri(), ["Mine"]))) == 2


@pytest.mark.parametrize("through", ["editor", "disk", "deletion"])
def test_what_uses_a_changed_file_is_read_again(tmp_path: Path, through: str) -> None:
    workspace, documents = opened(tmp_path, "a.net", *["lib.net"] * (through == "editor"))
    uri, library = (tmp_path / "a.net").as_uri(), tmp_path / "lib.net"
    before = list(documents.around(uri, ["Mine"]))
    if through == "editor":
        change(workspace, library, LIBRARY.replace("BN", "BN-BN"))
    elif through == "disk":
        library.write_text(LIBRARY.replace("BN", "BN-BN"))
    else:
        library.unlink()
    after = {each.uri: each for each in documents.around(uri, ["Mine"])}
    assert all(after[each.uri] is not each for each in before if each.uri in after)
    assert {uri, (tmp_path / "b.net").as_uri()} <= set(after)


@pytest.mark.parametrize("name", ["a b.net", "100%.net", "a%20b.net", "ü;#?.net"])
def test_names_that_a_uri_writes_otherwise(tmp_path: Path, name: str) -> None:
    workspace, documents = opened(tmp_path)
    uri = (tmp_path / name).as_uri()
    workspace.put_text_document(lsp.TextDocumentItem(uri, "sewdsl", 1, NET))
    assert documents[uri].view.file == tmp_path / name
    assert "Mine" in documents[uri].view.vocabulary.own


@pytest.mark.parametrize(
    "uri",
    ["untitled:Untitled-1", "file:///a%00b.net", "file:", "", "git:/a.net?x", "\u2028", f"file:///{'a' * 300}/b.net"],
)
def test_names_of_no_file(tmp_path: Path, uri: str) -> None:
    workspace, documents = opened(tmp_path)
    assert documents[uri].view.source.text == ""
    workspace.put_text_document(lsp.TextDocumentItem(uri, "sewdsl", 1, NET))
    assert documents[uri].view.file is None
    assert documents[uri].view.compilation.diagnostics[0].code == "use-not-found"
    assert list(documents.read_project(uri)) == []


def test_a_link_to_itself_is_no_file(tmp_path: Path) -> None:
    workspace, documents = opened(tmp_path)
    make_link(tmp_path / "c.net", "c.net")
    uri = (tmp_path / "c.net").as_uri()
    workspace.put_text_document(lsp.TextDocumentItem(uri, "sewdsl", 1, NET))
    assert documents[uri].view.file is None
    assert list(documents.read_project(uri)) == []
    workspace.remove_text_document(uri)
    documents.forget(uri)
    (tmp_path / "c.net").unlink()
    workspace.put_text_document(lsp.TextDocumentItem(uri, "sewdsl", 1, NET))
    assert documents[uri].view.file == tmp_path / "c.net"


def test_a_project_that_takes_too_long_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, documents = opened(tmp_path, "a.net")
    uri = (tmp_path / "a.net").as_uri()
    monkeypatch.setattr("sewdsl.lsp.open_documents.MAX_SEARCH", 0)
    with pytest.raises(UnreadError):
        list(documents.around(uri, ["Mine"]))
    assert [each.uri for each in documents.read_project(uri)] == [uri]


def test_of_very_large_projects_little_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, documents = opened(tmp_path, "a.net")
    uri = (tmp_path / "a.net").as_uri()
    monkeypatch.setattr("sewdsl.lsp.open_documents.MAX_KEPT", len(NET))
    for text in (NET, f"{NET}# longer\n", NET):
        (tmp_path / "b.net").write_text(text)
        found = list(documents.around(uri, ["Mine"]))
        assert [each.uri.rsplit("/")[-1] for each in found] == ["a.net", "b.net", "lib.net"]
        assert documents._kept == sum(len(known.document.view.source.text) for known in documents._saved.values())
        assert documents._kept <= len(NET)


def test_a_closed_file_that_is_no_text(tmp_path: Path) -> None:
    _, documents = opened(tmp_path)
    (tmp_path / "c.net").write_bytes(b"\xff\xfe")
    assert documents[(tmp_path / "c.net").as_uri()].view.source.text == ""


def test_a_text_that_is_closed_while_its_project_is_read(tmp_path: Path) -> None:
    workspace, documents = opened(tmp_path, "a.net")
    uri = (tmp_path / "a.net").as_uri()
    project = documents.read_project(uri)
    first = next(project)
    workspace.remove_text_document(uri)
    documents.forget(uri)
    assert [each.uri.rsplit("/")[-1] for each in (first, *project)] == ["a.net", "b.net", "lib.net"]
