"""Check a release: versions and dates, the built archives, and their installation.

``python -m tools.release check --tag v0.1.0`` does all automated steps of ``docs/releasing.md``. ``versions`` does only
the first one, in a second. Nothing is tagged or published.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterable, Iterator, Mapping
from email.parser import BytesParser
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]
LOWEST_ACCURACY = 0.95
"""Lowest accepted test accuracy of ``mnist5k`` after training, on any machine."""
LARGEST_FILE = 2**20
"""Largest accepted size of a file in a release, in bytes."""
PACKAGES = ("build", "readme_renderer", "twine")
"""Modules of the dependency group ``release``."""
LICENSE = "LICENSE"
"""File that each archive must contain."""
RELATIVE_LINK = re.compile(
    r"\]\((?!https?://|mailto:|#)([^)\s]*)|<img[^>]*src=[\"'](?!https?://)([^\"']*)", re.IGNORECASE
)
"""Relative link or picture in Markdown, which does not work on other sites."""


class ReleaseError(Exception):
    """A reason not to release."""


def report(line: str) -> None:
    """Print a line, flushed so that logs are up to date."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# --- versions ----------------------------------------------------------------------------------------------


class Statement(NamedTuple):
    """Version or date in a file.

    Attributes:
        location: ``FILE:LINE`` of the statement.
        text: Version, or date as ``YYYY-MM-DD``.
    """

    location: str
    text: str


class Statements(NamedTuple):
    """Versions and dates of a release in the files of a project.

    Attributes:
        versions: Version in each file.
        dates: Release date in each file.
        unreleased: File and line of changelog entries without a version.
    """

    versions: list[Statement]
    dates: list[Statement]
    unreleased: list[str]


def read_statements(root: Path) -> Statements:
    """Read the versions and dates in the files of a project.

    Raises:
        ReleaseError: If a file does not state one.
    """

    def find(file: str, pattern: str, example: str) -> list[Statement]:
        text = (root / file).read_text("utf-8")
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            raise ReleaseError(f"{file} has no line such as '{example}'")
        line = 1 + text.count("\n", 0, match.start())
        return [Statement(f"{file}:{line}", group) for group in match.groups()]

    # The first heading with a version is the latest release.
    latest = find("CHANGELOG.md", r"^## \[(\d[^\]]*)\] - (\d{4}-\d\d-\d\d)$", "## [0.1.0] - 2026-11-30")
    (project,) = find("pyproject.toml", r'^version = "([^"]+)"', 'version = "0.1.0"')
    (cited,) = find("CITATION.cff", r"^version: (\S+)$", "version: 0.1.0")
    (day,) = find("CITATION.cff", r"^date-released: (\S+)$", "date-released: 2026-11-30")
    return Statements([project, cited, latest[0]], [latest[1], day], list(_unreleased(root / "CHANGELOG.md")))


def _unreleased(changelog: Path) -> Iterator[str]:
    """Yield ``FILE:LINE`` of each entry above the first released version."""
    for line_number, line in enumerate(changelog.read_text("utf-8").splitlines(), 1):
        if re.match(r"## \[\d", line):
            return
        if line.startswith("- "):
            yield f"{changelog.name}:{line_number}"


def find_problems(stated: Statements, tag: str | None) -> Iterator[str]:
    """Yield the problems of a release, one sentence each.

    Args:
        tag: Tag of the release, or None before the release, when there may be unreleased changes.
    """
    first, *others = stated.versions
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", first.text):
        yield f"{first.location}: '{first.text}' is not a version such as 0.1.0 or 1.0.0rc1"
    yield from _differences("version", first, others)
    day, *days = stated.dates
    yield from _differences("date", day, days)
    # Before the tag is set, unreleased entries are normal.
    if tag is not None:
        if tag != f"v{first.text}":
            yield f"the tag is {tag}, but {first.location} has the version {first.text}; expected the tag v{first.text}"
        for location in stated.unreleased[:1]:
            yield f"{location}: a change is listed under Unreleased; move it below the heading of the version"


