"""Compiled programs: kept on disk for the next time, dropped before memory has no room."""

import os
from pathlib import Path

import jax


def cache_folder() -> Path:
    """`flowjax_glow/xla` in the user's cache folder, after the XDG base directory rules.

    Raises:
        RuntimeError: if the user has no home, as in some containers.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flowjax_glow" / "xla"


def keep_compiled_programs() -> None:
    """Switches JAX's persistent compilation cache on, for programs of any size.

    A folder that the environment (``JAX_COMPILATION_CACHE_DIR``) or the caller has chosen stays;
    one that cannot be made leaves things as they are. JAX keys an entry by program, version,
    options and processor, and compiles anew where an entry cannot be read.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        try:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default only what took a second to compile is kept; a CPU run has many smaller programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


#: A process's memory maps, one a line, and how many Linux allows it.
MAPS, MAPS_ALLOWED = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def make_room_for_programs() -> None:
    """Drops compiled programs from memory if half of the maps that Linux allows are in use.

    A model takes one to four thousand maps on a CPU and the default limit is 65,530. Past it XLA
    ends the process, so a sweep of some dozens of models must let go of the old ones; their
    programs come back from disk where they are needed again. Other systems have no such limit.
    """
    try:
        allowed = int(MAPS_ALLOWED.read_text())
        with MAPS.open() as lines:
            maps = sum(1 for _ in lines)
    except OSError:
        return
    if maps > allowed / 2:
        jax.clear_caches()
