"""The rules where the notation is silent (docs: language reference)."""

from pathlib import Path

import pytest

import sewdsl
from sewdsl import Network
from sewdsl.ops import catalogue
from sewdsl.ops.layers.norms import Norm, TdBatchNorm
from sewdsl.resources import resource_folder
from tests.systems import make_link
from tests.words import check_words

HEAD = "sewdsl 1\ninput 2x16x16\nsteps 2\n"


def ops(text: str, **options: object) -> list[str]:
    """The layers of a network with every argument in force, named ones left out."""
    network = load(text, **options)
    return [str(node.op).split("(", maxsplit=1)[0] for node in network.nodes[1:]]


def load(text: str, **options: object) -> Network:
    if not text.startswith("sewdsl"):
        options.setdefault("input", "2x16x16")
    return sewdsl.load(text, **options)  # type: ignore[arg-type]


def names(text: str, **options: object) -> list[str]:
    return [node.name for node in load(text, **options).nodes[1:]]


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("c32k3", ["c32k3s1p1d1g1b1"]),
        ("c32k3-BN", ["c32k3s1p1d1g1b0", "BN"]),
        ("c32k3-tdBN", ["c32k3s1p1d1g1b0", "tdBN"]),
        ("c32k3b1-BN", ["c32k3s1p1d1g1b1", "BN"]),
        ("c32k3b0", ["c32k3s1p1d1g1b0"]),
        ("c32k3x5s2x1p0", ["c32k3x5s2x1p0d1g1b1"]),
        ("c32k5d2", ["c32k5s1p4d2g1b1"]),
        ("c32k2p1", ["c32k2s1p1d1g1b1"]),
        ("MPk4", ["MPk4s4p0"]),
        ("APk2", ["APk2s2p0"]),
        ("MPk3s2p1", ["MPk3s2p1"]),
        ("FC8", ["FC8b1"]),
        ("FC8b0", ["FC8b0"]),
        ("DP", ["DP0.5"]),
        ("DP0.25", ["DP0.25"]),
        ("FC20-IF-APk10", ["FC20b1", "IF", "APk10s10p0"]),
    ],
)
def test_defaults(text: str, layers: list[str]) -> None:
    assert ops(text) == layers


