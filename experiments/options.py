"""Names for what a command writes, so that runs with other options do not overwrite each other."""

import re
import zlib

import click
from click.core import ParameterSource

#: Letters of a value before it is cut and told apart by a checksum.
LONGEST = 60

#: What changes nothing in the file written.
SHOWN_ONLY = ("--debug", "--tables")


def name_with_options(first: str, but: tuple[str, ...] = ()) -> str:
    """`first`, then every option of the running command that is not at its default.

    `fast-000400` becomes `fast-000400-samples-1000-averaged`. `but` names options to leave out.
    """
    context = click.get_current_context()
    words = [first]
    for parameter in context.command.params:
        name = parameter.name or ""
        option, value = parameter.opts[0], context.params[name]
        if not option.startswith("--") or option in (*SHOWN_ONLY, *but):
            continue
        if context.get_parameter_source(name) is ParameterSource.DEFAULT:
            continue
        if value == parameter.get_default(context):  # given, and the default all the same
            continue
        words.append(option.removeprefix("--"))
        if not (isinstance(parameter, click.Option) and parameter.is_flag):
            words.append(_word(value))
    return "-".join(words)


def _word(value: object) -> str:
    text = "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
    word = re.sub(r"[^\w.+-]+", "-", text)
    if len(word) > LONGEST:  # as a path may be; file systems allow 255 bytes for the whole name
        return f"{word[:LONGEST]}-{zlib.crc32(text.encode()):08x}"
    return word
