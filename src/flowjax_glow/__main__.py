"""``flowjax-glow``, also ``python -m flowjax_glow``: the commands of the extra `experiments`."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

from flowjax_glow.errors import missing_package


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a subcommand and exits; by default with the arguments of this process."""
    given = sys.argv[1:] if arguments is None else arguments
    if list(given) == ["--version"]:
        print(f"flowjax-glow {version('flowjax-glow')}")
        sys.exit(0)
    try:
        from flowjax_glow.commands.catalog import dispatch
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "flowjax_glow":
            raise
        print(f"error: {_missing(error.name)}", file=sys.stderr)
        sys.exit(2)
    dispatch(given, "flowjax-glow")


def _missing(module: str) -> str:
    if module == "fcntl":
        return (
            "flowjax-glow: expected Linux or macOS, got a system without file locks; use one of "
            "these"
        )
    return missing_package(module)


if __name__ == "__main__":
    main()
