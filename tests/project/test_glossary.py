"""Rules of ``docs/glossary.md`` that a program can check. Counts above 0 may only decrease."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sewdsl.ops import catalogue
from sewdsl.train.data import datasets
from tests.words import FOLDER, HEADING

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "sewdsl"

PAIRS = {
    "Apply": {"ops.attention", "snn.attention"},
    "Attention": {"ops.attention", "snn.attention"},
    "BatchNorm": {"ops.layers.norms", "snn.batch_norm"},
    "ChannelAttention": {"ops.layers.attention", "snn.sequence_attention"},
    "Concatenation": {"ops.merges", "snn.merges"},
    "Delay": {"ops.layers.delay", "snn.streamed_past"},
    "DelayedLinear": {"ops.layers.time_filters", "snn.time_filters"},
    "DropPath": {"ops.layers.scaling", "snn.layers"},
    "Dropout": {"ops.layers.scaling", "snn.layers"},
    "Flatten": {"ops.layers.shapes", "snn.layers"},
    "GlobalAvgPool": {"ops.layers.pool", "snn.pooling"},
    "GroupNorm": {"ops.layers.norms", "snn.layers"},
    "Join": {"ir.op", "snn.join"},
    "LayerNorm": {"ops.layers.norms", "snn.layers"},
    "Linear": {"ops.layers.linear", "snn.layers"},
    "Maximum": {"ops.merges", "snn.merges"},
    "Neuron": {"ir.op", "snn.neuron"},
    "PReLU": {"ops.neurons.activations", "snn.layers"},
    "ParallelNeuron": {"ir.op", "snn.parallel_neuron"},
    "Product": {"ops.merges", "snn.merges"},
    "Reduction": {"ops.layers.reduction", "snn.merges"},
    "Scale": {"ops.layers.scaling", "snn.layers"},
    "Scores": {"ops.attention", "snn.attention"},
    "Softmax": {"ops.attention", "snn.attention"},
    "SpatialAttention": {"ops.layers.attention", "snn.sequence_attention"},
    "TemporalAttention": {"ops.layers.attention", "snn.sequence_attention"},
    "TemporalChannelAttention": {"ops.layers.attention", "snn.sequence_attention"},
    "TokenProduct": {"ops.attention", "snn.attention"},
    "TimeFilter": {"ops.layers.time_filters", "snn.time_filters"},
    "Upsample": {"ops.layers.shapes", "snn.layers"},
}
"""Public classes that share a name: a kind, or a family of kinds, and the torch module that computes it."""

STUMBLING_BLOCKS = re.compile(
    r"\b(behind|beside|besides|stands|mend\w*|meant|aside|so-manieth|nobody|told|had back|draws no lots)\b"
)
"""Words in strings and docstrings that readers stop at; the glossary lists what to write instead."""

MAX_STUMBLING_BLOCKS = 5
MAX_SHORT_HELPERS = 143
"""Private functions of at most six lines that are used once: a helper exists because it names something."""
MAX_LONELY_MODULES = 0
"""Modules below 45 lines that one other module imports, but for those that have a file each by their kind."""


MAX_FUNCTIONS_HANDED_DIAGNOSTICS = 12
"""Functions with a parameter for diagnostics or a reporter: most return what they have to say."""


@cache
def modules() -> dict[str, ast.Module]:
    """The trees of all modules by their names, which leave the package's out; templates of kernels are no modules."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if "templates" not in path.parts:
            name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@cache
def nodes(tree: ast.Module) -> list[ast.AST]:
    """Every node of a module, which most tests here look at."""
    return list(ast.walk(tree))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def names_in_glossary() -> Iterator[str]:
    """Return the names in the code that the glossary lists."""
    for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines():
        cells = line.split("|")
        if len(cells) == 5:  # a word, its name in the code, its meaning, between bars
            yield from re.findall(r"`([^`]+)`", cells[2])


