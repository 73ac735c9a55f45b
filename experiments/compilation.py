"""Compiled programs kept on disk, so that a second run of a preset starts at once."""

import os
from pathlib import Path

import jax


def cache_folder() -> Path:
    """`flowjax_glow/xla` in the user's cache folder, after the XDG base directory rules."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flowjax_glow" / "xla"


def keep_compiled_programs() -> None:
    """Switches JAX's persistent compilation cache on, for programs of any size.

    A folder that the environment (``JAX_COMPILATION_CACHE_DIR``) or the caller has chosen stays;
    one that cannot be made leaves things as they are. JAX keys an entry by program, version,
    options and processor, and compiles anew where an entry cannot be read.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = cache_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    # By default only what took a second to compile is kept; a CPU run has many smaller programs.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
