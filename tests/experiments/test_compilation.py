"""The cache of compiled programs: where it lies, and that a second process finds them."""

import os
import subprocess
import sys
from pathlib import Path

from experiments.compilation import cache_folder

ROOT = Path(__file__).parents[2]
PROGRAM = """
import jax
from experiments.compilation import keep_compiled_programs
keep_compiled_programs()
jax.jit(lambda x: x * 2 + 1)(1.0)
print(jax.config.jax_compilation_cache_dir)
"""


def compile_something(**environment: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*-cache")}


def test_programs_lie_in_the_user_s_cache_and_are_found_again(tmp_path):
    folder = compile_something(XDG_CACHE_HOME=str(tmp_path))
    assert folder == tmp_path / "flowjax_glow" / "xla"
    kept = entries(folder)
    assert kept
    compile_something(XDG_CACHE_HOME=str(tmp_path))
    assert entries(folder) == kept


def test_a_folder_chosen_by_the_environment_stays(tmp_path):
    chosen = tmp_path / "chosen"
    used = compile_something(
        XDG_CACHE_HOME=str(tmp_path / "other"), JAX_COMPILATION_CACHE_DIR=str(chosen)
    )
    assert used == chosen
    assert entries(chosen)
    assert not (tmp_path / "other").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    compile_something(XDG_CACHE_HOME=str(tmp_path / "file"))


def test_the_home_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "flowjax_glow" / "xla"
