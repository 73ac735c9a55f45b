"""What pyproject.toml and the files beside it promise."""

import importlib.metadata
import importlib.util
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import flowjax_glow

ROOT = Path(__file__).parent.parent
NAME = "flowjax-glow"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MIB = 2**20

#: A folder of somebody's machine, or a package registry or its mirror.
PRIVATE = re.compile(
    r"""(?<![\w.}/-])/(?:work|root|opt|mnt|home/[a-z]\w*|Users/\w+)/(?=[\w.])
    | index-url\s*[=\s] | find-links\s*[=\s]
    | pythonhosted\.org | pypi\.org/simple | registry\.npmjs""",
    re.VERBOSE,
)


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in paths if path.is_file()]


def closure(name: str, extras: tuple[str, ...]) -> set[str]:
    """The packages that `name` with these extras pulls in, as far as they are installed."""
    found: set[tuple[str, str]] = set()
    open_ends = [(name, extra) for extra in ("", *extras)]
    while open_ends:
        package, extra = open_ends.pop()
        if (package, extra) in found:
            continue
        found.add((package, extra))
        try:
            requirements = importlib.metadata.requires(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, requirements):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                needed = canonicalize_name(requirement.name)
                open_ends += [(needed, wanted) for wanted in ("", *requirement.extras)]
    return {package for package, _ in found}


def test_the_core_needs_six_packages():
    six = {"jax", "flax", "optax", "jaxtyping", "numpy", "safetensors"}
    assert names(PROJECT["dependencies"]) == six


def test_the_extras_are_there():
    assert {"experiments", "cuda12", "tensorflow", "dev"} <= set(EXTRAS)
    assert EXTRAS["cuda12"] == ["jax[cuda12]"]
    assert names(EXTRAS["tensorflow"]) == {"tensorflow"}
    assert f"{NAME}[experiments]" in EXTRAS["dev"]


def test_an_install_for_the_cpu_pulls_in_neither_cuda_nor_tensorflow():
    packages = closure(NAME, ("dev",))
    assert {"jax", "jaxlib", "tensorflow-datasets", "pytest"} <= packages
    allowed = {"tensorflow-datasets", "tensorflow-metadata", "tensorboardx"}  # these need neither
    heavy = re.compile("nvidia|cuda|cupy|triton|tensorflow|tensorboard|keras|torch")
    assert not {package for package in packages - allowed if heavy.search(package)}


def test_the_package_comes_without_the_extras():
    program = "import flowjax_glow, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout
    extra = {"matplotlib", "skimage", "sklearn", "PIL", "tensorflow_datasets", "tyro", "pytest"}
    assert not extra & set(output.split())


def test_the_version_is_the_same_everywhere():
    version = flowjax_glow.__version__
    assert Version(version) == Version(importlib.metadata.version(NAME))
    assert re.search(rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


def test_pre_commit_and_the_extra_pin_the_same_linters():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    for linter in ("ruff", "pyright"):
        (pinned,) = (text for text in EXTRAS["dev"] if text.startswith(linter))
        assert set(re.findall(rf"\b{linter}==[\w.]+", hooks)) == {pinned}


def test_the_constraints_pin_each_package_once_and_only_that():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    pins = [Requirement(line) for line in lines]
    pinned = [canonicalize_name(pin.name) for pin in pins]
    assert lines == sorted(lines, key=str.upper)
    assert len(pinned) == len(set(pinned))
    assert all([part.operator for part in pin.specifier] == ["=="] for pin in pins)
    assert names(PROJECT["dependencies"]) <= set(pinned)

    # ... and every version is one that pyproject.toml allows.
    versions = {name: next(iter(pin.specifier)).version for name, pin in zip(pinned, pins)}
    asked = itertools.chain(PROJECT["dependencies"], EXTRAS["experiments"], EXTRAS["dev"])
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name == NAME or requirement.specifier.contains(versions[name]), name


def test_no_file_is_large():
    assert not {str(path) for path in tracked_files() if path.stat().st_size > MIB}


def test_no_file_names_a_machine_or_a_registry():
    this = Path(__file__)
    found = {}
    for path in tracked_files():
        if path != this and (match := PRIVATE.search(path.read_text(errors="ignore"))):
            found[str(path.relative_to(ROOT))] = match.group()
    assert not found


@pytest.mark.parametrize(
    ("parts", "private"),  # in parts, so that this file names none either
    [
        (("see ", "home", "someone", "pictures"), True),
        (('"', "Users", "someone", 'x"'), True),
        (("", "root", ".cache"), True),
        (("pip --index" + "-url=x",), True),
        (("https:", "", "example.org", "work", "list"), False),
        (("examples", "opt", "thing"), False),
        (("", "path", "to", "python3"), False),
        (("frame", "work", "it"), False),
    ],
)
def test_machine_paths_are_recognized(parts, private):
    assert bool(PRIVATE.search("/".join(parts))) == private