def test_names_in_glossary_are_in_the_code() -> None:
    known = {f"sewdsl.{name}" for name in modules()}
    for tree in modules().values():
        for node in nodes(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                known.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                known.add(node.id)
            elif isinstance(node, ast.arg):
                known.add(node.arg)
    names = set(names_in_glossary())
    assert len(names) > 60
    assert names - known == set()


def test_no_public_class_twice() -> None:
    where = defaultdict(set)
    for name, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where[node.name].add(name)
    assert {name: places for name, places in where.items() if len(places) > 1} == PAIRS


def test_words_that_readers_stumble_over() -> None:
    count = sum(
        len(STUMBLING_BLOCKS.findall(node.value))
        for tree in modules().values()
        for node in nodes(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    assert count <= MAX_STUMBLING_BLOCKS, "see docs/glossary.md for what to write instead"


def test_messages_have_no_names_of_classes() -> None:
    """Neither messages in the code nor those of tests have names of classes, except for names of the language."""
    language = {"dataset"}.union(*({name, name.lower()} for name in (*catalogue(), *datasets())))
    classes = {node.name for tree in modules().values() for node in nodes(tree) if isinstance(node, ast.ClassDef)}
    compound = {name for name in classes if re.search("[a-z][A-Z]", name)}
    compound = {*compound, *map(str.lower, compound)} - language
    messages = [
        line for entry in FOLDER.glob("*.txt") for line in HEADING.split(entry.read_text(encoding="utf-8"))[2::2]
    ]
    assert len(messages) > 500
    for name, tree in modules().items():
        if name.startswith("exchange.write.python"):  # writes classes of its own
            continue
        raised = [node for node in nodes(tree) if isinstance(node, ast.Call | ast.Raise | ast.Assign)]
        literals = (node for call in raised for node in ast.walk(call) if isinstance(node, ast.Constant))
        messages += [node.value for node in literals if isinstance(node.value, str) and " " in node.value]
    named = {word for message in messages for word in re.findall(r"[A-Za-z]+", message) if word in compound}
    assert named <= {"BlockDefinition", "FashionMNIST"}  # a type for typing.cast, a class of torchvision


def test_helpers_name_something() -> None:
    short = []
    for name, tree in modules().items():
        uses = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in nodes(tree)
            if isinstance(node, ast.Name | ast.Attribute)
        )
        for function in functions(tree):
            private = function.name.startswith("_") and not function.name.startswith("__")
            private = private and not function.name.endswith("_")  # a hook of IPython
            if private and uses[function.name] == 1 and (function.end_lineno or 0) - function.lineno < 6:
                short.append(f"{name}.{function.name}")
    assert len(short) <= MAX_SHORT_HELPERS, short


def test_modules_hold_what_belongs_together() -> None:
    importers = defaultdict(set)
    for name, tree in modules().items():
        for node in nodes(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sewdsl"):
                module = (node.module or "").removeprefix("sewdsl").removeprefix(".")
                for target in (module, *(f"{module}.{alias.name}".removeprefix(".") for alias in node.names)):
                    if target in modules() and target != name:
                        importers[target].add(name)
    own_file = ("ops.", "checks.", "passes.", "cli.")  # kinds, rules, passes and commands have a file each
    lonely = [
        name
        for name in modules()
        if len(importers[name]) == 1
        and not name.startswith(own_file)
        and (PACKAGE / f"{name.replace('.', '/')}.py").is_file()
        and (PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8").count("\n") < 45
    ]
    assert len(lonely) <= MAX_LONELY_MODULES, lonely


def test_few_functions_are_handed_where_to_report() -> None:
    handed = []
    for name, tree in modules().items():
        for function in functions(tree):
            arguments = function.args
            for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                kind = ast.unparse(argument.annotation) if argument.annotation else ""
                # A function cannot add diagnostics to an Iterable.
                is_list = argument.arg == "diagnostics" and not kind.startswith("Iterable")
                if argument.arg == "reporter" or is_list or re.search(r"\bReporter\b", kind):
                    handed.append(f"{name}.{function.name}")
    assert len(set(handed)) <= MAX_FUNCTIONS_HANDED_DIAGNOSTICS, handed


REFERENCE = re.compile(r":(?:class|func|meth|data|attr|mod):`~?([\w.]+)`")
RAISES = re.compile(r"^ *Raises:\n((?: +\S.*\n)+)", re.MULTILINE)
RAISES_IN_SENTENCE = re.compile(r"\b[Rr]aises? ([A-Z_]\w+)")


def defined(tree: ast.Module) -> set[str]:
    """Every name that a module defines or imports, at any depth: classes, functions, constants, attributes."""
    found: set[str] = set()
    for node in nodes(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found.update((alias.asname or alias.name).partition(".")[0] for alias in names)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return found


def is_known(reference: str, here: set[str]) -> bool:
    """Return whether a reference in a docstring exists, in its module or from the package on."""
    if not reference.startswith("sewdsl."):
        return reference.partition(".")[0] in here or hasattr(builtins, reference)
    parts = reference.split(".")[1:]
    for length in range(len(parts), -1, -1):
        tree = modules().get(".".join(parts[:length]) or "__init__")
        if tree is not None:
            return length == len(parts) or parts[length] in defined(tree)
    return False


def test_docstrings_refer_to_what_exists() -> None:
    classes = {node.name for tree in modules().values() for node in nodes(tree) if isinstance(node, ast.ClassDef)}
    lost = []
    for name, tree in modules().items():
        here = defined(tree)
        for node in nodes(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                lost += [f"{name}: {found}" for found in REFERENCE.findall(node.value) if not is_known(found, here)]
                raised = RAISES_IN_SENTENCE.findall(node.value)
                for lines in RAISES.findall(f"{node.value}\n"):
                    entries = re.findall(r"^ +([A-Z]\w+(?:, [A-Z]\w+)*): ", lines, re.MULTILINE)
                    raised += filter(None, ", ".join(entries).split(", "))
                for one in raised:
                    if one not in classes | here and not hasattr(builtins, one):
                        lost.append(f"{name}: raises {one}")
    assert not lost, "\n".join(lost)
