"""The release check: each contradiction is named with its place, and this project has none."""

from __future__ import annotations

import io
import re
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools import release

CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-31

- Faster.

## [1.1.0] - 2025-12-01
"""


def project(folder: Path, **changes: tuple[str, str]) -> release.Statements:
    """Read the statements of a project, with a word of one of its files changed."""
    files = {
        "pyproject.toml": '[project]\nname = "x"\nversion = "1.2.0"  # here\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 1.2.0\ndate-released: 2026-01-31\n",
        "CHANGELOG.md": CHANGELOG,
    }
    for name, text in files.items():
        before, after = changes.get(name.partition(".")[0].lower(), ("", ""))
        assert before in text
        (folder / name).write_text(text.replace(before, after, 1), "utf-8")
    return release.read_statements(folder)


def test_a_project_that_agrees(tmp_path: Path) -> None:
    stated = project(tmp_path)
    assert [statement.text for statement in stated.versions] == ["1.2.0"] * 3
    assert list(release.find_problems(stated, None)) == []
    assert list(release.find_problems(stated, "v1.2.0")) == []


@pytest.mark.parametrize(
    ("changes", "tag", "problem"),
    [
        (
            {"citation": ("\nversion: 1.2.0", "\nversion: 1.1.0")},
            None,
            "CITATION.cff:2: the version is 1.1.0, but pyproject.toml:3 has 1.2.0",
        ),
        (
            {"changelog": ("[1.2.0]", "[1.3.0]")},
            None,
            "CHANGELOG.md:5: the version is 1.3.0, but pyproject.toml:3 has 1.2.0",
        ),
        (
            {"citation": ("01-31", "02-01")},
            None,
            "CITATION.cff:3: the date is 2026-02-01, but CHANGELOG.md:5 has 2026-01-31",
        ),
        ({}, "v1.1.0", "the tag is v1.1.0, but pyproject.toml:3 has the version 1.2.0; expected the tag v1.2.0"),
        ({}, "1.2.0", "the tag is 1.2.0, but pyproject.toml:3 has the version 1.2.0; expected the tag v1.2.0"),
        (
            {"changelog": ("\n## [1.2.0]", "\n- Later.\n- Much later.\n\n## [1.2.0]")},
            "v1.2.0",
            "CHANGELOG.md:5: a change is listed under Unreleased; move it below the heading of the version",
        ),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, changes: dict[str, tuple[str, str]], tag: str, problem: str) -> None:
    assert list(release.find_problems(project(tmp_path, **changes), tag)) == [problem]


def test_unreleased_changes_without_a_tag(tmp_path: Path) -> None:
    stated = project(tmp_path, changelog=("## [1.2.0]", "- Later.\n\n## [1.2.0]"))
    assert list(release.find_problems(stated, None)) == []


def test_a_version_of_another_form(tmp_path: Path) -> None:
    problem, *_ = release.find_problems(project(tmp_path, pyproject=("1.2.0", "1.2.0.dev1")), None)
    assert problem == "pyproject.toml:3: '1.2.0.dev1' is not a version such as 0.1.0 or 1.0.0rc1"


@pytest.mark.parametrize(
    ("changes", "example"),
    [
        ({"citation": ("date-released", "date")}, "CITATION.cff has no line such as 'date-released: 2026-11-30'"),
        (
            {"changelog": (" - 2026-01-31\n\n- Faster.\n\n## [1.1.0] - 2025-12-01", "")},
            "CHANGELOG.md has no line such as",
        ),
        ({"pyproject": ("version =", "dynamic =")}, "pyproject.toml has no line such as 'version = \"0.1.0\"'"),
    ],
)
def test_a_file_without_a_version(tmp_path: Path, changes: dict[str, tuple[str, str]], example: str) -> None:
    with pytest.raises(release.ReleaseError, match=re.escape(example)):
        project(tmp_path, **changes)


def test_this_project_agrees() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", release.check_versions(None))


def test_strange_files() -> None:
    files = {"x/LICENSE": 1000, "x/data.bin": 2**20 + 1}
    assert list(release.find_strange_files(files)) == ["x/data.bin has 1,048,577 bytes, expected at most 1,048,576"]
    assert list(release.find_strange_files({"x/LICENSE.txt": 1})) == ["LICENSE is missing"]


def test_files_of_a_source_distribution() -> None:
    packed = ["x-1.2.0/PKG-INFO", "x-1.2.0/a.py", "x-1.2.0/b/notes.txt"]
    problems = list(release.compare_with_tracked(packed, ["a.py", "b/c.py"]))
    assert problems == ["b/notes.txt is not tracked by git", "b/c.py is missing"]


def test_files_and_description_of_archives(tmp_path: Path) -> None:
    wheel, source = tmp_path / "x-1.2.0-py3-none-any.whl", tmp_path / "x-1.2.0.tar.gz"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("x.py", "pass")
        archive.writestr("x-1.2.0.dist-info/METADATA", "Metadata-Version: 2.4\nName: x\n\n# x\n\n[é](é.md)\n")
    with tarfile.open(source, "w:gz") as archive:
        entry = tarfile.TarInfo("x-1.2.0/x.py")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"pass"))
    assert release.list_files(wheel)["x.py"] == 4
    assert release.list_files(source) == {"x-1.2.0/x.py": 4}
    assert release.read_description(wheel) == "# x\n\n[é](é.md)\n"


def test_relative_links() -> None:
    text = "[a](docs/a.md) [b](https://x.org/b) [c](#c) ![d](d.svg) <img src='e.png'> `f[0](x)`\n"
    text += "\n```python\ng[0](x)\n```\n"
    assert release.find_relative_links(text) == ["docs/a.md", "d.svg", "e.png"]


def test_a_failed_command_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(release.ReleaseError, match=r"(?s)ended with exit code 1:.*ZeroDivisionError"):
        release.run(sys.executable, "-c", "1 / 0", cwd=tmp_path)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "PACKAGES", ("sys", "a_package_of_nobody"))
    with pytest.raises(release.ReleaseError, match=r"^a_package_of_nobody cannot be .* 'pip install --group release'$"):
        release.require_packages()
