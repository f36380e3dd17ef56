r"""The pages of ``docs/codes``: one for each code in the source, and every example does what its page says.

An example is a fenced block: its language (``compact``, ``net`` or ``spec``), what it is (``invalid``, ``valid`` or,
for a file that another example uses, nothing), and options: ``file=a.net`` names it, ``escaped`` turns ``\x89`` into a
byte, ``limit.nesting=4`` sets a limit, ``target=speck2f`` asks whether it fits, ``train`` asks whether it can be
trained too, and all others are those of ``sewdsl.load``.
"""

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from sewdsl.compiler import Compilation, Options, read
from sewdsl.diagnostics import Severity, SewdslError
from sewdsl.targets import diagnose, find_target
from sewdsl.train.training_plan import plan_training

ROOT = Path(__file__).parents[2]
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "codes").glob("*.md"))}
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
STAGES = ("checks", "compiler", "dialects", "elaborate", "ir", "ops", "syntax", "targets", "train")


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    language: str
    words: tuple[str, ...]
    text: str

    @property
    def options(self) -> dict[str, str]:
        """``key=value`` after the language."""
        return dict(word.split("=", 1) for word in self.words if "=" in word)

    def write(self, folder: Path) -> Path:
        """Write a source to a file."""
        path = folder / self.options.get("file", "example.net")
        data = self.text.encode()
        if "escaped" in self.words:
            data = self.text.strip().encode().decode("unicode_escape").encode("latin-1")
        path.write_bytes(data)
        return path

    def read(self, folder: Path) -> Compilation:
        """Compiles it."""
        limits = {k.removeprefix("limit."): int(v) for k, v in self.options.items() if k.startswith("limit.")}
        others = {k: v for k, v in self.options.items() if k not in {"file", "target"} and not k.startswith("limit.")}
        spec = self.write(folder) if self.language == "net" else self.text.strip()
        compilation = read(spec, **cast("Options", {**others, "limit": limits}))
        if target := find_target(self.options.get("target", "")):
            misfits = diagnose(target, target.check(compilation.result()).misfits)
            return replace(compilation, diagnostics=(*compilation.diagnostics, *misfits))
        if "train" in self.words:
            try:
                plan_training(compilation)
            except SewdslError as error:
                return replace(compilation, diagnostics=error.diagnostics)
        return compilation


def examples(code: str) -> list[Example]:
    return [Example(language, tuple(info.split()), text) for language, info, text in FENCE.findall(PAGES[code])]


def codes_in(module: Path) -> set[str]:
    """Strings of a module that can only be codes; in training and targets, where others look alike, those said."""
    nodes = list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    if {"targets", "train"} & {*module.relative_to(ROOT).parts}:
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        names = {"Diagnostic", "diagnostic"}
        said = [call for call in calls if getattr(call.func, "id", getattr(call.func, "attr", "")) in names]
        nodes = [argument for call in said for argument in call.args[:1]]
    strings = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {string for string in strings if CODE.fullmatch(string)} - {"utf-8", "utf-8-sig", "bf16-mixed", "time-steps"}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    modules = [module for stage in STAGES for module in (ROOT / "sewdsl" / stage).rglob("*.py")]
    assert set().union(*map(codes_in, modules)) == set(PAGES)


@pytest.mark.parametrize("code", PAGES)
def test_page(code: str, tmp_path: Path) -> None:
    title, kind, prose = PAGES[code].split("\n\n")[:3]
    severity = Severity[kind.strip("*").partition(" ")[0].upper()]
    assert title == f"# {code}"
    assert prose.endswith(".")
    found = examples(code)
    for example in found:
        if not {"valid", "invalid"} & set(example.words):
            example.write(tmp_path)
    (wrong,) = (example.read(tmp_path) for example in found if "invalid" in example.words)
    (right,) = (example.read(tmp_path) for example in found if "valid" in example.words)
    assert {(d.code, d.severity) for d in wrong.diagnostics} == {(code, severity)}
    assert wrong.valid == (severity is not Severity.ERROR)
    assert right.diagnostics == ()
    assert right.valid
