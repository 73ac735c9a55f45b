"""Dataclasses from the fields of a JSON object, which may be damaged, foreign or newer."""

import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from flowjax_glow.errors import expected

Built = TypeVar("Built")

_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def build(kind: type[Built], fields: Mapping[str, Any], where: str) -> Built:
    """A `kind` with these fields, those that are missing at their defaults.

    Args:
        kind: a dataclass.
        fields: of JSON, but for those whose values are dataclasses themselves.
        where: what an error calls them, such as ``model.``.

    Raises:
        ValueError: if one is unknown, or of another type than `kind` says.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, value in fields.items():
        if name not in known:
            raise expected(
                f"{where}{name}",
                f"a field of {kind.__name__}",
                got="one of another name",
                advice="read the file with the version that wrote it",
            )
        if not any(_fits(choice, value) for choice in alternatives(hints[name])):
            wanted = dict.fromkeys(map(name_of, alternatives(hints[name])))
            raise expected(
                f"{where}{name}",
                " or ".join(wanted),
                got=repr(value)[:80],
                advice="restore the file",
            )
    return kind(**fields)


def meanings(kind: type) -> dict[str, str]:
    """What the docstring of a dataclass and those of its bases say of each field."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        _, _, section = inspect.cleandoc(each.__doc__ or "").partition("\nAttributes:\n")
        entries = textwrap.dedent(section.split("\n\n", 1)[0])
        for names, text in _ENTRY.findall(entries):
            found |= dict.fromkeys(names.split(", "), " ".join(text.split()))
    return {field.name: found.get(field.name, "") for field in dataclasses.fields(kind)}


#: ``name, other: what they are`` and the lines below that are moved in.
_ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.*(?:\n +.*)*)", re.MULTILINE)


def alternatives(hint: Any) -> list[Any]:
    """The types of a union, flat, and a literal's values as literals of their own."""
    if get_origin(hint) in (Union, types.UnionType):
        return [kind for part in get_args(hint) for kind in alternatives(part)]
    if get_origin(hint) is Literal:
        return [Literal[value] for value in get_args(hint)]  # type: ignore[valid-type]
    return [hint]


def name_of(kind: Any) -> str:
    """One of `alternatives` in a word."""
    if get_origin(kind) is Literal:
        return str(get_args(kind)[0]).lower()
    if kind is type(None):
        return "none"
    return _NAMES.get(kind) or kind.__name__


def _fits(kind: Any, value: Any) -> bool:
    if get_origin(kind) is Literal:
        (choice,) = get_args(kind)
        return type(value) is type(choice) and value == choice
    if kind in (int, float):
        return not isinstance(value, bool) and isinstance(value, (int, kind))
    return isinstance(value, kind)
