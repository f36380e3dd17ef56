"""The command line: exit codes, streams, formats. Train and eval have their own tests."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sewdsl import load
from sewdsl.cli.app import app
from sewdsl.resources import resource_folder
from tests.network_json import from_json
from tests.words import check_words

SEVEN = "c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11"
BROKEN = "c32k3s1-BNPLIF"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


class TestCheck:
    def test_valid(self) -> None:
        result = run("check", SEVEN, "--input", "2x128x128")
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == "network: valid; 130,938 parameters, 60 nodes\n"

    def test_invalid(self) -> None:
        result = run("check", BROKEN, "--input", "2x8x8")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines() == [
            "<string>:1:11: error[missing-hyphen]: missing '-' in 'BNPLIF'",
            "   1 | c32k3s1-BNPLIF",
            "     |           ^ expected '-' here",
            "   help: write 'BN-PLIF'",
            "<string>: invalid (1 error); 1 fixable with --fix",
        ]

    def test_not_more_than_can_be_read(self) -> None:
        result = run("check", "-".join(["c0k3"] * 300), "--input", "2x8x8")
        assert result.stderr.count("error[") == 200
        assert "… and 100 more; use --json for all" in result.stderr

    def test_the_way_is_printed(self) -> None:
        result = run("check", SEVEN.replace("*7", "*8"), "--input", "2x128x128")
        lines = result.stderr.splitlines()
        assert lines[0] == ("<string>:1:34: error[spatial-size-exhausted]: max pooling k2 s2 does not fit a 1x1 input")
        assert lines[2] == " " * 5 + "| " + " " * 33 + "^^^^^^ copy 8 of 8: input is [32, 1, 1]"
        assert lines[3] == "     in: body > copy 8 of 8 > MPk2s2"
        assert lines[4] == "   help: use *7, or a larger input"

    def test_a_recipe_that_does_not_fit_its_data(self) -> None:
        result = run("check", "mnist5k", "--set", "train.on=mnist5")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "error[unknown-name]: unknown dataset 'mnist5'" in result.stderr
        check_words(result.stderr)

    def test_a_variant_that_does_not_fit_its_data(self) -> None:
        text = """\
sewdsl 1
input 1x28x28
steps 4
encode direct
body  c8k3s2-BN-PLIF-GAP-FC10

train on mnist5k {
    optimizer Adam(lr=0.001)
}

