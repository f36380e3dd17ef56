"""Figures for papers: of a width, with legible type, in greys, blocks once in full, and as PDF."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.draw import THEMES, PictureLook, RenderingError, ThemeName, dot, mermaid, read_length, render_picture
from sewdsl.draw.measure import Measure
from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureCall,
    PictureItem,
    Wiring,
    drawn_layers,
    frame_depth,
    picture_items,
)
from sewdsl.draw.placement import _Row, possible_stops
from sewdsl.draw.style import BLOCK, CALL, FAMILIES, FOLD, OTHER, PLAIN, STROKES, VALUE
from sewdsl.ir.network import Network
from tests.draw.conftest import Drawing
from tests.draw.scenes import assert_readable, scenes
from tests.draw.test_values import CROSSED
from tests.words import check_words, raises

Networks = Callable[[str], Network]
Parse = Callable[[str], Drawing]
SVG = "{http://www.w3.org/2000/svg}"
PAPER = ["7b-net", "sew-resnet-18", "sew-resnet-50", "spikformer-8-512", "spiking-unet"]
WIDTH = read_length("397pt")
LEAST = 5.0
PRINT = PictureLook("print", width=WIDTH)


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["draw", *arguments])


def page_size(pdf: bytes) -> tuple[float, ...]:
    """Width and height of the only page, in points."""
    assert pdf.count(b"/Type /Page ") == 1
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    return tuple(map(float, box))


def contents(pdf: bytes) -> bytes:
    """Return all streams of a PDF, decompressed."""
    streams = re.findall(rb"/FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return b"\n".join(zlib.decompress(stream) for stream in streams)


class TestPdf:
    def test_vectors_and_embedded_fonts(self, networks: Networks) -> None:
        pdf = render_picture(networks("7b-net"), "pdf")
        assert pdf.startswith(b"%PDF-")
        assert b"/Subtype /Image" not in pdf
        assert b"/Type3" not in pdf
        assert pdf.count(b"/FontFile2") >= 2  # plain and bold
        curves = len(re.findall(rb" c$", contents(pdf), re.MULTILINE))
        assert curves > 50  # each rounded box has eight

    def test_as_large_as_the_svg(self, networks: Networks) -> None:
        root = ET.fromstring(render_picture(networks("7b-net"), "svg"))  # noqa: S314 -- made right here
        expected = [float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")]
        assert page_size(render_picture(networks("7b-net"), "pdf")) == pytest.approx(expected)

    @pytest.mark.parametrize("width", ["397pt", "400px"])
    def test_as_wide_as_asked_for(self, networks: Networks, width: str) -> None:
        length = read_length(width)
        pdf = render_picture(networks("nested"), "pdf", look=PictureLook(width=length))
        assert page_size(pdf)[0] == pytest.approx(length.points, abs=0.01)

    def test_everything_is_on_the_page(self, networks: Networks) -> None:
        """With a wrong transform, most items are beyond the page."""
        pdf = render_picture(networks("7b-net"), "pdf", look=PRINT)
        width, height = page_size(pdf)
        moves = re.findall(rb"^([-\d.]+) ([-\d.]+) [ml]$", contents(pdf), re.MULTILINE)
        assert len(moves) > 30
        assert all(-0.1 <= float(x) <= width + 0.1 and -0.1 <= float(y) <= height + 0.1 for x, y in moves)

    def test_the_same_bytes_each_time(self, networks: Networks) -> None:
        assert render_picture(networks("plain"), "pdf") == render_picture(networks("plain"), "pdf")

    @pytest.mark.parametrize("name", ["$x_1$", "中文", "a\\b"])
    def test_names_are_only_text(self, draw: Callable[..., Result], tmp_path: Path, name: str) -> None:
        (tmp_path / "a.net").write_text(f'sewdsl 1\nnetwork "{name}"\ninput 3\nbody FC2\n', encoding="utf-8")
        result = draw("a.net", "-o", "a.pdf")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "a.pdf\n", "")

    def test_says_what_to_install(self, draw: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sewdsl.draw.picture_file.renderers", lambda: ())
        result = draw("7b-net", "--format", "pdf")
        assert result.exit_code == 1
        assert "pip install graphviz-pure" in result.stderr


class TestWidth:
    @pytest.mark.parametrize("collapse", [False, True])
    @pytest.mark.parametrize("name", PAPER)
    def test_has_it_and_is_legible(self, networks: Networks, name: str, *, collapse: bool) -> None:
        svg = render_picture(networks(name), "svg", collapse=collapse, look=PRINT)
        root = ET.fromstring(svg)  # noqa: S314 -- made right here
        assert root.attrib["width"] == "397pt"
        (scale,) = re.findall(r"scale\(([\d.]+) ", root[0].attrib["transform"])
        sizes = [float(element.attrib["font-size"]) * float(scale) for element in root.iter(f"{SVG}text")]
        assert min(sizes) >= LEAST
        assert max(sizes) <= 17

    @pytest.mark.parametrize("direction", ["TB", "LR"])
    @pytest.mark.parametrize("name", ["plain", "7b-net", "sew-resnet-18"])
    def test_nothing_is_cut_off(self, networks: Networks, name: str, direction: str) -> None:
        look = PictureLook(width=read_length("900pt"))
        svg = render_picture(networks(name), "svg", direction="LR" if direction == "LR" else "TB", look=look)
        root = ET.fromstring(svg)  # noqa: S314 -- made right here
        (scale, left, top) = map(float, re.findall(r"scale\(([\d.]+) .*translate\((\S+) (\S+)\)", svg.decode())[0])
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        paths = [element.attrib["d"] for element in root.iter(f"{SVG}path")]
        for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", " ".join(paths)):
            assert 0 <= (float(x) + left) * scale <= width
            assert 0 <= (float(y) + top) * scale <= height

    def test_columns_are_chosen_so_that_it_fits_a_page(self, networks: Networks) -> None:
        root = ET.fromstring(render_picture(networks("sew-resnet-18"), "svg", collapse=True, look=PRINT))  # noqa: S314
        assert float(root.attrib["height"].removesuffix("pt")) < 1.25 * 397

    def test_a_small_network_is_not_blown_up(self) -> None:
        text = dot(sewdsl.load("FC2", input="3"), look=PRINT)
        assert re.findall(r'viewport="([^"]*)"', text)[0].startswith("397.00,")
        assert re.findall(r'viewport="[^,]*,[^,]*,([^"]*)"', text) == ["1.00000"]

    @pytest.mark.parametrize(("width", "size"), [("600px", 600), ("300pt", 600), ("100mm", 567)])
    def test_pixels_of_a_png(self, networks: Networks, width: str, size: int) -> None:
        picture = render_picture(networks("nested"), "png", look=PictureLook(width=read_length(width)))
        assert struct.unpack(">I", picture[16:20]) == (size,)

    def test_too_narrow_to_be_read(self, draw: Callable[..., Result], tmp_path: Path) -> None:
        result = draw("7b-net", "--width", "300pt", "--direction", "LR", "-o", "a.svg")
        assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
        assert re.fullmatch(
            r"error: cannot draw 7B-Net: 300pt is too narrow: the smallest text would have 2\.\dpt, below "
            r"the minimum of 5pt; use --width [\d.]+pt or --direction TB\n",
            result.stderr,
        )
        (needed,) = re.findall(r"--width (\S+)", result.stderr)
        assert draw("7b-net", "--width", needed, "--direction", "LR", "-o", "a.svg").exit_code == 0
        result = draw("7b-net", "--width", "150pt", "-o", "b.svg")
        assert result.stderr.endswith(" or --no-title\n")
        assert draw("7b-net", "--width", "150pt", "--no-title", "-o", "b.svg").exit_code == 0

    def test_higher_than_a_page(self, draw: Callable[..., Result]) -> None:
        for suffix in ("svg", "pdf", "png"):
            result = draw("sew-resnet-50", "--width", "397pt", "-o", f"a.{suffix}")
            assert re.fullmatch(
                r"note: the diagram is \d+pt high, but a page has 648pt; "
                r"reduce the height with --collapse, --depth 0 or a larger --width\n",
                result.stderr,
            )
        assert draw("7b-net", "--width", "397pt", "-o", "b.svg").stderr == ""

    def test_a_larger_width_is_lower_where_that_is_said(self, draw: Callable[..., Result]) -> None:
        """A wide picture is as high as a page, not as its width allows."""
        for width in ("800pt", "1200pt"):
            assert draw("sew-resnet-152", "--collapse", "--width", width, "-o", f"{width}.svg").stderr == ""

    def test_not_every_number_of_columns_is_tried(self) -> None:
        """A picture of a network of any length is laid out a few times."""
        network = sewdsl.load("c8k3-BN-IF-" + "{c8k3-BN-IF-c8k3s1p1-BN-IF}*1-" * 300 + "GAP-FC10", input="2x16x16")
        items = picture_items(network)
        measure = Measure(Wiring(network, items), items, vertical=True, narrow=True)
        ways = list(possible_stops(measure, items, 1e9))
        assert len(ways) < 50
        assert len(ways[-1]) > 500

    @pytest.mark.parametrize("vertical", [True, False])
    def test_groups_of_a_row(self, networks: Networks, *, vertical: bool) -> None:
        """Input and readout have no column of their own, and one column of all groups is as long as the items."""
        network = networks("7b-net")
        items = picture_items(network)
        measure = Measure(Wiring(network, items), items, vertical=vertical, narrow=True)
        row, end = _Row(measure, items), len(items)
        assert row.items_until(range(1, len(row.ends) + 1)) == [2, 3, 4, 5, 7]
        length, ends = row.even(1)
        assert length == pytest.approx(measure.sequence(measure.lanes.column(0, end)).length)
        assert ends == [len(row.ends)]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("3", "'3' has no unit; expected one of pt, mm, cm, in, px, e.g. 3pt"),
            ("3em", "'3em' has the unknown unit 'em'; expected one of pt, mm, cm, in, px"),
            ("-4pt", "'-4pt' is not a length; expected a number with one of the units"),
            ("nan", "'nan' is not a length"),
            ("", "'' is not a length"),
            ("1mm", "'1mm' is 2.83465pt; expected 36pt to 14400pt"),
            ("9" * 400 + "in", "in' is infpt; expected 36pt to 14400pt"),
        ],
    )
    def test_no_width(self, draw: Callable[..., Result], text: str, said: str) -> None:
        result = draw("7b-net", "--width", text)
        assert result.exit_code == 2
        assert f"error: --width {said}" in result.stderr or said in result.stderr

    def test_not_of_mermaid(self, draw: Callable[..., Result], networks: Networks) -> None:
        result = draw("7b-net", "--width", "3in", "--format", "mermaid")
        assert result.exit_code == 2
        check_words(result.stderr)
        with raises(ValueError, "2"):
            render_picture(networks("plain"), "mermaid", look=PRINT)

    @pytest.mark.parametrize("text", ["397pt", "14CM", "5.5 in", ".5in"])
    def test_lengths(self, text: str) -> None:
        assert read_length(text).points == pytest.approx(
            {"397pt": 397, "14CM": 396.85, "5.5 in": 396}.get(text, 36), 1e-4
        )


class TestTitleAndLegend:
    def test_left_out(self, draw: Callable[..., Result]) -> None:
        plain = draw("7b-net", "--format", "dot").stdout
        assert ("parameters</font>" in plain, "real values" in plain) == (True, True)
        bare = draw("7b-net", "--format", "dot", "--no-title", "--no-legend").stdout
        assert ("parameters</font>" in bare, "real values" in bare) == (False, False)
        assert "7B-Net" in bare  # of the graph itself

    def test_of_mermaid(self, networks: Networks) -> None:
        assert "title: " in mermaid(networks("7b-net"))
        assert "title: " not in mermaid(networks("7b-net"), look=PictureLook(title=False))


def grey(colour: str) -> float:
    """Return the lightness of a colour from 0 to 1, as printed without colours (Rec. 601)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def luminance(colour: str) -> float:
    """Return the luminance of a colour (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class TestThemes:
    LOOKS = (OTHER, BLOCK, CALL, FOLD, VALUE, *(look for _, look in FAMILIES))

    @pytest.mark.parametrize("theme", THEMES)
    def test_words_can_be_read(self, theme: ThemeName) -> None:
        colours = PictureLook(theme).colours
        background = {"white": "#FFFFFF"}.get(colours.background, colours.background)
        for look in self.LOOKS:
            assert contrast(colours.ink, colours.family(look).fill) >= 7, look
        assert contrast(colours.muted, background) >= 4.5

    def test_print_is_grey_and_tells_families_apart(self) -> None:
        colours = PictureLook("print").colours
        looks = [colours.family(look) for look in (OTHER, *(look for _, look in FAMILIES))]
        for look in looks:
            assert len({look.fill[i : i + 2] for i in (1, 3, 5)}) == 1
        boxes = [look for look in looks if look.name not in {"terminal", "join"}]  # they have a shape or a place
        for one, other in combinations(boxes, 2):
            apart = abs(grey(one.fill) - grey(other.fill)) >= 0.06
            assert apart or one.border != other.border, (one, other)

    def test_print_tells_lines_apart(self) -> None:
        lines = [PictureLook("print").colours.stroke(stroke) for stroke in STROKES]
        for one, other in combinations(lines, 2):
            wider = max(one.width, other.width) / min(one.width, other.width) >= 2
            assert wider or abs(grey(one.color) - grey(other.color)) >= 0.4
            assert one.sample != other.sample or abs(grey(one.color) - grey(other.color)) >= 0.4

    @pytest.mark.parametrize("theme", THEMES)
    @pytest.mark.parametrize("name", ["7b-net", "sew-resnet-50"])
    def test_only_its_colours_occur(self, networks: Networks, theme: ThemeName, name: str) -> None:
        texts = [
            dot(networks(name), collapse=True, look=PictureLook(theme)),
            mermaid(networks(name), look=PictureLook(theme)),
        ]
        light = set(re.findall("#[0-9A-F]{6}", dot(networks(name), collapse=True)))
        for text in texts:
            found = set(re.findall("#[0-9A-F]{6}", text))
            if theme == "print":
                assert all(len({colour[i : i + 2] for i in (1, 3, 5)}) == 1 for colour in found)
            elif theme == "dark":
                assert not found & light - {"#98A2B3", "#667085"}

    def test_light_is_the_default(self, draw: Callable[..., Result]) -> None:
        arguments = ("7b-net", "--format", "dot")
        assert draw(*arguments).stdout == draw(*arguments, "--theme", "LIGHT").stdout
        assert 'bgcolor="#101828"' in draw(*arguments, "--theme", "dark").stdout
        result = draw(*arguments, "--theme", "blue")
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (
            2,
            "error: --theme must be light, dark or print, got 'blue'",
        )


def walk(items: tuple[PictureItem, ...]) -> list[PictureItem]:
    found: list[PictureItem] = []
    for item in items:
        found.append(item)
        for part in (*getattr(item, "operands", ()), *(getattr(item, name, ()) for name in ("items", "body"))):
            found += walk(part)
    return found


class TestCollapse:
    def calls(self, network: Network, *, expand: bool = False) -> tuple[list[str], list[tuple[str, str, str]]]:
        """Names of the blocks in full, and of the boxes with arguments and copies."""
        items = walk(picture_items(network, collapse=True, expand=expand))
        full = [item.label for item in items if isinstance(item, PictureBlock)]
        return full, [(item.title, item.arguments, item.note) for item in items if isinstance(item, PictureCall)]

    def test_each_block_once(self, networks: Networks) -> None:
        full, boxes = self.calls(networks("sew-resnet-18"))
        assert full == ["SEW Block A", "SEW Block B"]
        assert boxes == [
            ("SEW Block A", "c128", ""),
            ("SEW Block B", "c256s2", ""),
            ("SEW Block A", "c256", ""),
            ("SEW Block B", "c512s2", ""),
            ("SEW Block A", "c512", ""),
        ]

    def test_folded_boxes_say_how_many(self, networks: Networks) -> None:
        full, boxes = self.calls(networks("sew-resnet-50"))
        assert full == ["SEW Bottleneck A", "SEW Bottleneck B"]
        assert ("SEW Bottleneck B", "c256", "×5") in boxes

    def test_with_every_copy(self, networks: Networks) -> None:
        full, boxes = self.calls(networks("sew-resnet-50"), expand=True)
        assert len(full) == 2
        assert len(boxes) == 14

    def test_one_name_needs_no_letter(self, networks: Networks) -> None:
        assert self.calls(networks("spiking-unet"))[0] == ["Double Conv"]
        assert {title for title, *_ in self.calls(networks("spiking-unet"))[1]} == {"Double Conv"}

    def test_another_join_or_neuron_is_another_block(self) -> None:
        text = "c4k3-BN-IF-SEW Block (c4, g=IAND)-IF-SEW Block (c4, g=AND)-SEW Block (c4, g=IAND)-FC2"
        full, boxes = self.calls(sewdsl.load(text, input="2x8x8"))
        assert full == ["SEW Block A", "SEW Block B"]
        assert [title for title, *_ in boxes] == ["SEW Block A"]

    @pytest.mark.parametrize("expand", [False, True])
    @pytest.mark.parametrize("name", [*PAPER, "projection", "plif-net-dvs-gesture", "spikedhs-cell", "qkformer-10-384"])
    def test_no_node_is_lost_and_every_edge_is_drawn(
        self, networks: Networks, parsed: Parse, name: str, *, expand: bool
    ) -> None:
        network = networks(name)
        items = picture_items(network, expand=expand, collapse=True)
        layers = list(drawn_layers(items))
        inside = [
            index
            for layer in layers
            for index in (sum(layer.inside, ()) if isinstance(layer, PictureCall) else layer.nodes)
        ]
        assert sorted(inside) == list(range(len(network)))
        wiring = Wiring(network, items)
        drawing = parsed(dot(network, expand=expand, collapse=True))
        assert drawing.layers == {wiring.name(layer) for layer in layers}
        expected = sorted((wiring.name(source), wiring.name(target)) for source, target, _ in wiring.edges)
        assert sorted(drawing.joined()) == expected
        for layer in layers:
            if isinstance(layer, PictureCall):
                assert len(layer.inside) == len(layer.nodes)

    def test_a_block_that_reads_two_values_is_a_box_too(self) -> None:
        text = (
            "sewdsl 1\ninput 2x4x4\nneuron IF\nblock Pair[a | b] = ADD[a-BN | b]\n"
            "let x = c2k1\nlet y = Pair[x | x-BN]\nbody Pair[x | y]-c3k1-GAP-FC3\n"
        )
        network = sewdsl.load(text)
        full, _ = self.calls(network)
        assert full.count("Pair") == 1
        ((wiring, made),) = scenes(network, collapse=True)
        assert_readable(wiring, made)
        (box,) = (layer for layer in wiring.layers if isinstance(layer, PictureCall))
        sources = [wiring.name(source) for source, target, _ in wiring.all_edges if target == box]
        assert sources == ["x.conv1", "y.pair1.add1"]

    def test_of_mermaid(self, networks: Networks) -> None:
        text = mermaid(networks("sew-resnet-18"), collapse=True)
        assert 'SEW Block B<br/>c256 s2"' in text
        assert ":::block_call" in text
        assert "classDef block_call" in text
        assert "block_call" not in mermaid(networks("sew-resnet-18"))

    def test_the_command(self, draw: Callable[..., Result], networks: Networks) -> None:
        assert draw("sew-resnet-18", "--collapse", "--format", "dot").stdout == dot(
            networks("sew-resnet-18"), collapse=True
        )


class TestDepth:
    @pytest.mark.parametrize(("name", "depth"), [("spikformer-8-512", 1), ("qkformer-10-768", 0)])
    def test_large_networks_fit_a_page(self, draw: Callable[..., Result], name: str, depth: int) -> None:
        arguments = (name, "--collapse", "--width", "397pt", "-o", "a.svg", "--overwrite")
        assert f"reduce the height with --depth {depth} or a larger --width\n" in draw(*arguments).stderr
        result = draw(*arguments, "--depth", str(depth))
        assert (result.exit_code, "pt high" in result.stderr) == (0, False)

    @pytest.mark.parametrize("depth", range(3))
    @pytest.mark.parametrize("name", ["qkformer-10-384", "spikedhs-cell", "snasnet-backward", "nested", "seven"])
    def test_no_node_is_lost_and_every_edge_is_drawn(self, networks: Networks, name: str, depth: int) -> None:
        network = networks(name)
        items = picture_items(network, depth=depth)
        assert frame_depth(items) <= depth
        layers = drawn_layers(items)
        nodes = [layer.inside if isinstance(layer, PictureCall) else (layer.nodes,) for layer in layers]
        assert sorted(index for copies in nodes for copy in copies for index in copy) == list(range(len(network)))
        for wiring, made in scenes(network, depth=depth):
            assert_readable(wiring, made)

    def test_repeats_are_boxes_too(self, networks: Networks) -> None:
        layers = drawn_layers(picture_items(networks("nested"), depth=1))
        (box,) = (layer for layer in layers if isinstance(layer, PictureCall))
        assert (box.title, box.note, len(box.inside)) == ("c-BN-LIF", "×3", 6)

    def test_all_levels_change_nothing(self, networks: Networks) -> None:
        assert dot(networks("nested"), depth=2) == dot(networks("nested"))
        assert mermaid(networks("nested"), depth=2) == mermaid(networks("nested"))
        assert "×3 " not in mermaid(networks("nested"), depth=0)

    def test_no_depth(self, draw: Callable[..., Result]) -> None:
        assert draw("7b-net", "--depth", "-1").exit_code == 2


class TestLegend:
    def words(self, network: Network, look: PictureLook = PLAIN, *, collapse: bool = False) -> list[str]:
        rows = [line for line in dot(network, look=look, collapse=collapse).splitlines() if '"/legend/' in line]
        return [words for row in rows for words in re.findall("&nbsp;<font[^>]*>(.*?)</font>", row)]

    def test_says_what_occurs(self, networks: Networks) -> None:
        lines = ["spikes, 0 or 1", "real values"]
        assert self.words(networks("plain")) == lines
        assert self.words(networks("nested")) == [*lines, "equal copies, drawn once"]
        strokes = ["spikes, 0 or 1", "counts, 0 to k", "real values"]
        assert self.words(networks("sides")) == [*strokes, "value with several readers"]
        named = sewdsl.load(CROSSED)
        assert self.words(named) == [*lines, "value with several readers", "block", "named value"]
        assert self.words(named, collapse=True)[-1] == "block, drawn as one box"
        assert self.words(networks("plain"), PictureLook("print")) == [*lines, "pooling, upsampling"]
        assert self.words(networks("sew-resnet-18"))[3] == "equal at every time-step"

    def test_has_the_arguments_of_all_neurons_of_a_kind(self) -> None:
        text = "c4k3-LIF(tau=3.0)-c4k3-LIF(tau=3.0, v_threshold=0.5)-PLIF-c4k3-IF(v_reset=none)-FC2"
        network = sewdsl.load(text, input="2x8x8", steps=2)
        assert self.words(network)[-1] == "LIF: tau = 3.0"
        drawn = dot(network)
        assert ("tau = 3.0</font>" in drawn.partition("/legend/")[0], "v_threshold = 0.5" in drawn) == (False, True)
        assert "v_reset = none" in drawn.partition("/legend/")[0]  # of a single one
        bare = dot(network, look=PictureLook(legend=False))
        assert bare.count("tau = 3.0</font>") == 2

    def test_is_as_wide_as_the_picture(self, networks: Networks) -> None:
        """More entries than have room take several rows, each below the other."""
        drawn = dot(networks("sew-resnet-18"), collapse=True, look=PRINT)
        rows = re.findall(r'"/legend/\d".* pos="([-\d.]+),([-\d.]+)"', drawn)
        assert len(rows) > 1
        assert len({x for x, _ in rows}) == 1
        heights = [float(y) for _, y in rows]
        assert heights == sorted(heights, reverse=True)


class TestFirstCopies:
    def notes(self, text: str) -> list[str]:
        """Return the lines below the names of frames."""
        drawn = dot(sewdsl.load(text, input="2x8x8", neuron="IF"))
        return re.findall(r'<br align="left"/><font [^>]*>(.*?)</font></td>', drawn)

    @pytest.mark.parametrize(
        ("text", "notes"),
        [
            ("c4k3-BN-IF-{SEW Block (c8)}*3-FC2", ["differs: shortcut c8 k1 s1-BN-IF"]),
            ("c4k3-BN-IF-{SEW Block (c4)}*3-FC2", []),
            ("{c4k3-BN-IF}*3-FC2", ["copy 1 reads 2×8×8"]),
            ("{c2k3-BN-IF}*3-FC2", []),
            ("{c4k3s2-BN-IF}*3-FC2", ["(2→4)×(8→4→2→1)²"]),
            ("{{c4k3-BN}*2-c2k1}*2-FC2", ["copy 1 reads 2×8×8"]),
        ],
    )
    def test_are_said_to_differ(self, text: str, notes: list[str]) -> None:
        assert self.notes(text) == notes


def test_errors_are_ours(networks: Networks) -> None:
    with pytest.raises(RenderingError, match="too narrow"):
        dot(networks("sew-resnet-152"), direction="LR", look=PictureLook(width=read_length("1in")))
