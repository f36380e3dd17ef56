"""``sewdsl check --format sarif``, against the schema of the standard and against what it is to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest  # noqa: TC002 -- only here is it a type alone
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.cli.sarif import diagnostics_to_sarif
from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.editing.kind_docs import read_code_pages
from sewdsl.source import Source, Span

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
"""The schema of SARIF 2.1.0 with its errata, as the package @microsoft/jest-sarif has it (MIT)."""
BROKEN = "sewdsl 1\r\ninput 2x8x8\r\nsteps 2\r\nbody c8k3 BN-\N{GRINNING FACE}PLIF\N{EN DASH}FC3\r\n"


def valid(log: dict[str, Any]) -> dict[str, Any]:
    """The one run of a log that the schema takes, and whose references lead somewhere."""
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(log)
    run: dict[str, Any]
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        places = [location["physicalLocation"]["artifactLocation"] for location in result["locations"]]
        places += [change["artifactLocation"] for fix in result.get("fixes", ()) for change in fix["artifactChanges"]]
        for place in places:
            artifact = run["artifacts"][place["index"]]
            assert artifact.get("location", {}).get("uri") == place.get("uri")
    return run


def check(*arguments: str, code: int) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["check", *arguments, "--format", "sarif"])
    assert done.exit_code == code
    return valid(json.loads(done.stdout))


def cut(text: str, region: dict[str, int]) -> str:
    """Return the text of a region as SARIF counts it: lines by newlineSequences, columns in characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert region["startLine"] == region["endLine"]
    return lines[region["startLine"] - 1][region["startColumn"] - 1 : region["endColumn"] - 1]


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a b.net").write_text(BROKEN, encoding="utf-8", newline="")
    run = check("a b.net", code=1)
    assert run["columnKind"] == "unicodeCodePoints"
    found = {result["ruleId"]: result for result in run["results"]}
    assert {code: result["level"] for code, result in found.items()} == {
        "unexpected-character": "error",
        "typographic-character": "warning",
    }
    dash = found["typographic-character"]
    physical = dash["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "a%20b.net"
    assert physical["region"] == {"startLine": 4, "startColumn": 19, "endLine": 4, "endColumn": 20}
    assert cut(BROKEN, physical["region"]) == "\N{EN DASH}"
    (fix,) = dash["fixes"]
    assert fix["description"]["text"] == "write '-'"
    (change,) = fix["artifactChanges"]
    assert change["replacements"] == [{"deletedRegion": physical["region"], "insertedContent": {"text": "-"}}]


def test_an_absolute_path_is_a_file_uri(tmp_path: Path) -> None:
    (tmp_path / "ö.net").write_text(BROKEN, encoding="utf-8")
    run = check(str(tmp_path / "ö.net"), code=1)
    assert run["artifacts"][0]["location"]["uri"] == (tmp_path / "ö.net").as_uri()


def test_a_string_is_part_of_the_log() -> None:
    run = check("c8k3 BN", "tiny", "--input", "2x8x8", code=1)
    (artifact,) = run["artifacts"]
    assert artifact["contents"]["text"] == "c8k3 BN"
    (fix,) = run["results"][0]["fixes"]
    (insertion,) = fix["artifactChanges"][0]["replacements"]
    assert cut("c8k3 BN", insertion["deletedRegion"]) + insertion["insertedContent"]["text"] in {" -", "-"}
    assert "location" not in artifact


def test_what_is_missing_is_a_result_too() -> None:
    (result,) = check("vgg11", code=1)["results"]
    assert result["ruleId"] == "spec-not-found"


def test_a_way_through_blocks_is_a_logical_location() -> None:
    run = check("c8k3-BN-PLIF-{MPk2s2}*9-FC3", "--input", "2x8x8", code=1)
    (result,) = [result for result in run["results"] if result["ruleId"] == "spatial-size-exhausted"]
    (logical,) = result["locations"][0]["logicalLocations"]
    assert "copy 4 of 9" in logical["fullyQualifiedName"]


def test_a_fixed_string_goes_to_the_standard_error() -> None:
    done = CliRunner().invoke(app, ["check", "c8k3 BN", "--input", "2x8x8", "--fix", "--format", "sarif"])
    assert valid(json.loads(done.stdout))["results"] == []
    assert done.stderr == "c8k3-BN\n"


def test_nothing_wrong() -> None:
    run = check("tiny", code=0)
    assert (run["results"], run["artifacts"]) == ([], [])
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert [*rules] == [*read_code_pages()]
    for code, page in read_code_pages().items():
        assert rules[code]["help"]["markdown"] == page.text
        assert rules[code]["defaultConfiguration"]["level"] == str(page.severity)
        assert rules[code]["shortDescription"]["text"].endswith(".")


def test_a_rule_of_another_package_has_no_page(tmp_path: Path) -> None:
    """Nor need a fix stay in one file."""
    one, other = (Source(str(tmp_path / name), "abc\n") for name in ("one.net", "other.net"))
    edits = (Edit(Span(one, 0, 1), "x"), Edit(Span(other, 1, 2), ""), Edit(Span(one, 2, 3), "z"))
    for source in (one, other):
        Path(source.name).write_text(source.text, encoding="utf-8")
    said = Diagnostic("of-mine", Severity.NOTE, "m", Span(one, 0, 4), fixes=(Fix("f", edits, safe=False),))
    run = valid(diagnostics_to_sarif([said]))
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][-1] == {"id": "of-mine", "defaultConfiguration": {"level": "note"}}
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "startColumn": 1, "endLine": 2, "endColumn": 1}
    (fix,) = result["fixes"]
    assert fix["properties"]["safe"] is False
    changes = {Path(c["artifactLocation"]["uri"]).name: c["replacements"] for c in fix["artifactChanges"]}
    assert [len(changes[name]) for name in ("one.net", "other.net")] == [2, 1]
    assert "insertedContent" not in changes["other.net"][0]
