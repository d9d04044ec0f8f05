import ctypes
import subprocess
import sys

import pytest

from legato.kernels import build

SOURCE = '#include "lanes.h"\nint answer(void) { return 42; }\n'


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEGATO_CACHE", str(tmp_path))
    return tmp_path


def test_compiles_once_and_keeps_it(cache):
    assert build.build(SOURCE, "answer").answer() == 42
    (kept,) = cache.iterdir()
    before = kept.stat().st_mtime_ns
    assert build.build(SOURCE, "answer").answer() == 42
    assert kept.stat().st_mtime_ns == before
    assert build.build(SOURCE.replace("42", "43"), "answer").answer() == 43


def test_a_damaged_file_is_made_anew(cache):
    build.build(SOURCE.replace("42", "7"), "answer")
    (kept,) = cache.iterdir()
    name = kept.name
    kept.unlink()
    (cache / name).write_bytes(b"not a library")
    assert build.build(SOURCE.replace("42", "7"), "answer").answer() == 7


def test_processes_may_race(cache):
    code = f"from legato.kernels.build import build; assert build({SOURCE!r}, 'answer').answer() == 42"
    racing = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in racing] == [0, 0, 0]
    assert len(list(cache.iterdir())) == 1


def test_what_does_not_compile_is_one_line(cache):
    with pytest.raises(build.Unavailable, match="could not compile a kernel: expected expression") as told:
        build.build("int nonsense = ;", "nonsense")
    assert "\n" not in str(told.value)


def test_nowhere_to_write_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LEGATO_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.raises(build.Unavailable, match="no kernel answer"):
        build.build(SOURCE, "answer")


def test_no_compiler_is_one_line(cache, monkeypatch):
    monkeypatch.setenv("PATH", str(cache))
    monkeypatch.delenv("CC", raising=False)
    build.compiler.cache_clear()
    with pytest.raises(build.Unavailable, match="install gcc or clang"):
        build.compiler()
    build.compiler.cache_clear()


def test_another_processor_compiles_its_own(cache, monkeypatch):
    build.build(SOURCE, "answer")
    monkeypatch.setattr(build, "machine", lambda: "another")
    assert isinstance(build.build(SOURCE, "answer"), ctypes.CDLL)
    assert len(list(cache.iterdir())) == 2
