"""Every test runs with several CPU devices, strict dtypes, checked shapes, warnings as errors."""

import gc
import itertools
import os
import tempfile
from importlib.metadata import version

# XLA's older way to compile fusions takes half the time, and one piece a program instead of many
# that are compiled at once a fifth less. The first was dropped within jaxlib 0.11, where the name
# of a flag that is gone ends the process.
FAST_COMPILATION = (
    ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
    if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11)
    else []
)

os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        # The tests compile hundreds of programs and run each of them once or twice.
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        *FAST_COMPILATION,
    ]
)
os.environ["JAX_PLATFORMS"] = "cpu"

# Many tests compile programs of the same text: what one process has compiled, in this run of the
# tests, the others load. The folder is made by the first process, and goes with it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    COMPILED = tempfile.TemporaryDirectory(prefix="flowjax-glow-tests-")
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

from collections.abc import Iterator

import jaxtyping
from jaxtyping import install_import_hook

import tests.checking  # noqa: F401  (the hook below looks it up by name)

# Before the first import of the package: from here on its shape annotations are checked.
install_import_hook("flowjax_glow", "tests.checking.checked")

import jax
import pytest

from flowjax_glow.runs.compilation import make_room_for_programs

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "allow")


def pytest_collection_finish() -> None:
    """Spares the garbage collector what all imports made, and JAX most of its looks."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000)


#: Files that take longer than 20 s, the longest first: what starts late would leave the other
#: worker idle. The first and the last two wait for other processes.
FIRST = (
    "test_kills.py",
    "test_laws.py",
    "test_smoke_sweep.py",
    "test_trained.py",
    "test_against_oracles.py",
    "test_docs.py",
    "test_accelerator.py",
    "test_context.py",
    "test_wheel.py",
    "test_children.py",
    "test_train.py",
    "test_labels.py",
    "test_plan.py",
    "test_figures.py",
    "test_experiments.py",
    "test_report.py",
    "test_density.py",
    "test_distributed.py",
    "test_two_processes.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take files in this order."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(FIRST)))


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest):
    """Runs a test in both precisions; float64 is switched off again afterwards."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


#: Tests between looks at how many memory maps this process has.
BETWEEN_LOOKS = 20
LOOKED = itertools.count()


@pytest.fixture(autouse=True)
def room_for_programs() -> None:
    """A worker compiles thousands of programs, and Linux ends a process with too many maps."""
    if next(LOOKED) % BETWEEN_LOOKS == 0:
        make_room_for_programs()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switches the tests' shape and dtype checks off, as they are for users, to see our own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
