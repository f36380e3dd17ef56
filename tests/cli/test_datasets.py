"""The names that servers know without importing torch."""

import subprocess
import sys

from sewdsl.cli.datasets import names
from sewdsl.train.data import datasets


def test_all_names() -> None:
    assert names() == sorted(datasets())


def test_nothing_heavy_is_imported() -> None:
    code = "import sys; from sewdsl.cli.datasets import names; names(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
