"""Networks to draw, and a way to read DOT back."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import sewdsl
from sewdsl.draw.picture_file import renderers
from sewdsl.ir.network import Network

GOLDEN = Path(__file__).parent.parent / "golden" / "draw"

STRINGS = {
    "seven": ("c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11", "2x128x128"),
    "nested": ("{{c16k3-BN-LIF(tau=1.5, v_reset=none)}*3-MPk2s2}*2-DP-FC10", "2x64x64"),
    "projection": ("c8k3-BN-IF-{SEW Block (c16)}*4-GAP-FC10", "3x16x16"),
    "plain": ("MPk4-c64k3-LIF-APk2-c128k3-LIF-FC256-LIF-FC11", "2x128x128"),
    "sides": ("BN-IF-ADD[id | c4k3b1-BN-IF]-ADD[ADD[c4k3-BN-IF | id]-BN-IF | id]-ADD[id | id]-FC2", "4x8x8"),
}


@cache
def load(name: str) -> Network:
    """A network by the name of a string above, or a shipped one."""
    if name not in STRINGS:
        return sewdsl.load(name)
    text, shape = STRINGS[name]
    return sewdsl.load(text, input=shape, steps=4)


@pytest.fixture
def networks() -> Callable[[str], Network]:
    return load


@dataclass(frozen=True)
class Drawing:
    """Content of a DOT text, as read by a renderer.

    Attributes:
        nodes: Attributes by name.
        clusters: Attributes by name.
        edges: Source, target and attributes.
    """

    nodes: dict[str, dict[str, Any]]
    clusters: dict[str, dict[str, Any]]
    edges: list[tuple[str, str, dict[str, Any]]]

    @property
    def layers(self) -> set[str]:
        """The names of the nodes that are layers."""
        return {name for name in self.nodes if "/" not in name}

    def joined(self) -> list[tuple[str, str]]:
        """The edges between layers, with forks contracted."""
        behind = {target: source for source, target, _ in self.edges if target.endswith("/fork")}

        def origin(name: str) -> str:
            while name.endswith("/fork"):
                name = behind[name]
            return name

        return [(origin(a), b) for a, b, _ in self.edges if not b.endswith("/fork") and b != "/readout"]


@pytest.fixture
def parsed() -> Callable[[str], Drawing]:
    """Parse DOT with the parser of Graphviz."""
    return parse


@cache
def parse(dot_text: str) -> Drawing:
    command = [str(renderers()[0]), "-Tdot_json"]
    done = subprocess.run(command, input=dot_text.encode(), capture_output=True, check=True, timeout=60)
    graph = json.loads(done.stdout)
    objects = graph["objects"]
    clusters = {item["name"]: item for item in objects if item["name"].startswith("cluster_")}
    nodes = {item["name"]: item for item in objects if item["name"] not in clusters}
    edges = [(objects[e["tail"]]["name"], objects[e["head"]]["name"], e) for e in graph["edges"]]
    return Drawing(nodes, clusters, edges)


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with a golden file, or write the file if UPDATE_GOLDEN=1."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(text, encoding="utf-8", newline="")
        assert text == file.read_text(encoding="utf-8")

    return compare
