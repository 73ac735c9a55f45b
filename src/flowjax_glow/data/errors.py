"""The complaint of this package and the look-ups that may raise it."""

import importlib
import importlib.util
from importlib import metadata
from pathlib import Path
from types import ModuleType

from flowjax_glow.errors import how_to_install

DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}  # where the names differ


class DataError(ValueError):
    """Data that cannot be used: `<where>: expected <what>, got <what came>; <what to do>`."""


def optional_module(name: str, where: str) -> ModuleType:
    """Import an optional dependency, or raise `DataError` with the pip command that brings it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"{where}: expected the package {name}, got {error}; install it: "
            f"{how_to_install('experiments')}"
        ) from error


def package_file(package: str, path: str, where: str) -> Path:
    """The path of a file that an installed package carries, found without importing the package.

    Raises `DataError` when the package is missing or does not carry the file.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(
            f"{where}: expected the package {package}, got none installed; install it: "
            f"{how_to_install('experiments')}"
        )
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise DataError(
            f"{where}: expected {path} inside {package}, got version {version(package)} "
            f"without it; reinstall it: pip install --force-reinstall {package}"
        )
    return file


def version(package: str) -> str:
    """The version of the distribution that provides an importable package."""
    return metadata.version(DISTRIBUTIONS.get(package, package))
