"""Effect of the surroundings of a layer: caches, alternatives, names, nested blocks."""

import time
from pathlib import Path

import pytest

import sewdsl
from sewdsl.ir.op import Activation
from tests.systems import make_fifo, make_link
from tests.words import check_words

HEAD = "sewdsl 1\ninput 4x8x8\n"


def codes(text: str, **options: object) -> list[str]:
    if not text.startswith("sewdsl"):
        options.setdefault("input", "2x16x16")
    return [d.code for d in sewdsl.read(text, **options).diagnostics]  # type: ignore[arg-type]


def neurons(text: str, **options: object) -> list[str]:
    network = sewdsl.load(text, **options)  # type: ignore[arg-type]
    return [str(node.op) for node in network if isinstance(node.op, Activation)]


def test_each_call_keeps_its_neuron() -> None:
    calls = "-".join(f"SN-B (SN=LIF(tau={tau}.0))" for tau in range(2, 12))
    text = f"{HEAD}neuron IF\nblock B = g[c4k3-BN-SN(v_threshold=2.0) | id]\nbody {calls}-FC11\n"
    taus = [text.split("tau=")[1] for text in neurons(text) if "LIF" in text]
    assert taus == [f"{tau}.0)" for tau in range(2, 12)]


class TestAlternatives:
    @pytest.mark.parametrize(
        ("first", "code"),
        [
            ("{BN}*$(20000)", "repeat-too-large"),
            ("AD[id|id]", "unknown-name"),
            ("SEW Block (q3)", "unknown-argument"),
            ("c4k3q1", "unknown-argument"),
        ],
    )
    def test_what_is_wrong_is_said(self, first: str, code: str) -> None:
        """Only what does not fit gives way to the other; a mistake does not."""
        assert code in codes(f"c4k3-BN-IF-ADD[c4k3-BN-IF | {first} or id]-FC11")

    @pytest.mark.parametrize("first", ["c3k1", "c4k3s2", "FC3", "GAP-c3k1", "MPk99", "c4k2"])
    def test_what_does_not_fit_gives_way(self, first: str) -> None:
        text = f"c4k3-BN-IF-ADD[c4k3-BN-IF | {first} or id]"
        assert codes(text) == []
        assert sewdsl.load(text, input="2x16x16") == sewdsl.load(text.replace(f"{first} or ", ""), input="2x16x16")

    def test_neuron_before_the_join(self) -> None:
        assert neurons("c4k3-BN-IF-ADD[c4k3-BN-SN | c4k1-BN-SN or id]", input="2x16x16") == neurons(
            "c4k3-BN-IF-ADD[c4k3-BN-IF | c4k1-BN-IF]", input="2x16x16"
        )

    def test_neuron_of_the_alternative_is_nearest(self) -> None:
        found = neurons("IF-ADD[BN-PLIF | BN-LIF or id]-SEW Block-FC2", input="4x8x8")
        assert [text.split("(")[0] for text in found] == ["IF", "PLIF", "LIF", "LIF", "LIF"]

    def test_a_stride_takes_the_projection_even_where_the_shape_stays(self) -> None:
        names = [node.name for node in sewdsl.load("IF-SEW Block (c32s2)", input="32x1x1")]
        assert "sew_block1.shortcut.conv1" in names

    def test_nested_alternatives_end(self) -> None:
        blocks = "".join(f"block A{i} = ADD[c9k1 | A{i - 1}-c3k1 or A{i - 1}-c9k1]\n" for i in range(1, 25))
        began = time.process_time()
        assert codes(f"{HEAD}block A0 = BN\n{blocks}body A24\n", limit={"nodes": 20_000}) == ["network-too-large"]
        assert time.process_time() - began < 20  # a second; without a limit it would not end


