"""The public functions: load, compile, read; options, overrides, specs."""

import subprocess
import sys
from pathlib import Path

import pytest

import sewdsl
from sewdsl.compiler.fixing import apply_fixes
from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.source import Source, Span
from tests.words import raises

SEVEN = "c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11"


class TestOptions:
    def test_of_the_command_line(self) -> None:
        network = sewdsl.load(
            "c4k3-BN-SN-SEW Block",
            input="2x8x8",
            steps=16,
            neuron="PLIF(tau=3.0)",
            set={"join": "IAND", "readout": "sum"},
        )
        settings = network.settings
        assert (settings.input, settings.steps, settings.readout) == ((2, 8, 8), 16, "sum")
        assert (settings.join.kind, settings.neuron.kind) == ("IAND", "PLIF")  # type: ignore[union-attr]

    def test_shapes_and_numbers_of_python(self) -> None:
        a = sewdsl.load(
            SEVEN, input=(2, 128, 128), steps=4, set={"train.on": "some-data", "train.optimizer": "SGD(lr=0.1)"}
        )
        b = sewdsl.load(SEVEN, input="2x128x128", steps=4)
        assert a.nodes == b.nodes
        assert a.recipe is not None
        assert (a.recipe.on, b.recipe) == ("some-data", None)

    def test_override_replaces_the_files_own(self) -> None:
        assert sewdsl.load("7b-net").settings.steps == 16
        assert sewdsl.load("7b-net", steps=4).settings.steps == 4
        assert sewdsl.load("7b-net", set={"steps": 5}).settings.steps == 5

    def test_override_inside_arguments(self) -> None:
        network = sewdsl.load(
            "7b-net",
            set={"train.optimizer.lr": 0.03, "train.epochs": 2, "neuron.tau": 4.0, "neuron.surrogate.alpha": 3.0},
        )
        assert network.recipe is not None
        assert (network.recipe.epochs, network.recipe.optimizer.lr) == (2, 0.03)
        assert network.recipe.optimizer.momentum == 0.9  # type: ignore[attr-defined]
        assert (network.settings.neuron.tau, network.settings.neuron.surrogate.alpha) == (4.0, 3.0)  # type: ignore[union-attr]
        assert network.nodes[3].op == network.settings.neuron

    @pytest.mark.parametrize(
        ("key", "value", "code"),
        [
            ("jion", "ADD", "unknown-setting"),
            ("train.epoch", "3", "unknown-setting"),
            ("train.epochs", "0", "invalid-argument"),
            ("train.optimizer.rate", "3", "unknown-argument"),
            ("neuron.tua", "3", "unknown-argument"),
            ("steps", "many", "invalid-argument"),
            ("steps", "3 4", "invalid-argument"),
            ("join", "IF", "invalid-argument"),
            ("body.n", "3", "unknown-setting"),
        ],
    )
    def test_override_is_validated_as_the_file_is(self, key: str, value: str, code: str) -> None:
        with pytest.raises(sewdsl.SewdslError) as caught:
            sewdsl.load("7b-net", set={key: value})
        codes = {d.code: d.span.source.name for d in caught.value.diagnostics if d.severity is Severity.ERROR}
        assert code in codes
        assert codes[code].startswith("--set")

    def test_limits(self) -> None:
        with pytest.raises(sewdsl.SewdslError, match="network-too-large"):
            sewdsl.load("{BN}*100", input="3", limit={"nodes": 50})
        assert len(sewdsl.load("{BN}*100", input="3", limit={"nodes": 101})) == 101

    def test_compile_refuses_options_beside_a_network(self) -> None:
        with raises(TypeError):
            sewdsl.compile(sewdsl.load("tiny"), steps=3)


class TestErrors:
    def test_carries_diagnostics(self) -> None:
        with pytest.raises(sewdsl.SewdslError, match=r"<string>:1:11: error\[missing-hyphen\]") as caught:
            sewdsl.load("c32k3s1-BNPLIF", input="2x8x8")
        (found,) = caught.value.diagnostics
        assert (found.code, found.span.line, found.span.column) == ("missing-hyphen", 1, 11)

    def test_read_raises_nothing(self) -> None:
        compilation = sewdsl.read("?")
        assert not compilation.valid
        with pytest.raises(sewdsl.SewdslError):
            compilation.result()

    def test_a_library_is_valid_but_no_network(self) -> None:
        assert sewdsl.read("blocks").valid
        with pytest.raises(sewdsl.SewdslError, match="missing-body"):
            sewdsl.load("blocks")

    def test_a_library_does_not_take_a_body_over(self, tmp_path: Path) -> None:
        (tmp_path / "whole.net").write_text("sewdsl 1\ninput 7\nbody FC2\n")
        (tmp_path / "recipe.net").write_text('sewdsl 1\nuse "whole.net"\ntrain on digits {\n    epochs 3\n}\n')
        with raises(sewdsl.SewdslError):
            sewdsl.load(tmp_path / "recipe.net")

    def test_warnings_do_not_raise(self) -> None:
        assert sewdsl.load("c4k3\u2013BN", input="2x8x8") == sewdsl.load("c4k3-BN", input="2x8x8")


