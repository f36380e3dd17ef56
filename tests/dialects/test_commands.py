"""The dialect on the command line: every command that takes a SPEC, and ``fmt``, which prints ours."""

import json
import re
from pathlib import Path

import pytest
from safetensors.torch import save_file
from typer.core import TyperGroup as Group
from typer.main import get_command
from typer.testing import CliRunner, Result

from sewdsl import compile
from sewdsl.cli.app import app

TEXT = "4C3-AP2-8FC-10"
BODY = "body    c4k3-SN-APk2-FC8-SN-FC10\n"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def test_fmt_prints_a_file_of_ours(tmp_path: Path) -> None:
    result = run("fmt", "--dialect", "he(norm=none)", "28x28-12C5-P2-10")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "sewdsl 1\n"
        "# 28x28-12C5-P2-10 in dialect he(norm=none)\n"
        "# assumed: the input 28x28 is read as 1 channel of 28x28\n"
        "# assumed: padding is not specified: convolutions preserve the size\n"
        "# assumed: neurons are not specified: they follow each convolution and each hidden layer\n"
        "# assumed: the kind of neuron is not specified: SN is LIF\n"
        "# assumed: 'P2' does not specify average or maximum: it is read as average pooling\n"
        "# assumed: neurons of the output layer are not specified: the last layer has none\n"
        "# assumed: steps is 1 (not specified)\n"
        "\n"
        "input   1x28x28\n"
        "neuron  LIF\n"
        "body    c12k5-SN-APk2-FC10\n"
    )
    file = tmp_path / "x.net"
    file.write_text(result.stdout)
    assert run("fmt", "--check", str(file)).exit_code == 0
    assert run("check", str(file)).exit_code == 0


def test_fmt_writes_what_the_options_say(tmp_path: Path) -> None:
    file = tmp_path / "ours.net"
    options = ["--input", "1x28x28", "--steps", "8", "--neuron", "PLIF(tau=3.0)", "--set", "join=AND"]
    result = run("fmt", "--dialect", "he", TEXT, *options, "--out", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}\n")
    assert re.findall(r"(?:warning|error|note)\[.*", result.stderr) == [
        "warning[override-without-effect]: --set join=AND has no effect: the network does not use 'g'"
    ]
    text = file.read_text()
    assert "steps is 1" not in text
    assert "SN is LIF" not in text
    settings = "input   1x28x28\nsteps   8\nneuron  PLIF(tau=3.0)\njoin    AND\n"
    assert text.endswith(f"\n\n{settings}{BODY}")
    assert run("check", str(file)).stderr == ""


def test_fmt_says_what_is_wrong_with_an_option() -> None:
    result = run("fmt", "--dialect", "he", TEXT, "--input", "wide")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("--input:1:1: error[invalid-argument]")
    assert run("fmt", "x.net", "--input", "3").exit_code == 2


def test_fmt_reads_what_is_piped() -> None:
    result = run("fmt", "--dialect", "he", "-", stdin="4C3-AP2\n-8FC-10\n")
    assert result.stdout.splitlines()[1] == "# 4C3-AP2 -8FC-10 in dialect he"
    assert result.stdout.endswith(BODY)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["4C3-FOO", "--dialect", "he"], 1, "error[unknown-name]: unknown layer 'FOO'"),
        (["4C3-10", "--dialect", "she"], 1, "error[unknown-name]: unknown dialect 'she'"),
        (["7b-net", "--dialect", "he"], 1, "error[other-notation]"),
        (["4C3-10", "4C3-10", "--dialect", "he"], 2, "a single layer string"),
        (["4C3-10", "--dialect", "he", "--check"], 2, "cannot be combined with --check or --diff"),
        (["4C3-10", "--dialect", "he", "--diff"], 2, "cannot be combined with --check or --diff"),
    ],
)
def test_fmt_refuses(arguments: list[str], code: int, said: str) -> None:
    result = run("fmt", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split()).replace("│ ", "")


def test_fmt_warns_of_odd_characters() -> None:
    result = run("fmt", "--dialect", "he", "4C3\u2013AP2-8FC-10")
    assert result.stdout.endswith(BODY)
    assert "warning[typographic-character]" in result.stderr


def test_check_points_at_the_text() -> None:
    result = run("check", "4C3-AP2-AP2-10", "--dialect", "he(norm=none)", "--input", "2x3x3")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    place = lines.index("<string>:1:9: error[spatial-size-exhausted]: average pooling k2 s2 does not fit a 1x1 input")
    assert lines[place + 1 : place + 3] == [
        "   1 | 4C3-AP2-AP2-10",
        "     |         ^^^ input is [4, 1, 1]",
    ]