def _differences(meaning: str, first: Statement, others: Iterable[Statement]) -> Iterator[str]:
    for other in others:
        if other.text != first.text:
            yield f"{other.location}: the {meaning} is {other.text}, but {first.location} has {first.text}"


def check_versions(tag: str | None) -> str:
    """Return the version of the project.

    Raises:
        ReleaseError: If files or the tag contradict each other.
    """
    stated = read_statements(ROOT)
    if problems := list(find_problems(stated, tag)):
        raise ReleaseError("\n       ".join(problems))
    return stated.versions[0].text


# --- archives ----------------------------------------------------------------------------------------------


def list_files(archive: Path) -> dict[str, int]:
    """Return the size of each file of a wheel or a source distribution, in bytes, by its path."""
    if archive.suffix == ".whl":
        with ZipFile(archive) as wheel:
            return {entry.filename: entry.file_size for entry in wheel.infolist() if not entry.is_dir()}
    with tarfile.open(archive) as source:
        return {entry.name: entry.size for entry in source.getmembers() if entry.isfile()}


def find_strange_files(files: Mapping[str, int]) -> Iterator[str]:
    """Yield the problems of the files in an archive, one sentence each."""
    if LICENSE not in {path.rsplit("/", 1)[-1] for path in files}:
        yield f"{LICENSE} is missing"
    for path, size in files.items():
        if size > LARGEST_FILE:
            yield f"{path} has {size:,} bytes, expected at most {LARGEST_FILE:,}"


def compare_with_tracked(files: Iterable[str], tracked: Iterable[str]) -> Iterator[str]:
    """Yield the differences between a source distribution and the files tracked by git.

    Args:
        files: Paths in the archive, below one folder.
        tracked: Paths in the checkout.
    """
    # PKG-INFO is generated by the build.
    packed = {path.partition("/")[2] for path in files} - {"PKG-INFO"}
    yield from (f"{path} is not tracked by git" for path in sorted(packed.difference(tracked)))
    yield from (f"{path} is missing" for path in sorted({*tracked} - packed))


