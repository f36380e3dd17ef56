"""The benchmark of C files runs, and its contenders compute the same network."""

import pytest

from sewdsl.exchange.write.c.run_file import find_compiler

pytest.importorskip("onnxruntime")


@pytest.mark.deep
@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_small() -> None:
    from benchmarks import integers  # noqa: PLC0415 -- imports onnxruntime

    lines = [line.partition(":")[0] for line in integers.lines("tiny", 1)]
    names = "sewdsl in floats", "onnxruntime float32", "onnxruntime int8", "C", "C without vectors"
    assert lines == [f"tiny, {name}" for name in names]