class TestNames:
    def test_blocks_that_end_in_a_digit(self) -> None:
        calls = "-".join(["B (c4)"] * 11 + ["B1 (c4)"])
        network = sewdsl.load(f"{HEAD}block B(c) = c$(c)k3\nblock B1(c) = c$(c)k3\nbody {calls}\n")
        assert network.validate()

    def test_blocks_called_like_a_side_of_a_join(self) -> None:
        text = f"{HEAD}block shortcut = c4k3\nbody IF-ADD[BN|id]-ADD[BN|id]-shortcut-shortcut-FC3\n"
        network = sewdsl.load(text).validate()
        assert sum(p.numel() for p in sewdsl.compile(network).parameters()) == network.total_parameters

    @pytest.mark.parametrize("name", ["id", "SN", "g", "BN", "ADD", "ATan", "in"])
    def test_names_of_the_language_are_taken(self, name: str) -> None:
        assert "duplicate-block" in codes(f"{HEAD}block {name} = c4k3\nbody c4k3\n")

    def test_identity_takes_nothing(self) -> None:
        assert codes("IF-ADD[BN | id(foo=3)]") == ["unknown-argument"]


class TestDefinitions:
    @pytest.mark.parametrize(
        ("parameters", "code"),
        [
            ("c, s=c", "invalid-argument"),
            ("c=inn", "invalid-argument"),
            ("c, c", "duplicate-argument"),
            ("SN", "invalid-argument"),
            ("g", "invalid-argument"),
        ],
    )
    def test_parameters(self, parameters: str, code: str) -> None:
        assert code in codes(f"{HEAD}block B({parameters}) = BN\nbody c4k3\n")

    def test_blocks_that_nothing_calls_are_checked(self) -> None:
        text = f"{HEAD}block B(c) = c$(q)k3-BNN-Foo-c$(c/3)k3-SN\nbody c4k3\n"
        assert sorted(codes(text)) == ["unknown-name", "unknown-name", "unknown-parameter"]

    def test_libraries_are_checked(self) -> None:
        text = "sewdsl 1\nblock B(c) = c$(c)k3-Foo\ntrain on mars {\n    foo 3\n    epochs 0\n}\n"
        assert codes(text) == ["unknown-name", "unknown-setting", "invalid-argument"]

    @pytest.mark.parametrize(
        "line", ['network "A"', "input 4x8x8", "input left 4x8x8", "expect parameters 5", "let a = id"]
    )
    @pytest.mark.parametrize("rest", ["", "block B = c4k3\n", "steps 4\ntrain on digits {\n    epochs 3\n}\n"])
    def test_a_line_of_a_network_needs_a_body(self, line: str, rest: str) -> None:
        # Without the line, the rest is a library.
        assert codes(f"sewdsl 1\n{rest or 'join ADD'}\n") == []
        assert codes(f"sewdsl 1\n{line}\n{rest}") == ["missing-body"]

    def test_formula_in_an_argument(self) -> None:
        text = f"{HEAD}block B(c) = c$(c)k3-IF(v_threshold=$(c))\nbody B (c3)\n"
        assert "v_threshold=3" in neurons(text)[0]

    def test_formulas_name_the_way(self) -> None:
        text = f"{HEAD}block B(c) = c$(c/2)k3\nbody B (c6)-B (c5)-B (c7)\n"
        found = sewdsl.read(text).diagnostics
        assert [(d.message, d.path) for d in found] == [
            ("5 / 2 is not an integer", ("body", "B (line 4)", "c$(c/2)k3")),
            ("7 / 2 is not an integer", ("body", "B (line 4)", "c$(c/2)k3")),
        ]

    def test_a_chain_of_blocks_ends(self) -> None:
        chain = "".join(f"block b{i} = b{i + 1}\n" for i in range(300))
        assert codes(f"{HEAD}{chain}block b300 = BN\nbody b0\n") == ["nesting-too-deep"]


class TestNeurons:
    def test_header_arguments_reach_a_named_neuron(self) -> None:
        found = neurons("c4k3-BN-PLIF-SEW Block (c4, SN=PLIF)", input="2x8x8", neuron="PLIF(tau=7.0)")
        assert all("tau=7.0" in text for text in found)

    def test_nearest_before_a_nested_call(self) -> None:
        found = neurons(f"{HEAD}block O = LIF(tau=3.0)-SEW Block\nbody IF-O-FC2\n")
        assert [text.split("(")[0] for text in found] == ["IF", "LIF", "LIF", "LIF"]


