import shutil
from pathlib import Path

import pytest

from sewdsl import resources
from tests.words import raises


def test_the_checkout_s_folders_are_found() -> None:
    assert (resources.resource_folder("grammars") / "sewdsl.lark").is_file()
    assert list(resources.resource_folder("nets").glob("*.net"))


@pytest.mark.parametrize("place", ["sewdsl/_share", "."])
def test_an_installed_package_has_them_beside_the_code(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grammars = tmp_path / place / "grammars"
    grammars.mkdir(parents=True)
    module = tmp_path / "sewdsl" / "resources.py"
    module.parent.mkdir(exist_ok=True)
    shutil.copy(resources.__file__, module)
    monkeypatch.setattr(resources, "__file__", str(module))
    assert resources.resource_folder("grammars") == grammars.resolve()
    with raises(FileNotFoundError):
        resources.resource_folder("nets")