@pytest.mark.parametrize(
    ("layer", "padding"),
    [("c16k4s2", "p1"), ("c16k2s2", "p0"), ("c16k6s3", "p2"), ("c16k2x4s2", "p0x1"), ("c16k4d2s4", "p2")],
)
def test_an_even_kernel_with_a_stride_is_told_what_divides(layer: str, padding: str) -> None:
    (said,) = sewdsl.read(layer, input="2x48x48").diagnostics
    stride = int(layer[-1])
    assert said.help == f"set the padding, e.g. {padding}, which divides the size by {stride}"
    assert load(layer + padding, input="2x48x48").nodes[1].output.shape == (16, 48 // stride, 48 // stride)


def test_a_single_copy() -> None:
    (said,) = sewdsl.read("{MPk3s3p0-c2k3p0}*2", input="2x9x9").diagnostics
    check_words(said.help)


@pytest.mark.parametrize("norm", [kind.kind for kind in catalogue().values() if issubclass(kind, Norm)])
@pytest.mark.parametrize("layer", [kind.kind for kind in catalogue().values() if "bias" in kind.model_fields])
def test_any_batch_norm_replaces_a_default_bias(layer: str, norm: str) -> None:
    """The default bias of a convolution, of either direction. Other layers have one unless the text leaves it out."""
    arguments = {"c": "8k3", "tc": "8k3", "FC": "8", "DFC": "8(reach=2)"}[layer]
    biases = {
        text: dict(load(f"{layer}{text}").nodes[1].op)["bias"]
        for text in (arguments, f"{arguments}-{norm}", arguments.replace("8", "8b1", 1) + f"-{norm}")
    }
    assert [*biases.values()] == [True, layer in {"FC", "DFC"}, True], biases


def test_bias_across_a_block_boundary() -> None:
    """The next computing layer decides, not the next item of the text."""
    text = HEAD + "block Lone(c) = c$(c)k3\nbody Lone (c8)-BN-IF\n"
    assert ops(text)[0] == "c8k3s1p1d1g1b0"


def test_angle_brackets_are_braces() -> None:
    assert load("<c4k3-BN-IF-MPk2s2>*2") == load("{c4k3-BN-IF-MPk2s2}*2")


def test_block_name_without_blank() -> None:
    assert load("c4k3-IF-SEWBlock (c4)") == load("c4k3-IF-SEW Block (c4)")


def test_block_keeps_channels() -> None:
    assert load("c4k3-IF-SEW Block").nodes[-1].output.shape == (4, 16, 16)


def test_copies_have_their_own_weights() -> None:
    assert names("{FC3-IF}*2") == ["repeat1.1.fc1", "repeat1.1.if1", "repeat1.2.fc1", "repeat1.2.if1"]


def test_keys_are_paths() -> None:
    text = "c4k3-IF-{SEW Block (c8s2)-MPk2s2}*1-ADD[BN-IF|id]"
    assert names(text)[2:] == [
        "repeat1.1.sew_block1.branch.conv1",
        "repeat1.1.sew_block1.branch.bn1",
        "repeat1.1.sew_block1.branch.if1",
        "repeat1.1.sew_block1.branch.conv2",
        "repeat1.1.sew_block1.branch.bn2",
        "repeat1.1.sew_block1.branch.if2",
        "repeat1.1.sew_block1.shortcut.conv1",
        "repeat1.1.sew_block1.shortcut.bn1",
        "repeat1.1.sew_block1.shortcut.if1",
        "repeat1.1.sew_block1.add1",
        "repeat1.1.max_pool1",
        "branch.bn1",
        "branch.if1",
        "add1",
    ]


def test_nested_repeats() -> None:
    assert len(load("{{BN}*2-IF}*3").nodes) == 1 + 3 * 3


def test_a_rejected_alternative_has_no_effect_on_later_ones() -> None:
    text = "ADD[ ADD[c4k1s2 | c4k1 or c4k1s2] | id or c4k3s2 ]"
    network = sewdsl.read(text, input="4x1x1").result()
    assert [str(node.op)[:6] for node in network.layers] == ["c4k1s2", "c4k1s2", "ADD", "c4k3s2", "ADD"]


def test_projection_only_where_needed() -> None:
    same = names("c4k3-IF-SEW Block (c4)")
    wider = names("c4k3-IF-SEW Block (c8)")
    strided = names("c4k3-IF-SEW Block (c4s2)")
    assert not any("shortcut" in name for name in same)
    assert any("shortcut" in name for name in wider)
    assert any("shortcut" in name for name in strided)


def test_identity_is_nothing() -> None:
    assert load("c4k3-id-BN") == load("c4k3-BN")


@pytest.mark.parametrize("join", ["ADD", "AND", "IAND"])
def test_join_of_the_file(join: str) -> None:
    kinds = [node.op.kind for node in load("c4k3-BN-IF-SEW Block", set={"join": join})]
    assert kinds[-1] == join


def test_join_of_the_call_wins() -> None:
    network = load("c4k3-BN-IF-SEW Block (g=IAND)-SEW Block (c4, g=AND)", set={"join": "ADD"})
    assert [n.op.kind for n in network if len(n.inputs) == 2] == ["IAND", "AND"]


def test_spiking_blocks_always_add() -> None:
    kinds = [node.op.kind for node in load("c4k3-BN-IF-Spiking Block", set={"join": "IAND"})]
    assert "ADD" in kinds
    assert "IAND" not in kinds


class TestNeurons:
    def test_header_is_sn(self) -> None:
        text = HEAD + "neuron LIF(tau=3.0)\nbody c4k3-BN-SN-SEW Block\n"
        neurons = {str(node.op) for node in load(text) if node.op.kind in ("LIF", "IF")}
        assert len(neurons) == 1
        assert "tau=3.0" in neurons.pop()

    def test_nearest_is_sn_without_header(self) -> None:
        network = load("c4k3-BN-IF-c4k3-BN-LIF(tau=5.0)-SEW Block")
        inside = [node.op for node in network if node.path and node.op.kind in ("LIF", "IF")]
        assert {op.kind for op in inside} == {"LIF"}
        assert {op.tau for op in inside} == {5.0}  # type: ignore[attr-defined]

    def test_header_beats_nearest(self) -> None:
        network = load("c4k3-BN-IF-SEW Block", neuron="PLIF")
        assert {n.op.kind for n in network if n.path and n.op.kind.endswith("IF")} == {"PLIF"}

    def test_bare_token_takes_header_arguments(self) -> None:
        text = HEAD + "neuron LIF(tau=3.0, v_threshold=0.5)\nbody c4k3-BN-LIF-c4k3-LIF(tau=4.0)-FC3-IF\n"
        lif, other, plain = (node.op for node in load(text) if node.op.kind.endswith("IF"))
        assert (lif.tau, lif.v_threshold) == (3.0, 0.5)  # type: ignore[attr-defined]
        assert (other.tau, other.v_threshold) == (4.0, 0.5)  # type: ignore[attr-defined]
        assert plain.v_threshold == 1.0  # type: ignore[attr-defined]

    def test_neuron_of_the_call_wins(self) -> None:
        network = load("c4k3-BN-IF-SEW Block (SN=LIF(tau=7.0))", neuron="PLIF")
        assert {n.op.kind for n in network if n.path and n.op.kind.endswith("IF")} == {"LIF"}

    def test_defaults_of_the_paper(self) -> None:
        """Appendix A.1: threshold 1, reset 0, detached, ATan with alpha 2; tau 2."""
        (lif,) = (node.op for node in load("c4k3-LIF") if node.op.kind == "LIF")
        assert str(lif) == (
            "LIF(v_threshold=1.0, v_reset=0.0, detach_reset=on, surrogate=ATan(alpha=2.0, scale=1.0), tau=2.0)"
        )

    def test_soft_reset(self) -> None:
        (neuron,) = (node.op for node in load("c4k3-IF(v_reset=none, detach_reset=off)") if node.op.kind == "IF")
        assert neuron.v_reset is None  # type: ignore[attr-defined]
        assert neuron.detach_reset is False  # type: ignore[attr-defined]

    def test_relu_can_be_sn(self) -> None:
        network = load("c4k3-BN-SN-SEW Block", neuron="ReLU")
        assert {str(n.output.values) for n in network if n.op.kind == "ADD"} == {"real"}


class TestThresholdDependentBatchNorm:
    def test_takes_the_threshold_of_its_neuron(self) -> None:
        network = load("c4k3-tdBN-IF(v_threshold=0.5)-c4k3-tdBN(alpha=0.5)-IF(v_threshold=0.25)")
        first, second = (node.op for node in network if isinstance(node.op, TdBatchNorm))
        assert (first.scale, second.scale) == (0.5, 0.125)

    def test_looks_through_a_join(self) -> None:
        network = load("c4k3-IF-ADD[c4k3-tdBN|id]-IF(v_threshold=0.5)")
        (norm,) = (node.op for node in network if isinstance(node.op, TdBatchNorm))
        assert norm.v_threshold == 0.5

    def test_own_argument_wins(self) -> None:
        network = load("c4k3-tdBN(v_threshold=2.0)-IF")
        (norm,) = (node.op for node in network if isinstance(node.op, TdBatchNorm))
        assert norm.scale == 2.0


class TestValues:
    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("c4k3-IF", "binary"),
            ("c4k3-IF-MPk2s2", "binary"),
            ("c4k3-IF-APk2", "real"),
            ("c4k3-IF-Flatten", "binary"),
            ("c4k3-IF-DP", "real"),
            ("c4k3-IF-DP0", "binary"),
            ("c4k3-IF-GAP", "real"),
            ("c4k3-IF-ADD[BN-IF|id]", "count 0..2"),
            ("c4k3-IF-ADD[BN|id]", "real"),
            ("c4k3-IF-{ADD[BN-IF|id]}*5-MPk2s2", "count 0..6"),
            ("c4k3-IF-ADD[ADD[BN-IF|id]|ADD[BN-IF|id]]", "count 0..4"),
            ("c4k3-IF-{IAND[BN-IF|id]}*5", "binary"),
            ("c4k3-IF-ADD[BN-IF|id]-ReLU", "count 0..2"),
        ],
    )
    def test_ranges(self, text: str, values: str) -> None:
        assert str(load(text).nodes[-1].output.values) == values

    def test_time(self) -> None:
        """With direct encoding nothing varies before the first neuron."""
        network = load("c4k3-BN-IF-MPk2s2", set={"encode": "direct"})
        assert [node.output.varies for node in network] == [False, False, False, True, True]


