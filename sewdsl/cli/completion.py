"""What a shell offers for an argument that is half typed: names of networks, of codes. No text is read for it.

A shell completes names of files itself where nothing else is offered, and better: it puts no blank after a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sewdsl.resources import resource_folder


def complete_network(incomplete: str) -> list[str]:
    """Shipped networks that begin so."""
    return [name for name in _names("nets", ".net") if name.startswith(incomplete)]


def complete_spec(incomplete: str) -> list[str]:
    """Shipped networks that begin so, and what lies in the current folder: folders, and files that are networks."""
    networks = complete_network(incomplete)
    if not networks:
        return []
    try:
        near = [f"{path.name}/" if path.is_dir() else path.name for path in sorted(Path().glob("[!.]*"))]
    except OSError:
        near = []
    return [*networks, *(name for name in near if name.startswith(incomplete) and name.endswith(("/", ".net")))]


def complete_code(incomplete: str) -> list[str]:
    """Codes of diagnostics that begin so."""
    return [code for code in _names("codes", ".md") if code.startswith(incomplete)]


def complete_schema(incomplete: str) -> list[str]:
    """Outputs with a schema that begin so."""
    from sewdsl.cli.json_output import outputs

    return [name for name in outputs() if name.startswith(incomplete)]


def _names(folder: Literal["nets", "codes"], ending: str) -> list[str]:
    return sorted(path.stem for path in resource_folder(folder).glob(f"*{ending}"))
