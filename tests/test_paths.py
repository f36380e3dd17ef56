"""Files that are replaced as a whole."""

from pathlib import Path

import pytest

from sewdsl.paths import write_atomically
from tests.systems import make_link


def test_a_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"1")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "a").read_bytes() == b"1"
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_old_file_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"1")
    file.chmod(0o640)
    write_atomically(file, b"2")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"2", 0o640)


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"1")
    make_link(tmp_path / "link", tmp_path / "kept")
    write_atomically(tmp_path / "link", b"2")
    assert (tmp_path / "kept").read_bytes() == b"1"
    assert not (tmp_path / "link").is_symlink()


def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "folder", b"1")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_can_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("a" * 255), b"1")
    assert (tmp_path / ("a" * 255)).read_bytes() == b"1"


def test_the_old_contents_are_kept(tmp_path: Path) -> None:
    file, old = tmp_path / "a", tmp_path / "old"
    write_atomically(file, b"1", keep_as=old)
    assert not old.exists()
    for contents in (b"2", b"3"):
        before = file.read_bytes()
        write_atomically(file, contents, keep_as=old)
        assert (file.read_bytes(), old.read_bytes()) == (contents, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "old"]