class TestBlocks:
    def test_formulas(self) -> None:
        text = HEAD + "block Four(c, n=2) = {c$(4*c-2*(c/2)+n-2)k3-BN-IF}*$(n)\nbody Four (c4)\n"
        assert ops(text)[::3] == ["c12k3s1p1d1g1b0"] * 2

    def test_positional_and_named(self) -> None:
        head = HEAD + "neuron IF\nblock My Block(c, s=1) = c$(c)k3s$(s)-BN-SN\n"
        wanted = load(head + "body My Block (c8s2)\n").nodes[1].op
        for call in ("(c=8, s=2)", "(c8, s2)", "(s2c8)", "(c8, s=2)"):
            assert load(head + f"body My Block {call}\n").nodes[1].op == wanted

    def test_blocks_call_blocks(self) -> None:
        text = HEAD + (
            "neuron IF\n"
            "block Stage(c, s) = SEW Block (c$(c)s$(s))-SEW Block\n"
            "body c4k3-BN-SN-Stage (c8s2)-Stage (c=16, s=2)\n"
        )
        network = load(text)
        assert network.nodes[-1].output.shape == (16, 4, 4)
        assert network.nodes[-1].name == "stage2.sew_block2.add1"
        assert [step.label for step in network.nodes[-1].path] == ["Stage", "SEW Block"]
        assert network.nodes[-1].path[1].arguments == "c16s1"

    def test_own_block_hides_a_shipped_one(self) -> None:
        text = HEAD + "neuron IF\nblock SEW Block(c=in) = c$(c)k5-SN\nbody c4k3-SN-SEW Block\n"
        assert ops(text)[2] == "c4k5s1p2d1g1b1"

    def test_library_block_is_five_lines(self) -> None:
        text = (resource_folder("nets") / "blocks.net").read_text(encoding="utf-8")
        block = text[text.index("block SEW Block(") :].split("\n\n")[0]
        assert len(block.splitlines()) <= 5