def test_check_mends_the_text() -> None:
    result = run("check", "--fix", "{4C3-AP2}*2DP-10", "--dialect", "he", "--input", "2x8x8")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "{4C3-AP2}*2-DP-10"


def test_check_mends_a_file_in_the_dialect(tmp_path: Path) -> None:
    file = tmp_path / "network.txt"
    file.write_text("4C3\u2013AP2-10\n")
    assert run("check", "--fix", str(file), "--dialect", "he", "--input", "2x8x8").exit_code == 0
    assert file.read_text() == "4C3-AP2-10\n"


def test_show_says_what_is_assumed() -> None:
    result = run("show", TEXT, "--dialect", "he", "--input", "2x8x8", "--json")
    assert json.loads(result.stdout)["parameters"] == 76 + 65 * 8 + 9 * 10
    assert result.stderr.count("note[dialect-assumption]") == 5


def test_compile_prints_ours() -> None:
    result = run("compile", TEXT, "--dialect", "he", "--input", "2x8x8", "--neuron", "PLIF", "--emit", "tree")
    assert "input   2x8x8\n" in result.stdout
    assert "neuron  PLIF\n" in result.stdout
    assert result.stdout.endswith(BODY)


def test_draw(tmp_path: Path) -> None:
    out = tmp_path / "x.dot"
    assert run("draw", TEXT, "--dialect", "he", "--input", "2x8x8", "--out", str(out)).exit_code == 0
    assert "LIF" in out.read_text()


def test_probe() -> None:
    result = run("probe", "energy", TEXT, "--dialect", "he", "--input", "2x8x8", "--steps", "2", "--json")
    assert result.exit_code == 0
    assert '"conv1"' in result.stdout


def test_notation_prints_ours() -> None:
    result = run("notation", TEXT, "--dialect", "he", "--input", "2x8x8")
    assert result.stdout == "c4k3s1-LIF-APk2s2-FC8-LIF-FC10\n"


def test_export_goes_through_the_same_door(tmp_path: Path) -> None:
    result = run("export", TEXT, str(tmp_path / "x.nir"), "--dialect", "he", "--input", "2x8x8", "--seed", "1")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{tmp_path / 'x.nir'}: network as nir, ")


def test_weights_take_it(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    state = compile(TEXT, dialect="he", input="2x8x8").state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, file)
    result = run("weights", "show", str(file), "--net", TEXT, "--dialect", "he", "--input", "2x8x8")
    assert "fits network" in result.stdout


def test_a_string_is_compared_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "x.net"
    file.write_text("sewdsl 1\ninput 2x8x8\nneuron LIF\nbody c4k3-SN-APk2-FC8-SN-FC10\n")
    assert run("diff", TEXT, str(file), "--dialect", "he", "--input", "2x8x8").exit_code == 0
    assert run("diff", str(file), "4C3-AP2-9FC-10", "--dialect", "he", "--input", "2x8x8").exit_code == 1


def test_every_command_that_takes_options_of_a_spec_takes_it() -> None:
    command = get_command(app)
    assert isinstance(command, Group)
    groups = [child for child in command.commands.values() if isinstance(child, Group)]
    for one in [*command.commands.values(), *(child for group in groups for child in group.commands.values())]:
        names = {name for parameter in one.params for name in parameter.opts}
        assert ("--dialect" in names) == ("--neuron" in names or one.name == "fmt"), one.name


def test_a_run_keeps_ours(tmp_path: Path) -> None:
    """A run folder contains sewdsl notation, so that it keeps its meaning without a dialect."""
    settings = {"train.on": "digits", "train.epochs": 1, "train.batch": 100, "train.optimizer": "SGD(lr=0.1)"}
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    out = tmp_path / "run"
    text = "2C3(Encoding)-AP4-10"
    result = run("train", text, "--dialect", "he", "--input", "1x8x8", *given, "--out", str(out))
    assert result.exit_code == 0, result.output
    spec = (out / "spec.net").read_text()
    assert "body    c2k3-SN-APk4-FC10\n" in spec
    assert "encode  direct\n" in spec


@pytest.mark.parametrize("command", [["probe", "rates"], ["export"]])
def test_a_run_is_in_our_language(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "spec.net").write_text("sewdsl 1\n")
    out = [] if command[0] == "probe" else [str(tmp_path / "x.nir")]
    result = run(*command, str(tmp_path), *out, "--dialect", "he")
    assert result.exit_code == 2
    assert "--dialect" in result.stderr
