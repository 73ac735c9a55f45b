"""Imports only go down: the table `ROWS` below, held against the sources."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "flowjax_glow"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")
}

#: Rooms from the ground up. Each imports from rooms below its own, never from its own row.
ROWS = (
    {"types", "errors"},
    {"files", "effort", "fields"},
    {"numerics", "pixels", "plotting", "layer_axis", "arrays"},
    {"context", "convolution", "trainable"},
    {"scales", "nets", "bijector", "elimination"},
    {"channels", "combinator"},
    {"bijectors"},
    {"combinators"},
    {"walk", "rebuild", "latents"},
    {"config", "density"},
    {"glowip", "real_nvp", "testing"},
    {"ported"},
    {"config_json"},
    {"model_file"},
    {"card", "model_programs"},
    {"model"},
    {"training", "diagnostics", "data", "interop"},
    {"fitting", "export"},
    {"runs"},
    {"figures"},
    {"commands"},
    {"__main__"},
)
ROW = {room: row for row, rooms in enumerate(ROWS) for room in rooms}

#: Beyond the rows: training takes a loss function and data gives arrays; neither knows a flow.
NEVER = {
    room: {"config", "density", "walk", "combinators", "model_file", "model"}
    for room in ("training", "data")
}

#: All that importing any part of the package may need; the rest is imported where it is used.
AT_IMPORT = {"jax", "jaxtyping", "flax", "optax", "numpy", PACKAGE, *sys.stdlib_module_names}

#: Rooms that draw or talk to people: nothing that models need imports them at import time.
WITH_EXTRAS = {"plotting", "layer_axis", "figures", "commands"}


def imports(tree: ast.AST, *, at_import: bool = False, of_names: bool = False) -> Iterator[str]:
    """Dotted names of all modules imported, or only of those outside of functions.

    `of_names` gives what is imported from a module, too: ``module.name``.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and of_names:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield start if start != PACKAGE else f"{PACKAGE}.{node.names[0].name}"
        elif not (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(node, at_import=at_import, of_names=of_names)


def complaints(module: str, source: str) -> list[str]:
    """What is wrong with the imports of `module`, dotted and without the package's name."""
    tree, room = ast.parse(source), module.split(".")[0]
    found = []
    for name in imports(tree, at_import=True):
        if name.split(".")[0] not in AT_IMPORT and room not in WITH_EXTRAS:
            found.append(
                f"{name} is imported at import time; import it in the function that uses it"
            )
    for name in imports(tree):
        top, *rest = name.split(".")
        if name.startswith("."):
            found.append(f"{name} is relative; write {PACKAGE}. and so on")
        elif top in ("experiments", "benchmarks", "tests"):
            found.append(f"{name} is not part of the package")
        elif top == PACKAGE and room != "__init__":
            found += _inside(module, room, ".".join(rest))
    return found


def _inside(module: str, room: str, target: str) -> list[str]:
    other = target.split(".")[0]
    if other not in ROW:
        return [
            f"{PACKAGE}.{other} is no room of the table; add it to ROWS in tests/test_imports.py"
        ]
    if room == other:
        if room == "bijectors" and module != "bijectors.__init__":
            return [f"{target}: bijectors import none of each other"]
        return []
    if ROW[other] >= ROW[room] or other in NEVER.get(room, ()):
        return [f"{target} is not below {room}"]
    return []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    room = module.split(".")[0]
    assert room == "__init__" or room in ROW, f"add {room} to ROWS in tests/test_imports.py"
    assert complaints(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("numerics", "from flowjax_glow.scales import Sigmoid", "not below"),
        ("density", "from flowjax_glow.config import glow", "not below"),
        ("config", "import flowjax_glow.density", "not below"),
        ("nets", "def f():\n    from flowjax_glow.bijectors import ActNorm", "not below"),
        ("training.loop", "from flowjax_glow.density import bits_per_dim", "not below"),
        ("training.loop", "from flowjax_glow import density", "not below"),
        ("data.photos", "from flowjax_glow.config import glow", "not below"),
        ("bijectors.split", "from flowjax_glow.bijectors.coupling import x", "none of each other"),
        ("bijectors.split", "from flowjax_glow.bijectors import ActNorm", "none of each other"),
        ("bijectors.split", "from .coupling import AffineCoupling", "relative"),
        ("walk", "from flowjax_glow import ActNorm", "no room"),
        ("diagnostics.trace", "from experiments.sweep import main", "not part"),
        ("diagnostics.trace", "from flowjax_glow.runs.run import run", "not below"),
        ("__init__", "import experiments", "not part"),
        ("training.checkpoints", "import orbax.checkpoint", "at import time"),
        (
            "training.display",
            "try:\n    import rich\nexcept ImportError:\n    pass",
            "at import time",
        ),
        ("data.photos", "class A:\n    from PIL import Image", "at import time"),
    ],
)
def test_the_table_is_able_to_complain(module, source, word):
    assert any(word in complaint for complaint in complaints(module, source))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("training.checkpoints", "def save():\n    import orbax.checkpoint"),
        ("training.loop", "from flowjax_glow.training.step import StepFn"),
        ("diagnostics.round_trips", "from flowjax_glow.pixels import quantize"),
        ("bijectors.__init__", "from flowjax_glow.bijectors.split import Split"),
        ("bijectors.split", "import math\nfrom flowjax_glow.nets import ZeroConv"),
    ],
)
def test_the_table_allows_what_goes_down(module, source):
    assert complaints(module, source) == []


EXPERIMENTS = Path(__file__).parents[1] / "experiments"

#: Every module of the package and of the experiments by its whole name.
SOURCES = {
    name.removesuffix(".__init__"): path.read_text(encoding="utf-8")
    for name, path in [
        *((f"{PACKAGE}.{module}", path) for module, path in MODULES.items()),
        *(
            (".".join(path.relative_to(EXPERIMENTS.parent).with_suffix("").parts), path)
            for path in EXPERIMENTS.rglob("*.py")
        ),
    ]
}


def needs(sources: dict[str, str]) -> dict[str, set[str]]:
    """For every module those among `sources` that it imports as it is imported itself."""
    found = {}
    for module, source in sources.items():
        names = set(imports(ast.parse(source), at_import=True, of_names=True))
        # a name out of a module, or a module out of a package
        found[module] = {name if name in sources else name.rpartition(".")[0] for name in names}
        found[module] = found[module] & sources.keys() - {module}
    return found


def test_no_module_needs_itself():
    graphlib.TopologicalSorter(needs(SOURCES)).prepare()  # raises where there is a circle


def test_a_circle_is_told():
    sources = {"a": "from a.b import c", "a.b": "from a.d import e", "a.d": "from a import b"}
    with pytest.raises(graphlib.CycleError, match="nodes are in a cycle"):
        graphlib.TopologicalSorter(needs(sources)).prepare()


def test_help_waits_for_nothing_that_only_some_commands_need():
    """Matplotlib alone takes a third of a second."""
    program = (
        "import sys; from flowjax_glow.commands.catalog import COMMANDS;"
        "print(*{'matplotlib', 'orbax', 'scipy', 'skimage', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