class TestUse:
    def write(self, folder: Path, **files: str) -> Path:
        (folder / "pyproject.toml").write_text("")
        for name, text in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".net").write_text("sewdsl 1\n" + text)
        return folder

    def codes(self, path: Path) -> list[str]:
        return [d.code for d in sewdsl.read(path).diagnostics]

    def test_blocks_and_settings(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            lib="input 2x16x16\nsteps 5\nneuron LIF(tau=3.0)\nblock Mine(c) = c$(c)k3-BN-SN\n",
            sub__net='use "../lib.net"\nsteps 7\nbody Mine (c4)\n',
        )
        network = sewdsl.load(tmp_path / "sub" / "net.net")
        assert (network.settings.steps, network.settings.input) == (7, (2, 16, 16))
        assert network.nodes[-1].op.kind == "LIF"

    def test_recipes_merge_key_by_key(self, tmp_path: Path) -> None:
        self.write(
            tmp_path,
            lib="input 2\ntrain on digits {\n    epochs 3\n    optimizer SGD(lr=0.1)\n}\n",
            net='use "lib.net"\nbody FC2\ntrain on digits {\n    optimizer SGD(lr=0.5)\n}\n',
        )
        recipe = sewdsl.load(tmp_path / "net.net").recipe
        assert recipe is not None
        assert (recipe.epochs, recipe.optimizer.lr) == (3, 0.5)

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            (
                "input right 3x4x4\ninput eye 2x4x4\nbody ADD[eye-c3k1 | right]-FC2\n",
                {"right": "direct", "eye": "none"},
            ),
            ("input 3x4x4\nbody FC2\n", {"": "none"}),
            ("body ADD[left | right]-FC2\n", {"left": "none", "right": "direct"}),
        ],
    )
    def test_the_inputs_of_a_file_replace_those_of_a_used_file(
        self, tmp_path: Path, own: str, expected: dict[str, str]
    ) -> None:
        """An `encode` line of a used file belongs to its input, and goes with it."""
        lib = "input left 3x4x4\ninput right 3x4x4\nencode right direct\n"
        self.write(tmp_path, lib=lib, net=f'use "lib.net"\n{own}')
        network = sewdsl.read(tmp_path / "net.net").result()
        assert {source.name: source.encode for source in network.settings.sources} == expected

    def test_body_and_name_are_not_imported(self, tmp_path: Path) -> None:
        self.write(tmp_path, lib='network "Lib"\ninput 2\nbody FC3\n', net='network "Net"\nuse "lib.net"\n')
        assert self.codes(tmp_path / "net.net") == ["missing-body"]

    def test_cycle_prints_its_chain(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "b.net"\ninput 2\nbody FC2\n', b='use "c.net"\n', c='use "a.net"\n')
        (found,) = sewdsl.read(tmp_path / "a.net").diagnostics
        assert found.code == "use-cycle"
        way = found.message.removeprefix("circular 'use': ").split(" > ")
        assert [Path(step).name for step in way] == ["a.net", "b.net", "c.net", "a.net"]

    def test_self(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "a.net"\ninput 2\nbody FC2\n')
        assert self.codes(tmp_path / "a.net") == ["use-cycle"]

    @pytest.mark.parametrize("path", ["../outside.net", "/etc/hostname", "sub/../../outside.net"])
    def test_outside(self, tmp_path: Path, path: str) -> None:
        inside = tmp_path / "project"
        inside.mkdir()
        (tmp_path / "outside.net").write_text("sewdsl 1\n")
        self.write(inside, a=f'use "{path}"\ninput 2\nbody FC2\n')
        assert self.codes(inside / "a.net") == ["use-outside-project"]

    def test_link_that_leads_outside(self, tmp_path: Path) -> None:
        inside = tmp_path / "project"
        inside.mkdir()
        (tmp_path / "outside.net").write_text("sewdsl 1\n")
        make_link(inside / "link.net", tmp_path / "outside.net")
        self.write(inside, a='use "link.net"\ninput 2\nbody FC2\n')
        assert self.codes(inside / "a.net") == ["use-outside-project"]

    def test_missing(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "nowhere.net"\ninput 2\nbody FC2\n')
        assert self.codes(tmp_path / "a.net") == ["use-not-found"]

    def test_of_what_a_missing_file_may_say_nothing_is_said(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "nowhere.net"\nbody c4k3-My Block-SN-Other(c4)-FC2\n', b='use "a.net"\nbody Mine\n')
        assert self.codes(tmp_path / "a.net") == ["use-not-found"]
        assert self.codes(tmp_path / "b.net") == ["use-not-found"]

    def test_a_shipped_file_is_said_to_be_one(self, tmp_path: Path) -> None:
        self.write(
            tmp_path, a='use "imagenet.net"\ninput 2\nbody FC2\n', b='use "mine/imagenet.net"\ninput 2\nbody FC2\n'
        )
        (shipped,), (other,) = (sewdsl.read(tmp_path / name).diagnostics for name in ("a.net", "b.net"))
        assert f"'sewdsl nets imagenet > {tmp_path / 'imagenet.net'}'" in shipped.help
        check_words(other.help)

    def test_not_text(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "b.net"\ninput 2\nbody FC2\n')
        (tmp_path / "b.net").write_bytes(b"\xff\xfe\x00")
        assert self.codes(tmp_path / "a.net") == ["not-utf8"]

    def test_depth(self, tmp_path: Path) -> None:
        files = {f"n{i}": f'use "n{i + 1}.net"\n' for i in range(20)}
        self.write(tmp_path, **files, n20="steps 3\n", main='use "n0.net"\ninput 2\nbody FC2\n')
        assert self.codes(tmp_path / "main.net") == ["import-too-deep"]
        assert sewdsl.load(tmp_path / "main.net", limit={"imports": 30}).settings.steps == 3

    def test_errors_of_a_used_file_are_said_there(self, tmp_path: Path) -> None:
        self.write(tmp_path, a='use "b.net"\ninput 2\nbody FC2\n', b="steps 0\n")
        (found,) = sewdsl.read(tmp_path / "a.net").diagnostics
        assert (found.span.source.name, found.span.line) == (str(tmp_path / "b.net"), 2)
