"""Kernels are compiled once, whoever compiles them and whatever happens to the files."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl import resources
from sewdsl.equations.step import LinearConstants
from sewdsl.snn.kernels import compile_ahead, compile_cache, render_kernels
from sewdsl.snn.kernels.compile_ahead import KernelSource
from sewdsl.snn.kernels.neuron.plan_kernel import KernelVariant
from sewdsl.snn.kernels.neuron.write_numba import render_forward
from tests.effort import examples

SOURCE = KernelSource(render_kernels.render_kernel("packed_bits", "pack", "float32", BITS=8), "a test")
"""The kernel that takes least time to compile."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for several tests, which leave it intact."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEWDSL_CACHE", str(folder))
        yield folder


def forward_text(v_reset: float | None) -> str:
    """The kernel of LIF neurons."""
    law = LinearConstants(0.5, 0.5, 0.0, 0.0, 1.0, v_reset, detach_reset=True).text()
    variant = KernelVariant("float32", law, (), slope="", norm=False, join="", states=False)
    return render_forward(variant).text


def hits() -> int:
    """Return the number of cached compilations of a kernel, which is created again."""
    kernel = compile_cache.load_source(*SOURCE).pack
    return sum(kernel.stats.cache_hits.values())


def test_what_is_compiled_is_shared_by_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    workers = [compile_ahead._start_worker() for _ in range(2)]
    for worker in workers:
        output, _ = worker.communicate(json.dumps(SOURCE._asdict()) + "\n")
        assert (worker.returncode, output) == (0, "\n")
    assert compile_cache.is_compiled(*SOURCE)
    assert hits() == 1
    files = [path.suffix for path in (tmp_path / "kernels").iterdir() if path.is_file()]
    assert sorted(files) == [".py", ".py", ".sha256"]  # the kernel and its digests, and what it shares with others


def test_what_is_damaged_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    assert [hits(), hits()] == [0, 1]
    for path in [*tmp_path.rglob("*.nbc"), *tmp_path.rglob("*.nbi")]:
        path.write_bytes(path.read_bytes()[:20])
    assert [hits(), hits()] == [0, 1]


@examples(3)
@given(numbers=st.tuples(st.integers(0, 99), st.integers(0, 1 << 20), st.integers(0, 7)))
def test_damaged_machine_code_is_not_run(cache: Path, numbers: tuple[int, int, int]) -> None:
    """LLVM runs it as it is, or ends the process."""
    assert hits() <= 1
    files = sorted(cache.rglob("*.nb?"))
    # The sizes of files differ from time to time, so that they cannot limit what is drawn.
    number, place, bit = numbers
    file = files[number % len(files)]
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    file.write_bytes(content)
    assert [hits(), hits()] == [0, 1]


@pytest.mark.usefixtures("cache")
def test_damaged_machine_code_in_a_folder_of_numba_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder may set numba's folder, by ``.numba_config.yaml``."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    assert [hits(), hits()] == [0, 1]
    (file,) = tmp_path.rglob("*.nbc")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert hits() == 0


def test_code_without_digests_is_not_run(cache: Path) -> None:
    assert hits() <= 1
    next(cache.rglob("*.sha256")).unlink()
    assert [hits(), hits()] == [0, 1]


@pytest.mark.skipif(os.name != "posix", reason="folders have no owner and mode")
@pytest.mark.parametrize("folder", [".", "kernels", "kernels/__pycache__"])
def test_no_code_is_loaded_that_others_can_write(cache: Path, folder: str) -> None:
    assert hits() <= 1
    (cache / folder).chmod(0o777)
    with pytest.warns(resources.UntrustedCache, match="every user can write to the cache folder"):
        assert hits() == 0
    (cache / folder).chmod(0o755)
    assert hits() == 1


def test_no_code_is_loaded_from_the_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("folders have no owner")
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    owner = tmp_path.stat().st_uid
    if owner == 0:  # root's folders are trusted, so the test gives this one away
        os.chown(tmp_path, 1, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.warns(resources.UntrustedCache, match="belongs to another user"), pytest.raises(PermissionError):
        resources.code_cache_folder("kernels")


def test_a_folder_that_cannot_be_used_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path / "file"))
    assert [hits(), hits()] == [0, 0]


def test_what_kernels_share_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    texts = (forward_text(v_reset) for v_reset in (0.0, None))
    hard, soft = (compile_cache.load_source(text, "a test of what is shared") for text in texts)
    assert hard.forward is not soft.forward
    assert hard.fetch is soft.fetch
    assert len(hard.fetch.signatures) == 1


def test_a_changed_file_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    first = compile_cache.load_source("answer = 1\n", "versions")
    path = Path(str(first.__file__))
    path.write_text("answer = 2\n", encoding="utf-8")
    assert compile_cache.load_source("answer = 1\n", "versions").answer == 1
    assert path.read_text(encoding="utf-8").endswith("\nanswer = 1\n")
    assert compile_cache.load_source("answer = 1\n", "others").__file__ != str(path)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="reads the instructions of another processor")
def test_nothing_is_contracted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A multiplication and an addition in one rounding would move a spike."""
    monkeypatch.setenv("SEWDSL_CACHE", str(tmp_path))
    kernel = compile_cache.load_source(forward_text(0.0), "a test").forward
    assembly = "\n".join(kernel.inspect_asm().values())
    assert "mulps" in assembly
    assert "fmadd" not in assembly