study {
    vary encode direct none
}
"""
        result = run("check", "-", stdin=text)
        assert result.exit_code == 1
        assert result.stderr.count("error[data-mismatch]: dataset mnist5k has static samples") == 1

    def test_several_specs(self) -> None:
        result = run("check", "7b-net", "tiny", "blocks", "nonsense-net")
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "7B-Net: valid; 130,938 parameters, 60 nodes",
            "Tiny: valid; 822 parameters, 20 nodes",
            "blocks.net: valid; a library of 16 blocks",
        ]

    @pytest.mark.parametrize("flag", [["--json"], ["--format", "json"]])
    def test_json(self, flag: list[str]) -> None:
        result = run("check", BROKEN, "--input", "2x8x8", *flag)
        data = json.loads(result.stdout)
        (found,) = data["diagnostics"]
        assert data["valid"] is False
        assert (found["code"], found["line"], found["column"], found["end_column"]) == ("missing-hyphen", 1, 11, 11)
        assert found["fixes"][0]["edits"][0]["text"] == "-"
        assert result.stderr == ""

    def test_concise(self) -> None:
        result = run("check", BROKEN, "--input", "2x8x8", "--format", "concise")
        assert result.stdout.startswith("<string>:1:11: error[missing-hyphen]: ")
        assert len(result.stdout.splitlines()) == 1

    def test_annotations(self) -> None:
        result = run("check", BROKEN, "--input", "2x8x8", "--format", "github")
        assert result.stdout == (
            "::error file=<string>,line=1,col=11,endLine=1,endColumn=11,title=missing-hyphen::"
            "missing '-' in 'BNPLIF'%0Awrite 'BN-PLIF'\n"
        )

    def test_fix_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "x.net"
        file.write_text("sewdsl 1\ninput 2x8x8\nbody c4k3\u2013BNPLIF-{MPk2}*2FC3 # keep\n")
        file.chmod(0o640)
        result = run("check", "--fix", str(file))
        assert result.exit_code == 0
        assert file.read_text() == "sewdsl 1\ninput 2x8x8\nbody c4k3-BN-PLIF-{MPk2}*2-FC3 # keep\n"
        assert file.stat().st_mode & 0o777 == 0o640
        assert [p.name for p in tmp_path.iterdir()] == ["x.net"]

    def test_fix_leaves_what_is_only_likely(self, tmp_path: Path) -> None:
        file = tmp_path / "x.net"
        text = "sewdsl 1\ninput 2x8x8\nbody C4k3-BN-plif\n"
        file.write_text(text)
        assert run("check", "--fix", str(file)).exit_code == 1
        assert file.read_text() == text
        assert run("check", "--fix", "--unsafe-fixes", str(file)).exit_code == 0
        assert file.read_text() == "sewdsl 1\ninput 2x8x8\nbody c4k3-BN-PLIF\n"

    @pytest.mark.parametrize("line_end", ["\n", "\r\n"])
    def test_fix_makes_a_file_of_a_pasted_string(self, tmp_path: Path, line_end: str) -> None:
        file = tmp_path / "seven.net"
        file.write_bytes(f"# Tab. 5{line_end}{SEVEN}{line_end}".encode())
        result = run("check", "--fix", str(file))
        assert (result.exit_code, result.stderr.count("error["), "error[missing-input]" in result.stderr) == (
            1,
            1,
            True,
        )
        assert file.read_bytes() == f"sewdsl 1{line_end}# Tab. 5{line_end}body    {SEVEN}{line_end}".encode()
        assert run("check", str(file), "--input", "2x128x128").exit_code == 0

    @pytest.mark.parametrize(
        ("broken", "mended"),
        [
            ("BN" + "-" * 60, "BN"),
            ("BN" + "- " * 60, "BN" + " " * 60),
            ("{BN" + "-" * 60 + "}*2", "{BN}*2"),
            ("BN" + " ;" * 60, "BN" + " " * 60),
            ("ADD[BN--|id]-" * 60, "ADD[BN|id]-" * 59 + "ADD[BN|id]"),
        ],
    )
    def test_fix_fixes_all_at_once(self, tmp_path: Path, broken: str, mended: str) -> None:
        file = tmp_path / "x.net"
        file.write_text(f"sewdsl 1\ninput 2x8x8\nbody {broken}\n")
        assert run("check", "--fix", str(file)).exit_code == 0
        assert file.read_text() == f"sewdsl 1\ninput 2x8x8\nbody {mended}\n"

    def test_fix_goes_on_while_one_fix_brings_to_light_another(self) -> None:
        """The parser leaves a statement at what it cannot read: each of 40 blanks too many hides the next."""
        text = "-".join(f"c{number} 3" for number in range(1, 41))
        result = run("check", "--fix", "--unsafe-fixes", text, "--input", "2x8x8")
        assert "still changing" not in result.output
        assert text.replace(" ", "") in result.stdout.splitlines()

    def test_fix_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """After so many characters read: here, three times."""
        monkeypatch.setattr("sewdsl.cli.check.MAX_READ", 2500)
        result = run("check", "--fix", "--unsafe-fixes", "-".join(["BN 3"] * 40), "--input", "2x8x8")
        check_words(result.stderr)
        assert f"BN3-BN3-BN3-{'-'.join(['BN 3'] * 37)}\n" in result.stdout

    @pytest.mark.parametrize(
        ("command", "before", "after"),
        [
            (("check", "--fix"), b"sewdsl 1\r\ninput 2x8x8\r\nbody BN-\r\n", b"sewdsl 1\r\ninput 2x8x8\r\nbody BN\r\n"),
            (("fmt",), b"sewdsl 1\ninput 2x8x8\nbody BN\n", b"sewdsl 1\ninput   2x8x8\nbody    BN\n"),
        ],
    )
    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    def test_a_byte_order_mark_stays(
        self, tmp_path: Path, command: tuple[str, ...], before: bytes, after: bytes, mark: bytes
    ) -> None:
        file = tmp_path / "x.net"
        file.write_bytes(mark + before)
        assert run(*command, str(file)).exit_code == 0
        assert file.read_bytes() == mark + after

    def test_fix_prints_a_string(self) -> None:
        result = run("check", "--fix", BROKEN, "--input", "2x8x8")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[0] == "c32k3s1-BN-PLIF"

    def test_standard_input(self) -> None:
        result = run("check", "-", "--input", "2x8x8", stdin=BROKEN)
        assert result.stderr.startswith("<stdin>:1:11: error[missing-hyphen]")

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["7b-net", "--nonsense"],
            ["7b-net", "--set", "steps"],
            ["7b-net", "--set", "=3"],
            ["7b-net", "--limit", "nodes=many"],
            ["7b-net", "--format", "yaml"],
            ["7b-net", "--unsafe-fixes"],
        ],
    )
    def test_usage(self, arguments: list[str]) -> None:
        assert run("check", *arguments).exit_code == 2


class TestShow:
    def test_json(self) -> None:
        data = json.loads(run("show", "7b-net", "--json").stdout)
        assert (data["parameters"], data["macs"]) == (130_938, 412_066_144)
        assert len(data["layers"]) == 61
        assert data["layers"][-1] == {
            "path": "fc1",
            "kind": "FC",
            "text": "FC11b1",
            "shape": [11],
            "range": "real",
            "varies": True,
            "parameters": 363,
            "macs": 352,
        }
        assert sum(layer["parameters"] for layer in data["layers"]) == data["parameters"]
        assert sum(layer["macs"] for layer in data["layers"]) == data["macs"]
        assert data["settings"]["steps"] == 16
        assert data["recipe"]["epochs"] == 192

    def test_claims_stand_beside_the_computed(self) -> None:
        figures = json.loads(run("show", "wide-7b-net", "--json").stdout)["figures"]
        assert {
            "quantity": "parameters",
            "kind": "claim",
            "printed": "1.19M",
            "source": "Tab. 6",
            "computed": 1_258_778,
            "holds": False,
        } in figures

    def test_claims_that_have_to_be_measured(self, tmp_path: Path) -> None:
        path = tmp_path / "x.net"
        path.write_text('sewdsl 1\ninput 2x8x8\nbody c4k3-BN-IF-FC10\nclaim energy 4.5mJ "Tab. 2"\n', encoding="utf-8")
        (figure,) = json.loads(run("show", str(path), "--json").stdout)["figures"]
        assert (figure["printed"], figure["computed"], figure["holds"]) == ("4.5mJ", None, None)
        assert "not measured" in run("show", str(path)).stdout

    def test_table(self) -> None:
        text = run("show", "7b-net").stdout
        assert "130,938" in text
        assert "SEW Block (c32s1)" in text
        assert (
            "PLIF(v_threshold=1.0, v_reset=0.0, detach_reset=on, surrogate=ATan(alpha=2.0, scale=1.0), tau=2.0)" in text
        )
        assert "branch.conv1" not in text

    def test_values_are_written_as_a_file_writes_them(self) -> None:
        lines = [line.split() for line in run("show", "7b-net").stdout.splitlines()]
        for row in (["zero_init", "off"], ["clip", "none"], ["flip", "off"], ["input", "2x128x128"]):
            assert row in lines

    def test_expanded(self) -> None:
        text = run("show", "7b-net", "--expand").stdout
        assert text.count("branch.conv") == 14

    def test_errors_go_to_stderr(self) -> None:
        result = run("show", BROKEN, "--input", "2x8x8", "--json")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "missing-hyphen" in result.stderr


class TestFmt:
    UGLY = "sewdsl 1\ninput   2x8x8 # here\nbody c4k3 -BN- IF\n"
    NEAT = "sewdsl 1\ninput   2x8x8  # here\nbody    c4k3-BN-IF\n"

    def test_in_place(self, tmp_path: Path) -> None:
        file = tmp_path / "x.net"
        file.write_text(self.UGLY)
        assert run("fmt", "--check", str(file)).exit_code == 1
        assert file.read_text() == self.UGLY
        result = run("fmt", "--diff", str(file))
        assert "+body    c4k3-BN-IF" in result.stdout
        assert file.read_text() == self.UGLY
        assert run("fmt", str(file)).exit_code == 0
        assert file.read_text() == self.NEAT
        assert run("fmt", "--check", str(file)).exit_code == 0

    def test_never_touches_a_broken_file(self, tmp_path: Path) -> None:
        file = tmp_path / "x.net"
        file.write_text(self.UGLY + "body {\n")
        result = run("fmt", str(file))
        assert result.exit_code == 1
        assert "error[" in result.stderr
        assert file.read_text() == self.UGLY + "body {\n"

    def test_filter(self) -> None:
        assert run("fmt", "-", stdin=self.UGLY).stdout == self.NEAT


class TestNets:
    def test_list(self) -> None:
        text = run("nets").stdout
        assert "7b-net" in text
        assert "SEW ResNet-152" in text

    def test_a_sentence_does_not_end_inside_parentheses(self) -> None:
        text = " ".join(run("nets").stdout.split())
        assert "(He et al. 2016, v1.5: the stride is in the 3x3 convolution), the ANN" in text

    def test_print_one(self) -> None:
        assert run("nets", "7b-net").stdout == (resource_folder("nets") / "7b-net.net").read_text()

    def test_unknown(self) -> None:
        result = run("nets", "8b-net")
        assert result.exit_code == 2
        assert "7b-net" in result.stderr

    def test_kinds(self) -> None:
        text = run("nets", "--kinds").stdout
        for name in ("PLIF", "IAND", "ATan", "MP", "SEW Bottleneck"):
            assert name in text


class TestExplain:
    def test_page(self) -> None:
        assert run("explain", "join-needs-spikes").stdout.startswith("# join-needs-spikes")

    def test_list(self) -> None:
        assert "spatial-size-exhausted" in run("explain").stdout.splitlines()

    def test_unknown(self) -> None:
        result = run("explain", "join-needs-spike")
        assert result.exit_code == 2
        assert "join-needs-spikes" in result.stderr


class TestCompile:
    def test_tree(self) -> None:
        result = run("compile", SEVEN, "--input", "2x128x128", "--emit", "tree")
        assert "{SEW Block (c32)-MPk2s2}*7" in result.stdout

    def test_network(self) -> None:

        data = json.loads(run("compile", "tiny", "--emit", "network").stdout)
        assert from_json(data) == load("tiny")

    def test_module(self) -> None:
        text = run("compile", "tiny", "--emit", "module").stdout
        assert "Conv2d(1, 4" in text


def test_version() -> None:
    try:
        expected = f"sewdsl {version('sewdsl')}"
    except PackageNotFoundError:
        expected = "sewdsl (not installed, running from source)"
    assert run("--version").stdout == f"{expected}\n"