def read_description(wheel: Path) -> str:
    """Return the long description of a wheel, as shown by package indexes."""
    with ZipFile(wheel) as files:
        # A wheel has one METADATA file, whose body is the README.
        (metadata,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        description = BytesParser().parsebytes(files.read(metadata)).get_payload(decode=True)
    return description.decode() if isinstance(description, bytes) else ""


def find_relative_links(description: str) -> list[str]:
    """Return the relative links of a long description, which are broken on package indexes."""
    # Code blocks and code spans are not links.
    prose = re.sub(r"^```.*?^```$", "", description, flags=re.MULTILINE | re.DOTALL)
    return [link or picture for link, picture in RELATIVE_LINK.findall(re.sub(r"`[^`\n]+`", "", prose))]


def check_archives(archives: Iterable[Path]) -> None:
    """Check the files in each archive, and the description in the wheel.

    Raises:
        ReleaseError: If files are missing or unexpected, or a link is relative.
    """
    for archive in archives:
        files = list_files(archive)
        problems = list(find_strange_files(files))
        if archive.suffix != ".whl":
            problems += compare_with_tracked(files, run("git", "ls-files", "-z").rstrip("\0").split("\0"))
        else:
            problems += [f"the link to {link} is relative" for link in find_relative_links(read_description(archive))]
        if problems:
            raise ReleaseError(f"{archive.name}: " + f"\n       {archive.name}: ".join(problems))
        report(f"{archive.name}: {archive.stat().st_size:,} bytes, {len(files)} files")


# --- commands ----------------------------------------------------------------------------------------------


def run(*command: str | Path, cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """Run a command, and return its output.

    Raises:
        ReleaseError: If the exit code is not 0. The message has the output.
    """
    words = [str(word) for word in command]
    report(f"+ {' '.join((Path(words[0]).name, *words[1:]))}")
    began = monotonic()
    # Standard error goes into the output, in the order of printing.
    done = subprocess.run(
        words, cwd=cwd, env=environment, stdout=-1, stderr=-2, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        raise ReleaseError(f"'{' '.join(words)}' ended with exit code {done.returncode}:\n{done.stdout}")
    report(f"  {monotonic() - began:.1f} s")
    return done.stdout


def require_packages() -> None:
    """Check that the packages for building and checking are installed.

    Raises:
        ReleaseError: If one is not.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise ReleaseError(f"{' and '.join(missing)} cannot be imported; run 'pip install --group release'")


def require_clean_tree() -> None:
    """Check that the checkout has no uncommitted changes.

    Raises:
        ReleaseError: If a file is changed or not tracked.
    """
    if changed := run("git", "status", "--porcelain"):
        raise ReleaseError(f"the checkout has changes; commit or remove them:\n{changed}")


def build(dist: Path) -> list[Path]:
    """Build the source distribution, and the wheel from it.

    Raises:
        ReleaseError: If the folder is not empty, the build fails, or the description cannot be rendered.
    """
    if dist.is_dir() and any(dist.iterdir()):
        raise ReleaseError(f"'{dist}' is not empty; empty it, or choose another folder with --dist")
    # The wheel is built from the source distribution, so an incomplete one is noticed.
    run(sys.executable, "-m", "build", "--outdir", dist, ROOT)
    archives = sorted([*dist.glob("*.whl"), *dist.glob("*.tar.gz")])
    run(sys.executable, "-m", "twine", "check", "--strict", *archives)
    return archives


def try_install(archive: Path, version: str) -> None:
    """Install an archive in a new environment, and run the commands of the README.

    Raises:
        ReleaseError: If a command fails, or prints another version or a low accuracy.
    """
    with TemporaryDirectory(prefix="sewdsl-release-") as temporary:
        home, folder = Path(temporary) / "environment", Path(temporary) / "place"
        folder.mkdir()
        venv.create(home, with_pip=True)
        # The folder of scripts is `Scripts` on Windows and `bin` elsewhere.
        scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(home), "platbase": str(home)}))
        # Hide the modules of the checkout and compiled kernels, which a user does not have.
        environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
        environment |= {
            "SEWDSL_CACHE": str(Path(temporary) / "cache"),
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        }

        def run_there(program: str, *words: str | Path) -> str:
            return run(scripts / program, *words, cwd=folder, environment=environment)

        run_there("python", "-m", "pip", "install", "--quiet", archive.resolve())
        printed = run_there("sewdsl", "--version").strip()
        report(f"  {printed}")
        if printed != f"sewdsl {version}":
            raise ReleaseError(f"{archive.name}: 'sewdsl --version' prints '{printed}', expected 'sewdsl {version}'")
        run_there("sewdsl", "check", "7b-net")
        run_there("sewdsl", "draw", "7b-net", "-o", "7b-net.svg")
        run_there("sewdsl", "train", "mnist5k", "--out", "run")
        accuracy = json.loads((folder / "run" / "result.json").read_text("utf-8"))["accuracy"]
        report(f"  accuracy {accuracy:.2%}")
        if accuracy < LOWEST_ACCURACY:
            raise ReleaseError(
                f"{archive.name}: mnist5k has an accuracy of {accuracy:.2%}, expected {LOWEST_ACCURACY:.0%}"
            )


def check(tag: str | None, dist: Path) -> None:
    """Do all automated steps of a release.

    Raises:
        ReleaseError: If the release has a problem.
    """
    began = monotonic()
    version = check_versions(tag)
    require_packages()
    require_clean_tree()
    archives = build(dist)
    check_archives(archives)
    for archive in archives:
        try_install(archive, version)
    report(f"sewdsl {version} can be released from {dist}; {monotonic() - began:.0f} s")


def main() -> None:
    """Parse the command line, and check the release."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "action", choices=["versions", "check"], help="Compare versions and dates only, or check everything."
    )
    parser.add_argument("--tag", metavar="TAG", help="Tag of the release, such as v0.1.0.")
    parser.add_argument(
        "--dist", metavar="DIR", type=Path, default=ROOT / "dist", help="Folder to build into. [default: dist]"
    )
    options = parser.parse_args()
    try:
        if options.action == "versions":
            report(f"sewdsl {check_versions(options.tag)}")
        else:
            check(options.tag, options.dist)
    except ReleaseError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