class TestEverythingIsSaid:
    def test_each_copy_that_crops(self) -> None:
        assert codes("{c2k3-BN-IF-MPk2}*2", input="2x15x15") == ["cropped-input"] * 2

    def test_a_wrong_recipe_does_not_hide_a_wrong_figure(self) -> None:
        text = (
            f"{HEAD}body FC11\nexpect parameters 5\ntrain on digits {{\n    epochs 0\n    optimizer SGD(lr=0.1)\n}}\n"
        )
        assert codes(text) == ["expectation-failed", "invalid-argument"]

    def test_all_of_a_recipe(self) -> None:
        text = (
            f"{HEAD}body FC11\ntrain on digits {{\n    epochs 0\n    batch -1\n    foo 3\n    optimizer SGD(lr=0)\n}}\n"
        )
        assert sorted(codes(text)) == ["invalid-argument"] * 3 + ["unknown-setting"]

    def test_a_broken_body_is_not_a_missing_one(self) -> None:
        assert codes("c4k3-(") == ["unclosed-bracket"]
        assert codes(f"{HEAD}body c4k3-{{BN\n") == ["unclosed-bracket"]


def test_a_trailing_hyphen_before_a_setting() -> None:
    assert codes("sewdsl 1\ninput 4x8x8\nbody FC11-\nsteps 3\n") == ["trailing-hyphen"]


class TestOverrides:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("neuron.tau.foo", "3.0"),
            ("train.optimizer.lr.x", "0.5"),
            ("readout.foo", "3"),
            ("steps.x", "3"),
            ("neuron.surrogate.alpha.x", "3"),
            ("train.on", "a b/../c"),
        ],
    )
    def test_ways_into_nothing(self, key: str, value: str) -> None:
        assert not sewdsl.read("7b-net", set={key: value}).valid

    def test_way_into_a_default(self) -> None:
        network = sewdsl.load("c4k3-SN", input="2x8x8", neuron="LIF", set={"neuron.surrogate.alpha": 3.0})
        assert "ATan(alpha=3.0" in str(network.nodes[2].op)

    def test_options_are_named_as_typed(self) -> None:
        names = {d.span.source.name for d in sewdsl.read("c4k3", input="2x2x16x16").diagnostics}
        assert names == {"--input"}


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("IF-APk2s2c4k3", "IF-APk2s2-c4k3"),
        ("IF-DP0.5FC2", "IF-DP0.5-FC2"),
        ("IF-FC1FC2", "IF-FC1-FC2"),
        ("IF-MPk2DP0.5", "IF-MPk2-DP0.5"),
    ],
)
def test_hyphen_lost_behind_arguments(text: str, mended: str) -> None:
    (found,) = sewdsl.read(text, input="2x8x8").diagnostics
    assert found.code == "missing-hyphen"
    assert found.help.endswith(f"{mended.removeprefix('IF-')}'")


@pytest.mark.parametrize("text", ["FC11.0", "c4.0k3", "c4k3.0", "LIF(v_threshold=on)", 'LIF(tau="3.0")', "MPk0"])
def test_nothing_is_taken_for_a_number(text: str) -> None:
    assert codes(text) == ["invalid-argument"]


def test_a_long_word_takes_little_time() -> None:
    began = time.process_time()
    assert codes("c32k3" + "x" * 50_000)
    assert time.process_time() - began < 10  # a fraction of a second; with every split tried it would be hours


