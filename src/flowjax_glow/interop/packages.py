"""Packages of the extra `interop`, imported when they are needed."""

import importlib
from typing import Any

from flowjax_glow.errors import how_to_install


def needed(module: str) -> Any:
    """The module.

    Raises:
        ImportError: with the command that installs it, if its package is missing.
    """
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"flowjax_glow.interop: expected the package {package}, got none; install it: "
            f"{how_to_install('interop')}",
            name=package,
        ) from None
