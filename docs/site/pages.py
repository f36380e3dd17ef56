"""Generated pages: reference, catalogue, networks, zoo, diagnostics, commands, differences, energy, neurons, decisions.

The pages are committed, so they can be read in a checkout. ``python -m docs.site.pages`` writes them, and a test
compares them with the code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docs.site.c_networks import c_networks
from docs.site.energies import energies
from docs.site.read_shipped import read_shipped
from docs.site.reference import SECTIONS
from docs.site.tables import FAMILIES, default_text, table
from docs.site.zoo import zoo
from sewdsl.checks.expectation import agrees_with_figure, compute_quantity, is_measured
from sewdsl.compiler import shipped_networks
from sewdsl.editing import kind_docs
from sewdsl.ir.kind import Kind
from sewdsl.ir.network import Network
from sewdsl.ops import catalogue
from sewdsl.targets import TARGETS

DOCS = Path(__file__).parents[1]
CATALOGUE = """\
<!-- made by python -m docs.site.pages -->

# Catalogue

All kinds with their arguments and defaults, shipped blocks and datasets. The descriptions are the docstrings of the
code. `sewdsl nets --kinds` prints the kinds. The [reference](reference.md) lists statements, settings and recipe keys.

Equations, sections and tables without an author are those of Fang et al., [Deep Residual Learning in Spiking Neural
Networks](https://arxiv.org/abs/2102.04159), NeurIPS 2021.
"""
NETWORKS = """\
<!-- made by python -m docs.site.pages -->

# Networks

Shipped networks with their parameters and multiply-accumulate operations (MACs). `sewdsl nets NAME` prints the file of
a network, whose comments describe its source. [Differences](differences.md) compares published and computed values.
"""
CODES = """\
<!-- made by python -m docs.site.pages -->

# Diagnostics

Each diagnostic has a code. `sewdsl explain CODE` prints its page, with an invalid and a valid example.
"""


def kinds() -> str:
    """Return the catalogue: kinds with their arguments, blocks and datasets."""
    parts = [CATALOGUE]
    for title, family in FAMILIES.items():
        parts.append(f"## {title}\n")
        for name, kind in sorted(catalogue().items(), key=lambda item: item[0].casefold()):
            if issubclass(kind, family) and name != "input":
                parts.append(_kind(name, kind))
    parts.append("## Neurons as equations\n\n[Neurons](neurons.md#shipped-neurons) lists the shipped definitions.\n")
    blocks = shipped_networks()["blocks"].read_text(encoding="utf-8")
    parts.append(f"## Blocks\n\nBlocks of papers, defined in the language:\n\n```sewdsl\n{blocks}```\n")
    parts.append("## Datasets\n\n[Dataset files](data-files.md) describes the layouts on disk.\n\n" + datasets())
    return "\n".join(parts)


def _kind(name: str, kind: type[Kind]) -> str:
    letters = {field: letter for letter, field in kind.letters().items()}
    rows = (
        (_argument(name, field, letters), default_text(kind, field), text)
        for field, text in kind_docs.field_docs(kind).items()
    )
    arguments = table(("argument", "default", "meaning"), rows) if kind_docs.field_docs(kind) else ""
    return f"### {name}\n\n{kind_docs.kind_description(kind)}\n\n{arguments}"


def _argument(name: str, field: str, letters: dict[str, str]) -> str:
    """Return the spelling of an argument: its letter followed by a value, or its name."""
    return f"`{letters[field] or name}#`, {field}" if field in letters else f"`{field}`"


def datasets() -> str:
    """Return the table of datasets, by their name in recipes."""
    from sewdsl.train.data import datasets as all_datasets  # noqa: PLC0415 -- torch takes seconds

    def rows() -> Iterator[tuple[str, ...]]:
        for name, data in sorted(all_datasets().items()):
            shape = getattr(data, "shape", None)
            size = "x".join(map(str, shape)) if isinstance(shape, tuple) else "–"
            classes = getattr(data, "classes", None)
            count = str(classes) if isinstance(classes, int) else "–"
            yield f"`{name}`", size, count, (data.__doc__ or "").strip().splitlines()[0]

    return table(("name", "shape", "classes", "description"), rows())


def networks() -> str:
    """Return the table of shipped networks, with computed and published values."""

    def row(name: str, network: Network) -> tuple[str, ...]:
        claims = [e for e in network.expectations if not e.binding and e.quantity == "parameters"]
        published = [f"{claim.value} ({claim.source})" for claim in claims]
        macs = f"{network.total_macs:,}"
        return f"`{name}`", network.name, f"{network.total_parameters:,}", macs, ", ".join(published) or "–"

    shipped = ((name, read_shipped(name).network) for name in shipped_networks())
    rows = (row(name, network) for name, network in shipped if network is not None)
    head = ("name", "network", "parameters", "MACs per time-step", "published parameters")
    return f"{NETWORKS}\n{table(head, rows)}"


def claims() -> str:
    """Return the table of published values and computed values."""

    def rows() -> Iterator[tuple[str, ...]]:
        for name in shipped_networks():
            network = read_shipped(name).network
            for claim in network.expectations if network else ():
                if network and not claim.binding and not is_measured(network, claim):
                    value = compute_quantity(network, claim.quantity)
                    shown = f"{value:,}" if isinstance(value, int) else value
                    verdict = "agrees" if agrees_with_figure(claim, value) else "**differs**"
                    yield f"`{name}`", claim.quantity, claim.source, claim.value, shown, verdict

    return table(("network", "quantity", "source", "published", "computed", "result"), rows())


def codes() -> str:
    """Return the page of diagnostics, by category."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for code, page in kind_docs.code_pages().items():
        head = _PAGE_HEAD.search(page)
        if head is None:
            raise ValueError(f"page {code}: missing line with severity and category, e.g. '*error · syntax*'")
        description = page[head.end() :].partition("\n```")[0].strip().replace("\n", " ")
        summary = _SENTENCE_END.split(description)[0].rstrip(".")
        groups.setdefault(head[2].strip(), []).append((f"[{code}](codes/{code}.md)", head[1], summary))
    parts = [CODES]
    table_head = ("code", "severity", "summary")
    parts += [f"## {group}\n\n{table(table_head, iter(rows))}" for group, rows in sorted(groups.items())]
    return "\n".join(parts)


def reference() -> str:
    """Return the reference of the language, with the current tables and grammar."""
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    return _PART.sub(lambda match: f"{match[1]}{SECTIONS[match[2]]()}{match[3]}", text)


def decisions() -> str:
    """Return the index of decisions, by number."""
    records = sorted(path for path in (DOCS / "decisions").glob("*.md") if path.name != "index.md")
    titles = ((path.name, path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")) for path in records)
    lines = [f"- [{title}]({name})" for name, title in titles]
    return (
        "<!-- made by python -m docs.site.pages -->\n\n# Decisions\n\n"
        "Records with context, decision, consequences and alternatives.\n\n" + "\n".join(lines) + "\n"
    )


def neurons() -> str:
    """Return the page about neurons, with the current library."""
    text = (DOCS / "neurons.md").read_text(encoding="utf-8")
    library = shipped_networks()["neurons"].read_text(encoding="utf-8")
    fence = f'```sewdsl title="neurons.net"\n{library}```\n'
    return _FROM_CODE.sub(lambda match: f"{match[1]}{fence}{match[2]}", text)


def differences() -> str:
    """Return the page about differences, with the current claims."""
    text = (DOCS / "differences.md").read_text(encoding="utf-8")
    return _FROM_CODE.sub(lambda match: f"{match[1]}{claims()}{match[2]}", text)


def energy() -> str:
    """Return the page about published energies, with the current computed energies."""
    text = (DOCS / "published-energies.md").read_text(encoding="utf-8")
    return _FROM_CODE.sub(lambda match: f"{match[1]}{energies()}{match[2]}", text)


def commands() -> str:
    """Return the page of commands, with the current help of every argument and option."""
    from typer.main import get_command  # noqa: PLC0415 -- only this page needs it

    from sewdsl.cli.app import build_app  # noqa: PLC0415 -- only this page needs it

    def described(name: str, command: Any) -> Iterator[str]:
        if hasattr(command, "commands"):
            for part, inner in command.commands.items():
                yield from described(f"{name} {part}", inner)
            return
        yield f"### sewdsl {name}\n\n{command.help}\n"
        rows = (
            (f"`{_written(parameter)}`", " ".join((parameter.help or "").split()), _printed_default(parameter))
            for parameter in command.params
            if parameter.name != "help"
        )
        yield table(("argument or option", "description", "default"), rows)

    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    group: Any = get_command(build_app())
    sections = "\n".join(part for name, command in group.commands.items() for part in described(name, command))
    return _FROM_CODE.sub(lambda match: f"{match[1]}{sections}{match[2]}", text)


def _written(parameter: Any) -> str:
    """Return the spelling of an argument or option in the help, with the metavar of its value."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    kind = parameter.type_descriptor.annotation
    choices = "|".join(get_args(kind)) if get_origin(kind) is Literal else ""
    return names if parameter.is_flag else f"{names} {parameter.metavar or choices}".rstrip()


def _printed_default(parameter: Any) -> str:
    """Return the default of a parameter as in the help; empty for no default and for a switch that is off."""
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    default = parameter.default if parameter.show_default else None
    if default is True:
        return str(parameter.opts[0].removeprefix("--"))
    return "" if default is None or default is False or parameter.required else str(default)


_PART = re.compile(r"(<!-- made from the code: ([\w-]+) -->\n\n).*?(\n<!-- to here -->)", re.DOTALL)
_FROM_CODE = re.compile(r"(<!-- made from the code -->\n\n).*?(\n<!-- to here -->)", re.DOTALL)
_PAGE_HEAD = re.compile(r"^\*(\w+) · ([^*]+)\*$", re.MULTILINE)
_SENTENCE_END = re.compile(r"\.\s+(?=[A-Z`'])")
"""End of a sentence. Abbreviations such as 'et al. 2021' and 'Sec. 3' do not match."""


def targets() -> str:
    """Return the page about targets, with the limits and sources of their records."""
    sections = []
    for target in TARGETS.values():
        sources = [f"[{title}]({address.removeprefix('docs/')})" for title, address in target.sources]
        limits, unknown, listed = (
            "\n".join(f"- {item}" for item in items) for items in (target.limits, target.unknown, sources)
        )
        heading = f"### {target.name}\n\n{target.title[:1].upper()}{target.title[1:]}."
        sections.append(f"{heading}\n\n{limits}\n\nUnknown:\n\n{unknown}\n\nSources:\n\n{listed}\n")
    text = (DOCS / "targets.md").read_text(encoding="utf-8")
    return _FROM_CODE.sub(lambda match: f"{match[1]}{chr(10).join(sections)}{match[2]}", text)


PAGES: dict[str, Callable[[], str]] = {
    "reference.md": reference,
    "catalogue.md": kinds,
    "networks.md": networks,
    "zoo.md": zoo,
    "c-networks.md": c_networks,
    "diagnostics.md": codes,
    "commands.md": commands,
    "differences.md": differences,
    "published-energies.md": energy,
    "neurons.md": neurons,
    "targets.md": targets,
    "decisions/index.md": decisions,
}
"""Functions that generate pages, by path relative to docs/."""


def made(name: str) -> str:
    """Return the generated page, with consecutive empty lines merged."""
    return re.sub(r"\n{3,}", "\n\n", PAGES[name]())


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(made(name), encoding="utf-8")
