"""Answers and rejections of the server of the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from sewdsl.cli.app import app as cli
from sewdsl.compiler import shipped_networks
from sewdsl.serve.answers import markdown_to_html
from sewdsl.serve.app import MAX_BODY, LivePage, app
from sewdsl.serve.folder import ServedFolder
from sewdsl.serve.pool import WorkerPool
from tests.systems import make_link

NET = 'sewdsl 1\nuse "lib.net"\ninput 2x16x16\nsteps 4\nbody c8k3-BN-PLIF-{Mine-MPk2}*3-FC5\n'
LIBRARY = "sewdsl 1\nblock Mine(c=in) = ADD[c$(c)k3-BN-SN | id]\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with a folder that is served, and files next to it."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "secret.net").write_text("sewdsl 1\nblock Secret(c) = c$(c)k3\n")
    served = tmp_path / "served"
    (served / "deep").mkdir(parents=True)
    (served / "a.net").write_text(NET)
    (served / "lib.net").write_text(LIBRARY)
    (served / "deep" / "b.net").write_text(NET.replace("lib", "../lib"))
    (served / "note.txt").write_text("mine")
    make_link(served / "link.net", tmp_path / "secret.net")
    return served


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[LivePage, TestClient]]:
    """A server, whose processes answer all tests; each test has a folder of its own."""
    site = LivePage(ServedFolder(Path()), NET, "a.net")
    with TestClient(app(site, ["localhost"], WorkerPool(30)), base_url="http://localhost") as client:
        yield site, client


@pytest.fixture
def client(served: tuple[LivePage, TestClient], home: Path) -> TestClient:
    site, client = served
    site.folder = ServedFolder(home, home / "a.net")
    return client


def ask(client: TestClient, what: str, **asked: Any) -> Any:
    response = client.post(f"/api/{what}", json={"text": NET, "name": "a.net", **asked})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_look(client: TestClient) -> None:
    found = ask(client, "look")
    assert (found["valid"], found["problems"]) == (True, [])
    assert found["summary"].startswith("a: 2,105 parameters")
    assert [hint["text"] for hint in found["hints"]] == ["8×16×16", "8×8×8 … 8×2×2", "5"]
    assert [row["path"] for row in found["table"]][:5] == ["input", "conv1", "bn1", "plif1", "repeat1.1.mine1"]
    assert sum(row["parameters"] for row in found["table"]) == int(found["summary"].split()[1].replace(",", ""))
    kinds = {NET[start:end]: kind for kind, start, end in found["tokens"]}
    assert (kinds["sewdsl"], kinds["body"], kinds["steps"], kinds["4"], kinds['"lib.net"']) == (
        "keyword", "keyword", "key", "number", "string",
    )  # fmt: skip


def test_what_does_not_fit_the_data_is_a_problem(client: TestClient) -> None:
    found = ask(client, "look", text=MISFIT)
    (problem,) = found["problems"]
    assert (problem["code"], problem["severity"], problem["line"]) == ("data-mismatch", "error", 3)
    assert not found["valid"], "as 'sewdsl check' says"
    assert found["summary"]
    assert found["table"]
    assert "svg" in ask(client, "picture", text=MISFIT)


MISFIT = "sewdsl 1\ninput 1x28x28\nbody c4k3-BN-IF-FC9\ntrain on mnist5k {\n    optimizer Adam(lr=0.01)\n}\n"


@pytest.mark.parametrize(
    "text",
    [
        NET,
        LIBRARY,
        MISFIT,
        MISFIT.replace("FC9", "FC10"),
        MISFIT.replace("mnist5k", "mnist"),
        f"{MISFIT}study {{\n    probe rates\n}}\n",
        MISFIT.replace("IF", "IFF"),
    ],
)
def test_the_verdict_is_that_of_check(client: TestClient, home: Path, text: str) -> None:
    (home / "a.net").write_text(text)
    checked = json.loads(CliRunner().invoke(cli, ["check", "--json", str(home / "a.net")]).stdout)
    found = ask(client, "look", text=text)
    assert found["valid"] == checked["valid"]
    assert {p["code"] for p in found["problems"]} == {d["code"] for d in checked["diagnostics"]}


def test_problems_and_fixes(client: TestClient) -> None:
    text = NET.replace("BN-PLIF", "BNPLIF")
    found = ask(client, "look", text=text)
    (problem,) = found["problems"]
    assert (problem["code"], problem["severity"], problem["line"]) == ("missing-hyphen", "error", 5)
    ((start, end, insert),) = problem["fixes"][0]["edits"]
    assert text[:start] + insert + text[end:] == NET
    assert found["table"] is None
    assert ask(client, "picture", text=text) == {"error": "there is no network to draw"}


def test_pictures(client: TestClient) -> None:
    folded = ask(client, "picture")["svg"]
    assert folded.count("PLIF</text>") == 2
    assert 'id="fold:repeat1"' in folded
    unfolded = ask(client, "picture", unfolded=["repeat1"])["svg"]
    assert unfolded.count("PLIF</text>") == 4
    assert "fold:" not in unfolded
    right = ask(client, "picture", direction="LR")["svg"]
    sizes = [svg.split('viewBox="')[1].split('"')[0].split() for svg in (folded, right)]
    assert [float(width) > float(height) for _, _, width, height in sizes] == [False, True]


def test_words_at_a_place(client: TestClient) -> None:
    said = ask(client, "hover", at=NET.index("c8k3"))
    assert "<code>[8, 16, 16] real</code>" in said["html"]
    assert NET[said["start"] : said["end"]] == "c8k3"
    assert ask(client, "hover", at=0, text="") is None
    items = ask(client, "complete", at=NET.index("PLIF"))["items"]
    assert {"Mine", "SEW Block", "c"} <= {item["text"] for item in items}
    assert ask(client, "format")["text"].splitlines()[1] == 'use     "lib.net"'
    assert ask(client, "format", text="sewdsl 1\nbody {")["text"] is None
    assert "IAND" in ask(client, "explain", code="join-needs-spikes")["html"]


def test_markdown_holds_no_html(client: TestClient) -> None:
    text = "sewdsl 1\nblock My(c) = c$(c)k3-\n# </code><script>\n  BN # <img>\ninput 2x8x8\nbody My (c3)-FC2\n"
    said = ask(client, "hover", at=text.index("My (c3)"), text=text)
    assert "&lt;script&gt;" in said["html"]
    assert "<script" not in said["html"]


def test_html_in_markdown_stays_text() -> None:
    assert markdown_to_html("a <img src=x onerror=y> `<b>` [c](javascript:d)") == (
        "<p>a &lt;img src=x onerror=y&gt; <code>&lt;b&gt;</code> [c](javascript:d)</p>\n"
    )


def test_source(client: TestClient) -> None:
    text = ask(client, "source")["text"]
    assert "import torch" in text
    compile(text, "x.py", "exec")
    response = client.post("/api/source", json={"text": "sewdsl 1\nbody BN\n"})
    assert (response.status_code, response.json()["error"]) == (409, "there is no network to export")


class TestFiles:
    def test_what_is_there(self, client: TestClient) -> None:
        found = ask(client, "start")
        assert found["files"] == ["a.net", "deep/b.net", "lib.net"]
        assert found["shipped"] == list(shipped_networks())
        assert (found["name"], found["saves"], found["text"]) == ("a.net", "a.net", NET)
        opened = ask(client, "open", name="lib.net")
        assert (opened["name"], opened["text"]) == ("lib.net", LIBRARY)
        assert "Tab. 5" in ask(client, "open", name="7b-net")["text"]

    @pytest.mark.parametrize(
        "name",
        [
            "../secret.net",
            "deep/../../secret.net",
            "link.net",
            "note.txt",
            "/etc/passwd",
            "x\0.net",
            "",
            "none.net",
            "deep",
            "loop.net",
            "large.net",
        ],
    )
    def test_what_is_not(self, client: TestClient, home: Path, name: str) -> None:
        make_link(home / "loop.net", home / "loop.net")
        (home / "large.net").write_text("# mine\n" * 50_000)
        response = client.post("/api/open", json={"name": name})
        assert response.status_code == 409
        assert "mine" not in response.text
        assert "Secret" not in response.text

    @pytest.mark.parametrize("use", ["../secret.net", "link.net", "deep/../../secret.net"])
    def test_nothing_outside_is_used(self, client: TestClient, use: str) -> None:
        """The project would allow it, but only its folder is served."""
        found = ask(client, "look", text=NET.replace("lib.net", use))
        assert "use-outside-project" in [problem["code"] for problem in found["problems"]]

    def test_a_file_in_a_folder_below_uses_one_above(self, client: TestClient) -> None:
        assert ask(client, "look", name="deep/b.net", text=NET.replace("lib", "../lib"))["valid"]

    def test_a_name_that_is_none_of_its_files(self, client: TestClient) -> None:
        assert ask(client, "look", name="../../x.net")["valid"]
        shipped_text = shipped_networks()["sew-resnet-18"].read_text(encoding="utf-8")
        assert 'use     "imagenet.net"' in shipped_text
        assert ask(client, "look", name="sew-resnet-18", text=shipped_text)["valid"]
        assert not ask(client, "look", name="lib.net", text=shipped_text)["valid"]
        outside = 'sewdsl 1\nuse "../pyproject.toml"\nbody BN\n'
        problems = ask(client, "look", name="sew-resnet-18", text=outside)["problems"]
        assert "use-outside-project" in [problem["code"] for problem in problems]

    def test_save(self, client: TestClient, home: Path) -> None:
        mark = ask(client, "start")["mark"]
        saved = ask(client, "save", text="sewdsl 1\n", mark=mark)
        assert (saved["name"], saved["text"]) == ("a.net", "sewdsl 1\n")
        assert (home / "a.net").read_text() == "sewdsl 1\n"
        assert ask(client, "start")["text"] == "sewdsl 1\n"
        assert sorted(path.name for path in home.iterdir()) == ["a.net", "deep", "lib.net", "link.net", "note.txt"]

    def test_what_something_else_has_changed_is_not_lost(self, client: TestClient, home: Path) -> None:
        mark = ask(client, "start")["mark"]
        (home / "a.net").write_text("changed elsewhere")
        response = client.post("/api/save", json={"text": "mine", "mark": mark})
        assert (response.status_code, response.json()["changed"]) == (409, True)
        assert (home / "a.net").read_text() == "changed elsewhere"
        ask(client, "save", text="mine", mark=mark, anyway=True)
        assert (home / "a.net").read_text() == "mine"
        for text in ({}, {"text": None}, {"text": 5}):
            assert client.post("/api/save", json=text).status_code == 409
        assert (home / "a.net").read_text() == "mine"

    def test_what_cannot_be_saved(self, client: TestClient, home: Path) -> None:
        (home / "a.net").unlink()
        (home / "a.net").mkdir()
        response = client.post("/api/save", json={"text": "mine", "mark": None})
        assert response.status_code == 409
        assert response.json()["error"].startswith("cannot save 'a.net': ")

    def test_line_ends_and_permissions_stay(self, client: TestClient, home: Path) -> None:
        file = home / "a.net"
        file.write_bytes(b"\xef\xbb\xbfsewdsl 1\r\nsteps 4\r\n")
        file.chmod(0o600)
        opened = ask(client, "open", name="a.net")
        assert opened["text"] == "sewdsl 1\r\nsteps 4\r\n"
        ask(client, "save", text="sewdsl 1\nsteps 5\n", mark=opened["mark"])
        assert file.read_bytes() == b"\xef\xbb\xbfsewdsl 1\r\nsteps 5\r\n"
        assert file.stat().st_mode & 0o777 == 0o600

    def test_a_link_that_waits_for_a_save_is_not_followed(self, client: TestClient, home: Path) -> None:
        victim = home.parent / "victim"
        victim.write_text("mine")
        make_link(home / ".a.net.partial", victim)
        ask(client, "save", text="x", mark=ask(client, "start")["mark"])
        assert victim.read_text() == "mine"
        assert (home / "a.net").read_text() == "x"

    def test_nothing_to_save(self, client: TestClient, served: tuple[LivePage, TestClient], home: Path) -> None:
        served[0].folder = ServedFolder(home)
        response = client.post("/api/save", json={"text": "x"})
        assert (response.status_code, response.json()["error"]) == (
            409,
            "no file is open; download the text instead",
        )


class TestRefusals:
    def test_another_host(self, client: TestClient) -> None:
        """A page of somebody else's whose name leads here gets nothing."""
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.post("/api/start", json={}, headers={"host": "evil.example"}).status_code == 400
        for host in ("localhost:99", "127.0.0.1:8765", "[::1]:80", "192.168.0.7"):
            assert client.post("/api/start", json={}, headers={"host": host}).status_code == 200

    def test_a_form_of_another_page(self, client: TestClient) -> None:
        """Only a script of the page itself may send JSON."""
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            response = client.post("/api/save", content=b'{"text": "x"}', headers={"content-type": kind})
            assert response.status_code == 415

    @pytest.mark.parametrize("kind", ["Application/JSON", "application/json ; charset=utf-8", "APPLICATION/JSON"])
    def test_media_types_have_no_case(self, client: TestClient, kind: str) -> None:
        assert client.post("/api/start", content=b"{}", headers={"content-type": kind}).status_code == 200

    @pytest.mark.parametrize(
        ("content", "status"),
        [
            (b"[1]", 400),
            (b"{", 400),
            (b'{"text": "\\ud800"}', 400),
            (b"[" * 100_000, 400),
            (b" " * (MAX_BODY + 1), 413),
        ],
    )
    def test_what_is_no_request(self, client: TestClient, content: bytes, status: int) -> None:
        response = client.post("/api/look", content=content, headers={"content-type": "application/json"})
        assert response.status_code == status

    @pytest.mark.parametrize(
        "asked", [{"text": 5, "name": 7}, {"text": None}, {"at": "x"}, {"unfolded": 3, "direction": []}]
    )
    def test_odd_values(self, client: TestClient, asked: dict[str, Any]) -> None:
        for what in ("look", "picture", "hover", "complete", "format"):
            assert client.post(f"/api/{what}", json=asked).status_code == 200

    def test_large_networks(self, client: TestClient) -> None:
        text = "sewdsl 1\ninput 2x8x8\nbody {{BN-IF}*100}*2000-FC2\n"
        assert [problem["code"] for problem in ask(client, "look", text=text)["problems"]] == ["network-too-large"]
        long = ask(client, "look", text="# " + "x" * 300_000)
        assert [problem["code"] for problem in long["problems"]] == ["source-too-long"]
        dashes = ask(client, "look", text=f"sewdsl 1\ninput 2x9x9\nbody {'BN–' * 1000}q\n")
        assert (len(dashes["problems"]), dashes["more"], dashes["problems"][0]["code"]) == (200, 801, "unknown-name")
        many = "sewdsl 1\ninput 2x8x8\nbody {BN-IF}*2100-FC2\n"
        assert len(ask(client, "look", text=many)["table"]) == 2000
        assert ask(client, "picture", text=many)["svg"]
        assert "fold some" in ask(client, "picture", text=many, unfolded=["repeat1"])["error"]

    def test_the_page_loads_nothing_from_elsewhere(self, client: TestClient) -> None:
        response = client.get("/")
        for way in ("/", "/index.html", "/page.js"):
            policy = client.get(way).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
        assert "http" not in response.text.replace("http-equiv", "")
        for name in ("page.js", "page.css", "codemirror.js", "icon.svg"):
            assert client.get(f"/{name}").status_code == 200
        assert client.get("/../app.py").status_code == 404
        assert client.get("/%2e%2e/app.py").status_code == 404
