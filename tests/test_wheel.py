"""What people install: the wheel, used away from the sources and read by a type checker."""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest

import flowjax_glow
from tests.pages import blocks
from tests.test_project import PROJECT, closure, names, tracked_files

ROOT = Path(__file__).parents[1]

#: Modules whose `__all__` is public.
PUBLIC = (
    "flowjax_glow",
    "flowjax_glow.bijectors",
    "flowjax_glow.data",
    "flowjax_glow.diagnostics",
    "flowjax_glow.export",
    "flowjax_glow.interop",
    "flowjax_glow.scales",
    "flowjax_glow.testing",
    "flowjax_glow.training",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling, which is part of the extra `dev`")
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (file,) = built.glob("*.whl")
    return file


def environment(folder, wheel):
    """The folder of packages of a new environment, which has the wheel alone."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The python of an environment that has the wheel, and this environment's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    (environment(folder, wheel) / "others.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin/python"


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory):
    """The python of an environment that has what `pip install` of the wheel alone brings."""
    folder = tmp_path_factory.mktemp("core")
    site, others = environment(folder, wheel), Path(sysconfig.get_path("purelib"))
    wanted = set().union(*(closure(name, ()) for name in names(PROJECT["dependencies"])))
    for package in wanted:
        with suppress(PackageNotFoundError):  # for another system or Python
            for name in {file.parts[0] for file in distribution(package).files or ()} - {".."}:
                if not (site / name).exists():
                    (site / name).symlink_to(others / name)
    return folder / "bin/python"


def run(*command, cwd, **changes):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | changes
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )


def test_it_holds_the_package_and_its_license_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        contents = archive.namelist()
    folder = f"flowjax_glow-{flowjax_glow.__version__}.dist-info"
    assert {name.partition("/")[0] for name in contents} == {"flowjax_glow", folder}
    assert "flowjax_glow/py.typed" in contents
    assert f"{folder}/licenses/LICENSE" in contents
    source = ROOT / "src"
    modules = {str(path.relative_to(source)) for path in source.rglob("*.py")}
    assert modules <= set(contents)
    others = {name for name in contents if not name.startswith(folder)} - modules
    assert others == {"flowjax_glow/py.typed"}


def test_the_sdist_holds_all_that_its_tests_need(built):
    (file,) = built.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        contents = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {str(path.relative_to(ROOT)) for path in tracked_files()}
    assert {name for name in tracked if not name.startswith(".")} <= contents


def test_it_works_from_an_empty_folder(installed, tmp_path):
    program = (
        "import flowjax_glow; print(flowjax_glow.__file__);"
        "from flowjax_glow.__main__ import main; main(['plan', '--preset=smoke'])"
    )
    done = run(installed, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed.parents[1]))
    assert "parameters" in done.stdout
    assert not list(tmp_path.iterdir())


#: Prints what a model in an empty environment draws, and that nothing else was needed for it.
DRAW = """
import sys
from flowjax_glow import Model
model = Model.load("photos.safetensors")
images = model.sample(5, key=3)
assert (model.decode(model.encode(images)) == images).all()
assert not {"flowjax_glow.training", "skimage", "tyro"} & set(sys.modules)
print(images.tobytes().hex())
"""


def test_the_readme_trains_a_model_that_goes_anywhere(installed, core, tmp_path):
    """All of the README's Python runs, compiled as users compile it, and what its model draws is
    the same to the bit where there are neither its data nor the extras."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    library_code = "\n".join(blocks(ROOT / "README.md"))
    drawn = "print(model.sample(5, key=3).tobytes().hex())"
    strictly = ("-W", "error", "-c", f"{library_code}\n{drawn}")
    done = run(installed, *strictly, cwd=here, XLA_FLAGS="")
    assert done.returncode == 0, done.stderr
    shutil.copy(here / "photos.safetensors", there)
    moved = run(core, "-c", DRAW, cwd=there, XLA_FLAGS="")
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout == done.stdout.splitlines(keepends=True)[-1]


def test_the_core_says_what_its_photographs_need(core, tmp_path):
    program = "from flowjax_glow.data import load; load('photos')"
    done = run(core, "-c", program, cwd=tmp_path)
    message = r"DataError: photos: expected the package .*; install it: in a clone pip in"
    assert re.search(message, done.stderr.splitlines()[-1])


def test_without_the_extra_a_line_says_what_to_install(core, tmp_path):
    done = run(core, "-m", "flowjax_glow", "train", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "got no tyro; install them: in a clone pip install '.[experiments]', " in done.stderr


def test_a_strict_type_checker_accepts_every_public_name(installed, tmp_path):
    checker = shutil.which("pyright", path=Path(sys.executable).parent)
    if checker is None or run(checker, "--version", cwd=tmp_path).returncode:
        pytest.skip("needs pyright, which is part of the extra `dev`, and node")
    if tuple(map(int, version("numpy").split(".")[:2])) < (2, 3):
        pytest.skip("needs NumPy 2.3: types of arrays and numbers of older ones have no defaults")
    lines = []
    for module in PUBLIC:
        public = importlib.import_module(module).__all__
        lines += [
            f"from {module} import {name} as _{len(lines) + i}" for i, name in enumerate(public)
        ]
    uses = ", ".join(f"_{number}" for number in range(len(lines)))
    (tmp_path / "uses.py").write_text("\n".join([*lines, f"print({uses})"]))
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    done = run(checker, "--pythonpath", installed, "uses.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
