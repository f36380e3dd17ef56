"""SVG and PNG, by whichever renderer is there, and what is said where none is."""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

import sewdsl
from sewdsl.draw import RenderingError, dot, render
from sewdsl.draw.labels import LONGEST_NAME
from sewdsl.ir.network import Network
from tests.words import raises

Networks = Callable[[str], Network]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(params=["pip", "system"])
def renderer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make one of the two renderers available."""
    if request.param == "system":
        system = shutil.which("dot")
        if not system:
            pytest.skip("no system Graphviz here")
        monkeypatch.setattr("sewdsl.draw.picture_file.renderers", lambda: (Path(system),))
    else:
        monkeypatch.setenv("PATH", "")
    return str(request.param)


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Hide all renderers outside a folder."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(folder))
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def script(folder: Path, name: str, body: str) -> None:
    """A program in a folder."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.mark.parametrize("name", ["seven", "nested", "projection", "sides", "sew-resnet-152"])
def test_svg(networks: Networks, renderer: str, name: str) -> None:
    network = networks(name)
    root = ET.fromstring(render(dot(network), "svg"))  # noqa: S314 -- made right here
    assert root.tag == f"{SVG}svg"
    texts = {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}
    assert {"input", "spikes, 0 or 1", "real values", f"mean over {network.settings.steps} steps"} <= texts
    assert any("parameters" in text for text in texts)


def test_texts_of_an_svg(networks: Networks, renderer: str) -> None:
    root = ET.fromstring(render(dot(networks("7b-net")), "svg"))  # noqa: S314 -- made right here
    texts = ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]
    expected = ["7B-Net", "×7", "32×(128→64→…→1)²", "SEW Block", "c32 k3 s1", "BN", "PLIF", "ADD", "MP k2 s2", "FC11"]
    assert [text for text in expected if text not in texts] == []
    assert texts.count("PLIF") == 3


def test_a_hostile_name_in_an_svg(renderer: str) -> None:
    name = 'a "b" <i>c</i> \\n & &amp; \\'
    network = replace(sewdsl.load("FC2", input="3"), name=name)
    root = ET.fromstring(render(dot(network), "svg"))  # noqa: S314 -- made right here
    assert name in {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}


@pytest.mark.parametrize("name", ["mnist5k", "7b-net", "tiny", "sew-resnet-50", "m" * 80])
def test_the_title_has_room_in_a_wider_font(renderer: str, name: str) -> None:
    network = replace(sewdsl.load("mnist5k"), name=name) if len(name) == LONGEST_NAME else sewdsl.load(name)
    root = ET.fromstring(render(dot(network), "svg"))  # noqa: S314 -- made right here
    x, _, width, _ = map(float, root.attrib["viewBox"].split())
    shifted = float(root[0].attrib["transform"].rpartition("translate(")[2].split()[0])
    for element in list(root.iter(f"{SVG}text"))[:2]:
        substitute = FontProperties(family="DejaVu Sans", weight=element.get("font-weight", "normal"))
        text = TextPath((0, 0), element.text or "", size=float(element.attrib["font-size"]), prop=substitute)
        start = shifted + float(element.attrib["x"])
        assert element.get("text-anchor") == "start"
        assert x <= start
        assert start + text.get_extents().x1 <= x + width


@pytest.mark.parametrize("name", ["tdbn-resnet-17", "maxformer-cifar"])
def test_labels_fit_their_boxes_in_a_wider_font(renderer: str, name: str) -> None:
    root = ET.fromstring(render(dot(sewdsl.load(name)), "svg"))  # noqa: S314 -- made right here
    nodes = [group for group in root.iter(f"{SVG}g") if group.get("class") == "node"]
    looked = 0
    for node in nodes:
        outline = next(node.iter(f"{SVG}path"), None)
        if outline is None or (node.findtext(f"{SVG}title") or "").startswith("/legend"):
            continue
        xs = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", outline.attrib["d"])]
        for element in node.iter(f"{SVG}text"):
            font = FontProperties(family="DejaVu Sans")
            width = TextPath((0, 0), element.text or "", size=float(element.attrib["font-size"]), prop=font)
            assert element.get("text-anchor") == "middle"
            assert float(element.attrib["x"]) == pytest.approx((min(xs) + max(xs)) / 2, abs=0.1)
            assert width.get_extents().width <= max(xs) - min(xs)
            looked += 1
    assert looked > len(nodes) / 2


@pytest.mark.parametrize("name", ["seven", "plain", "sew-resnet-50"])
def test_png(networks: Networks, renderer: str, name: str) -> None:
    picture = render(dot(networks(name)), "png")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert 300 < width < 4000
    assert 800 < height < 4000


def test_no_renderer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone(monkeypatch, tmp_path)
    with pytest.raises(RenderingError, match="pip install graphviz-pure"):
        render("digraph {}", "svg")


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts stand for the renderers")
class TestBrokenRenderers:
    def test_failure(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        script(tmp_path, "dot", "echo first >&2; echo 'no such font' >&2; exit 3")
        alone(monkeypatch, tmp_path)
        with raises(RenderingError):
            render("digraph {}", "svg")

    def test_silence(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        script(tmp_path, "graphviz-pure", "exit 0")
        alone(monkeypatch, tmp_path)
        with raises(RenderingError):
            render("digraph {}", "svg")

    def test_the_other_one_helps_out(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        script(tmp_path, "graphviz-pure", "exit 1")
        script(tmp_path, "dot", "echo picture")
        alone(monkeypatch, tmp_path)
        assert render("digraph {}", "svg") == b"picture\n"

    def test_pictures_do_not_depend_on_a_system_graphviz(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, networks: Networks
    ) -> None:
        text = dot(networks("plain"))
        expected = render(text, "svg")
        script(tmp_path, "dot", "echo another picture")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        assert render(text, "svg") == expected

    def test_timeout(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        script(tmp_path, "dot", "exec /bin/sleep 30")
        alone(monkeypatch, tmp_path)
        began = time.monotonic()
        with raises(RenderingError):
            render("digraph {}", "svg", timeout=0.2)
        assert time.monotonic() - began < 5

    def test_not_a_program(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        file = tmp_path / "dot"
        file.write_bytes(b"\x00not a program")
        file.chmod(0o755)
        alone(monkeypatch, tmp_path)
        with pytest.raises(RenderingError, match="cannot run"):
            render("digraph {}", "svg")


def test_a_syntax_error_is_reported(renderer: str) -> None:
    with pytest.raises(RenderingError, match="failed with exit status"):
        render("digraph {", "svg")
