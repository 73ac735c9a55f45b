"""Compiled programs: where they lie, that they are found again, and when they are dropped."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from flowjax_glow.runs import compilation
from flowjax_glow.runs.compilation import cache_folder, make_room_for_programs

ROOT = Path(__file__).parents[2]
PROGRAM = """
import jax
from flowjax_glow.runs.compilation import keep_compiled_programs
keep_compiled_programs()
jax.jit(lambda x: x * 2 + 1)(1.0)
print(jax.config.jax_compilation_cache_dir)
"""


def compile_something(**environment: str) -> Path:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**ours, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", **environment},
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


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    """As in containers that run under a number alone."""

    def refuse() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", refuse)
    monkeypatch.setitem(jax.config.values, "jax_compilation_cache_dir", None)
    monkeypatch.setattr(
        jax.config,
        "update",
        lambda name, value: (
            pytest.fail(f"{name} {value}") if name == "jax_compilation_cache_dir" else None
        ),
    )
    compilation.keep_compiled_programs()


@pytest.mark.parametrize(("maps", "dropped"), [(40, False), (60, True)])
def test_programs_are_dropped_before_linux_has_no_map_left(monkeypatch, tmp_path, maps, dropped):
    (tmp_path / "maps").write_text("a map\n" * maps)
    (tmp_path / "allowed").write_text("100\n")
    monkeypatch.setattr(compilation, "MAPS", tmp_path / "maps")
    monkeypatch.setattr(compilation, "MAPS_ALLOWED", tmp_path / "allowed")
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(True))
    make_room_for_programs()
    assert bool(cleared) == dropped


def test_systems_without_such_a_limit_keep_their_programs(monkeypatch, tmp_path):
    monkeypatch.setattr(compilation, "MAPS_ALLOWED", tmp_path / "not there")
    monkeypatch.setattr(jax, "clear_caches", lambda: pytest.fail("dropped"))
    make_room_for_programs()
