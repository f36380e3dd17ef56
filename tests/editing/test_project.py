"""Files of a project that the editor features read."""

from pathlib import Path

from sewdsl.elaborate.text_files import net_files
from tests.systems import make_fifo, make_link


def test_files_further_up_come_first(tmp_path: Path) -> None:
    for name in ("b.net", "a/c.net", "a/d/e.net", "a/text.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert net_files(tmp_path, 9) == [tmp_path / name for name in ("a/c.net", "a/d/e.net", "b.net")]
    assert net_files(tmp_path, 2) == [tmp_path / name for name in ("a/c.net", "b.net")]


def test_what_is_not_of_the_project_is_left_out(tmp_path: Path) -> None:
    for name in (".git/a.net", "node_modules/b/c.net", "environment/lib/d.net", "e.net"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "environment/pyvenv.cfg").touch()
    make_link(tmp_path / "loop.net", "loop.net")
    (tmp_path / "folder.net").mkdir()
    make_fifo(tmp_path / "pipe.net")
    assert net_files(tmp_path, 9) == [tmp_path / "e.net"]
