"""Ctrl-C while the command line is still loading."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pytest

import sewdsl
from sewdsl.__main__ import main
from sewdsl.interrupts import clean_up, exit_during_imports


class Stopping:
    """Interrupts the import of a module."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """Raise at the import of the command line."""
        if name == "sewdsl.cli.app":
            raise KeyboardInterrupt
        return None


def test_while_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sewdsl.cli.app", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Stopping(), *sys.meta_path])
    with pytest.raises(SystemExit, match="130") as caught:
        main()
    assert caught.value.__suppress_context__


def test_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("sewdsl.cli.app.build_app", lambda _names, **_: stop)
    with pytest.raises(SystemExit, match="130"):
        main()


def test_while_a_library_is_imported(tmp_path: Path) -> None:
    """Libraries such as PyTorch catch exceptions during their import, and continue with half of their modules."""
    library = (
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    print('caught')\n"
    )
    (tmp_path / "library.py").write_text(library, encoding="utf-8")
    code = (
        "from sewdsl.interrupts import clean_up, exit_during_imports\n"
        f"from pathlib import Path; folder = Path({str(tmp_path / 'run')!r}); folder.mkdir()\n"
        "with exit_during_imports(), clean_up(folder.rmdir):\n    import library\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not (tmp_path / "run").exists()


def test_outside_of_imports() -> None:
    cleaned: list[str] = []
    with pytest.raises(KeyboardInterrupt), exit_during_imports(), clean_up(lambda: cleaned.append("")):
        signal.raise_signal(signal.SIGINT)
    assert not cleaned
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_that_takes_time_is_loaded_before() -> None:
    code = "import sys, sewdsl, sewdsl.__main__; print([name for name in sys.modules if name.startswith('sewdsl.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['sewdsl.__main__']\n"


def test_every_public_name_is_found() -> None:
    for name in sewdsl.__all__:
        assert name == "__version__" or getattr(sewdsl, name).__name__.removeprefix("sewdsl.") == name
    assert dir(sewdsl) == sorted(
        ["load", "compile", "load_trained", "train_network", "evaluate", "dataset", "networks", "draw", "__version__"]
    )
    assert sewdsl.__version__ == version("sewdsl")
    assert {"mnist5k", "sew-resnet-18", "snasnet-forward"} < {*sewdsl.networks()}
    assert not {"blocks", "neurons", "imagenet"} & {*sewdsl.networks()}
