"""Classes and their names from the names of folders."""

from pathlib import Path

from sewdsl.train.data.data_folders import class_names


def test_names() -> None:
    cat, dog = Path("train/cat/1.png"), Path("val/dog/1.png")
    assert class_names([(0, cat), (0, cat), (1, dog)]) == ["cat", "dog"]
    assert class_names([(2, dog), (0, cat)]) == ["cat", "1", "dog"], "a class without a file has its number"
    assert class_names([(7, Path("7/a.npz")), (10, Path("10/a.npz"))]) == [], "numbers are no names"
    assert class_names([(0, Path("x/caf\udce9/a"))]) == ["caf\N{REPLACEMENT CHARACTER}"], "not UTF-8 on the disk"
