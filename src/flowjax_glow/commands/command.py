"""A command is a dataclass: its fields are the options, their docstrings the help."""

import dataclasses
import difflib
import inspect
import math
import re
import sys
import textwrap
import typing
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import tyro

from flowjax_glow.commands.errors import one_line_errors
from flowjax_glow.commands.streams import tolerant_streams
from flowjax_glow.errors import expected

#: Letters of a value, and bytes of a name, before it is cut and told apart by a checksum. File
#: systems allow 255 bytes.
LONGEST, LONGEST_NAME = 60, 200


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
        folder.mkdir(exist_ok=True, parents=True)
        return folder / f"{name_with_options(self, first, but)}.json"


@dataclass(frozen=True, kw_only=True)
class OnModels(OnRuns):
    """A command about trained models alone, of runs or in files."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a model file, or a sweep folder, which stands for all of its runs."""


def check_temperature(value: float) -> None:
    """Raises unless `value` can scale latents.

    Raises:
        ValueError: in terms of the option --temperature.
    """
    if not 0 <= value < math.inf:
        raise expected(
            "--temperature", "a finite number from 0", got=value, advice="1 is the model's"
        )


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
        command, unknown = tyro.cli(
            kind,
            args=arguments,
            prog=prog or None,
            description=_introduction(kind),
            return_unknown_args=True,
            config=(
                tyro.conf.OmitArgPrefixes,
                tyro.conf.FlagCreatePairsOff,
                tyro.conf.DisallowNone,
                tyro.conf.HelptextFromCommentsOff,
            ),
        )
        with one_line_errors(command.debug):
            _check_known(kind, unknown, prog or kind.__name__)
            sys.exit(command() or 0)


def _introduction(kind: type[Command]) -> str:
    """The docstring in lines of 80; what is indented, examples, stays as it is.

    All lines are indented, since tyro joins those that begin with a letter.
    """
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    return "\n\n".join(
        textwrap.indent(each, " ")
        if each.startswith(" ")
        else textwrap.fill(each, 80, initial_indent=" ", subsequent_indent=" ")
        for each in paragraphs
    )


def _check_known(kind: type[Command], unknown: Sequence[str], prog: str) -> None:
    """Raises if something was written that is no option, with the name that it is nearest to."""
    if not unknown:
        return
    written = next((each for each in unknown if each.startswith("-")), unknown[0])
    close = difflib.get_close_matches(written.partition("=")[0], _options(kind), n=1)
    advice = f"did you mean {close[0]}?" if close else f"see {prog} --help"
    raise expected(prog, "an option of this command", got=written, advice=advice)


def _options(kind: type[Command]) -> list[str]:
    """The names of all options, with their other names."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = []
    for field in dataclasses.fields(kind):
        told = getattr(hints[field.name], "__metadata__", ())
        others = [alias for each in told for alias in getattr(each, "aliases", None) or ()]
        names = [name for each in told if (name := getattr(each, "name", None))]
        found += [f"--{name.replace('_', '-')}" for name in names or [field.name]] + others
    return found


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
            words.append(as_word(value))
    name = "-".join(words)
    if len(name.encode()) > LONGEST_NAME:
        start = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        return f"{start}-{zlib.crc32(name.encode()):08x}"
    return name


def as_word(value: object) -> str:
    """A value as a part of a file's name."""
    text = "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
    word = re.sub(r"[^\w.+-]+", "-", text)
    kind, colon, path = text.partition(":")  # as folder:a/b, which folder:a-b would look like
    if len(word) > LONGEST or (colon and word != f"{kind}-{path}"):
        return f"{word[:LONGEST]}-{zlib.crc32(text.encode()):08x}"
    return word
