"""A command is a dataclass: its fields are the options, their docstrings the help."""

import dataclasses
import re
import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from flowjax_glow.commands.errors import one_line_errors
from flowjax_glow.commands.streams import tolerant_streams

#: Letters of a value before it is cut and told apart by a checksum.
LONGEST = 60


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """A command line, read.

    A subclass says in `__call__` what is done; what that returns is the exit code, 0 if nothing.
    """

    debug: bool = False
    """Show tracebacks."""

    @abstractmethod
    def __call__(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True)
class OnRuns(Command):
    """A command about trained models, which writes what it finds into their run folders."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder; or a sweep folder, which stands for all of its runs."""

    def file(self, run: Path, kind: str, first: str, but: Sequence[str] = ()) -> Path:
        """``run/kind/first-OPTIONS.json``, see `name_with_options`; makes the folder."""
        folder = run / kind
        folder.mkdir(exist_ok=True)
        return folder / f"{name_with_options(self, first, but)}.json"


def run_command(
    kind: type[Command], arguments: Sequence[str] | None = None, prog: str = ""
) -> NoReturn:
    """Reads a command line, does what it asks for, and exits.

    Args:
        kind: whose fields are the options.
        arguments: of the command line; those of this process by default.
        prog: how the command is called, for its help.
    """
    with tolerant_streams():
        command = tyro.cli(
            kind,
            args=arguments,
            prog=prog or None,
            config=(
                tyro.conf.OmitArgPrefixes,
                tyro.conf.FlagCreatePairsOff,
                tyro.conf.DisallowNone,
                tyro.conf.HelptextFromCommentsOff,
            ),
        )
        with one_line_errors(command.debug):
            sys.exit(command() or 0)


def name_with_options(command: Command, first: str, but: Sequence[str] = ()) -> str:
    """`first`, then every option of a command that is not at its default.

    `fast-000400` becomes `fast-000400-samples-1000-averaged`, so that a command with other options
    does not overwrite what it wrote before. `but` names fields to leave out.
    """
    words = [first]
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if field.name in ("debug", *but) or field.default in (dataclasses.MISSING, value):
            continue
        words.append(field.name.replace("_", "-"))
        if value is not True:
            words.append(_word(value))
    return "-".join(words)


def _word(value: object) -> str:
    text = "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
    word = re.sub(r"[^\w.+-]+", "-", text)
    if len(word) > LONGEST:  # as a path may be; file systems allow 255 bytes for the whole name
        return f"{word[:LONGEST]}-{zlib.crc32(text.encode()):08x}"
    return word