class TestSpecs:
    def test_path_before_shipped_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "tiny").write_text("sewdsl 1\ninput 7\nbody FC2\n")
        monkeypatch.chdir(tmp_path)
        assert sewdsl.load("tiny").settings.input == (7,)

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("7b-nett", "did you mean '7b-net'"),
            ("sew-resnet-19", "did you mean 'sew-resnet-18'"),
            ("no/such/file.net", "there is no folder 'no/such'"),
            ("nosuchfile.net", "there is no such file"),
            ("7b-net.net", "use the shipped network"),
            (".", "spec-not-found"),
        ],
    )
    def test_missing(self, spec: str, message: str) -> None:
        with pytest.raises(sewdsl.SewdslError, match="spec-not-found") as caught:
            sewdsl.load(Path(spec) if spec == "." else spec)
        assert message in str(caught.value)

    def test_a_folder_does_not_hide_a_shipped_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Such as that of a run: 'sewdsl train tiny --out tiny'."""
        (tmp_path / "tiny").mkdir()
        monkeypatch.chdir(tmp_path)
        assert sewdsl.load("tiny").name == "Tiny"

    def test_lava_file(self, tmp_path: Path) -> None:
        (tmp_path / "lava.net").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        with pytest.raises(sewdsl.SewdslError, match="lava-file"):
            sewdsl.load(tmp_path / "lava.net")

    def test_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.net").write_bytes(b"sewdsl 1\n\xff")
        with pytest.raises(sewdsl.SewdslError, match="not-utf8"):
            sewdsl.load(tmp_path / "x.net")

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        (tmp_path / "x.net").write_bytes(b"\xef\xbb\xbfsewdsl 1\r\ninput 3\r\nbody FC2\r\n")
        assert sewdsl.load(tmp_path / "x.net").total_parameters == 8

    def test_text_of_a_file(self) -> None:
        assert sewdsl.load("sewdsl 1\ninput 3\nbody FC2\n").name == "network"


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        ("c4k3", {}, """or input="CxHxW", e.g. input="2x128x128\")"""),
        ("c4k3-SN", {"input": "1x8x8"}, """or neuron="PLIF")"""),
        ("{BN}*100", {"input": "3", "limit": {"nodes": 50}}, """raise the limit with limit={"nodes": N})"""),
        ("tiny", {"dialect": "he"}, "remove dialect=)"),
        ("tiny", {"steps": "many"}, "steps:1:1: error[invalid-argument]"),
        ("tiny", {"set": {"jion": "ADD"}}, "set jion:1:1: error[unknown-setting]"),
        (
            "64C3-10FC",
            {"input": "1x8x8"},
            """use dialect="he"; for a file, convert it with sewdsl fmt --dialect he """,
        ),
        ("8C3-Voting", {"input": "1x8x8", "dialect": "he"}, """add dialect="he(classes=10)", and"""),
    ],
)
def test_errors_name_arguments_of_python(spec: str, options: sewdsl.Options, said: str) -> None:
    with pytest.raises(sewdsl.SewdslError) as caught:
        sewdsl.load(spec, **options)
    assert said in str(caught.value)
    assert "--" not in str(caught.value).replace("fmt --", "")


class TestFixes:
    def diagnostic(self, source: Source, *edits: tuple[int, int, str], safe: bool = True) -> Diagnostic:
        changes = tuple(Edit(Span(source, start, end), text) for start, end, text in edits)
        return Diagnostic("x", "x", changes[0].span, fixes=(Fix("x", changes, safe),))

    def test_several_edits(self) -> None:
        source = Source("x", "abcdef")
        assert apply_fixes([self.diagnostic(source, (1, 2, "-"), (4, 4, "+"))], source) == "a-cd+ef"

    def test_meeting_fixes_wait(self) -> None:
        source = Source("x", "abcdef")
        found = [
            self.diagnostic(source, (1, 3, "-")),
            self.diagnostic(source, (2, 4, "+")),
            self.diagnostic(source, (1, 1, "*")),
        ]
        assert apply_fixes(found, source) == "a-def"

    def test_unsafe_only_if_asked(self) -> None:
        source = Source("x", "abc")
        found = [self.diagnostic(source, (0, 1, "z"), safe=False)]
        assert apply_fixes(found, source) == "abc"
        assert apply_fixes(found, source, unsafe=True) == "zbc"

    def test_other_sources_are_left_alone(self) -> None:
        other = Source("y", "abc")
        assert apply_fixes([self.diagnostic(other, (0, 1, "z"))], Source("x", "abc")) == "abc"


def test_no_torch_before_it_is_needed() -> None:
    """In a fresh interpreter; here torch is loaded by other tests."""
    code = "import sys, sewdsl; sewdsl.load('sew-resnet-18'); assert 'torch' not in sys.modules, 'torch'"
    subprocess.run([sys.executable, "-c", code], check=True)