class TestFiles:
    def test_lone_carriage_returns(self) -> None:
        text = "sewdsl 1\rinput 4x8x8\rbody c4k3-BN-  # note\r  FC3\r"
        assert sewdsl.load(text).nodes[-1].op.kind == "FC"

    def test_special_files(self, tmp_path: Path) -> None:
        make_fifo(tmp_path / "pipe.net")
        assert codes_of(tmp_path / "pipe.net") == ["spec-not-found"]
        make_link(tmp_path / "zero.net", "/dev/zero")
        assert codes_of(tmp_path / "zero.net") == ["spec-not-found"]
        (tmp_path / "big.net").write_bytes(b" " * 300_000)
        assert codes_of(tmp_path / "big.net") == ["source-too-long"]
        assert codes_of(tmp_path) == ["spec-not-found"]
        assert codes_of(Path("no/such")) == ["spec-not-found"]
        assert codes("no/such") == ["spec-not-found"]

    @pytest.mark.parametrize("name", ["a\\0b.net", "loop.net", "pipe.net"])
    def test_uses_of_special_files(self, tmp_path: Path, name: str) -> None:
        make_link(tmp_path / "loop.net", tmp_path / "loop.net")
        make_fifo(tmp_path / "pipe.net")
        main = tmp_path / "main.net"
        main.write_text(f'{HEAD}use "{name}"\nbody c4k3\n'.replace("\\0", "\0"))
        assert codes_of(main)[-1:] == ["use-not-found"]

    def test_marks_and_formats_of_used_files(self, tmp_path: Path) -> None:
        (tmp_path / "bom.net").write_bytes(b"\xef\xbb\xbfsewdsl 1\nsteps 3\n")
        (tmp_path / "lava.net").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
        main = tmp_path / "main.net"
        main.write_text(f'{HEAD}use "bom.net"\nbody c4k3\n')
        assert codes_of(main) == []
        main.write_text(f'{HEAD}use "lava.net"\nbody c4k3\n')
        assert codes_of(main) == ["lava-file"]

    def test_names_through_a_chain(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").touch()
        (tmp_path / "a" / "c").mkdir(parents=True)
        (tmp_path / "m.net").write_text(f'{HEAD}use "a/lib.net"\nbody c4k3\n')
        (tmp_path / "a" / "lib.net").write_text('sewdsl 1\nuse "c/d.net"\n')
        (tmp_path / "a" / "c" / "d.net").write_text('sewdsl 1\nuse "e.net"\n')
        (tmp_path / "a" / "c" / "e.net").write_text("sewdsl 1\nsteps 0x\n")
        (found, *_) = sewdsl.read(tmp_path / "m.net").diagnostics
        assert Path(found.span.source.name) == tmp_path / "a" / "c" / "e.net"


def codes_of(path: Path) -> list[str]:
    return [d.code for d in sewdsl.read(path).diagnostics]


@pytest.mark.parametrize("options", [{"set": None}, {"limit": None}, {"input": None, "steps": None}])
def test_none_is_nothing(options: dict[str, None]) -> None:
    assert sewdsl.read("tiny", **options).valid


@pytest.mark.parametrize("limit", [{"nodes": True}, {"nodes": 0}, {"digits": 10_000}, {"source_bytes": 5}])
def test_bad_limits(limit: dict[str, int]) -> None:
    assert not sewdsl.read("tiny", limit=limit).valid


@pytest.mark.parametrize("name", ["7b-net", "tiny", "sew-resnet-18"])
def test_a_network_may_be_as_large_as_the_limit(name: str) -> None:
    """The limit counts nodes, without calls of blocks, ``id`` and the input."""
    size = len(sewdsl.load(name)) - 1
    assert sewdsl.read(name, limit={"nodes": size}).valid
    (found,) = sewdsl.read(name, limit={"nodes": size - 1}).diagnostics
    assert found.code == "network-too-large"
    assert f"a network of {size} nodes" in found.message


def test_identities_are_no_nodes() -> None:
    began = time.process_time()
    assert len(sewdsl.load("{{{id}*9999}*9999}*9999-BN", input="3", limit={"nodes": 1})) == 2
    assert time.process_time() - began < 1
    assert codes("{id-BN}*9", limit={"nodes": 8}) == ["network-too-large"]


def test_blocks_that_make_nothing_end() -> None:
    blocks = "".join(f"block A{i} = A{i - 1}-A{i - 1}\n" for i in range(1, 25))
    (found,) = sewdsl.read(f"{HEAD}block A0 = id\n{blocks}body A24-BN\n", limit={"nodes": 100}).diagnostics
    assert found.code == "network-too-large"
    check_words(found.message)


def test_limits_reach_overrides() -> None:
    assert (
        sewdsl.load("FC2", input="3", limit={"digits": 12}, set={"steps": "1234567890"}).settings.steps == 1_234_567_890
    )


def test_sizes_with_a_times_sign() -> None:
    assert codes("sewdsl 1\ninput 4×8×8\nbody c4k3×5\nexpect output 4×8×8\n") == ["typographic-character"] * 5
    assert codes("sewdsl 1\ninput 4x8x8\nbody FC11\nexpect output 011\n") == []
