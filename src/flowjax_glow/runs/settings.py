"""Changes of an experiment as text: ``model.depth=16``."""

import dataclasses
import difflib
import textwrap
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin

from flowjax_glow.errors import expected
from flowjax_glow.fields import alternatives, meanings, name_of
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.scales import Scale, scale_from

#: How near a misspelled name must be to one that is suggested.
_CLOSE = 0.5


def with_settings(experiment: Experiment, settings: Iterable[str]) -> Experiment:
    """`experiment` with fields changed, all at once.

    >>> from flowjax_glow.runs.experiment import Experiment
    >>> changed = with_settings(Experiment(), ["model.depth=16", "optimizer.learning_rate=3e-4"])
    >>> changed.model.depth, changed.optimizer.learning_rate
    (16, 0.0003)

    Args:
        settings: ``FIELD=VALUE`` each, with dots to a field of a field. A value is a number,
            ``true``, ``false``, ``none``, a name without quotes, or a scale as `scale_from` takes
            it, ``bounded:0.5,1``.

    Raises:
        ValueError: if there is no such field, or the value is none that it can have.
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            raise expected(
                "--set", "FIELD=VALUE", got=repr(setting), advice="write model.depth=16, for one"
            )
        *outer, last = path.split(".")
        config, place = experiment, changes
        for name in outer:
            config = _part(config, name, f"--set {path}")
            place = place.setdefault(name, {})
        place[last] = _value(config, last, text, f"--set {path}")
    return _replaced(experiment, changes)


def described_fields(config: Any, before: str = "") -> dict[str, str]:
    """Every field that a setting may name, with dots: its value, and below it what it is.

    >>> from flowjax_glow.runs.experiment import Experiment
    >>> print(described_fields(Experiment())["model.depth"])
    32
          steps per level.
    """
    found: dict[str, str] = {}
    told = meanings(type(config))
    for field in dataclasses.fields(config):
        name, value = f"{before}{field.name}", getattr(config, field.name)
        if _has_fields(value):
            found |= described_fields(value, f"{name}.")
        else:
            below = textwrap.fill(told[field.name].replace("``", "`"), 74)
            found[name] = "\n".join([_text(value), textwrap.indent(below, " " * 6)])
    return found


def _text(value: Any) -> str:
    """A value as a setting says it; a scale as Python does."""
    return str(value).lower() if isinstance(value, bool | None) else str(value)


def _replaced(config: Any, changes: Mapping[str, Any]) -> Any:
    """All at once: what one change breaks another may mend."""
    values = {
        name: _replaced(getattr(config, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(config, **values)


def _part(config: Any, name: str, where: str) -> Any:
    """The field `name`, which has fields itself."""
    _check_name(config, name, where)
    part = getattr(config, name)
    if not _has_fields(part):
        raise expected(where, f"{name} alone", got="fields of it", advice=f"set {name} as a whole")
    return part


def _value(config: Any, name: str, text: str, where: str) -> Any:
    """What `text` says for the field `name`."""
    _check_name(config, name, where)
    part = getattr(config, name)
    if _has_fields(part):
        inner = ", ".join(f"{name}.{field.name}" for field in dataclasses.fields(part))
        raise expected(where, "one of its fields", got=repr(name), advice=f"there are {inner}")
    return _read(typing.get_type_hints(type(config))[name], text, where)


def _has_fields(part: Any) -> bool:
    return dataclasses.is_dataclass(part) and not isinstance(part, Scale)


def _check_name(config: Any, name: str, where: str) -> None:
    names = [field.name for field in dataclasses.fields(config)]
    if name not in names:
        close = difflib.get_close_matches(name, names, cutoff=_CLOSE)
        raise expected(
            where,
            f"a field of {type(config).__name__}",
            got=repr(name),
            advice=f"did you mean {' or '.join(close)}?" if close else f"one of {', '.join(names)}",
        )


def _read(hint: Any, text: str, where: str) -> Any:
    """What `text` says where a value of the type `hint` is wanted."""
    kinds = alternatives(hint)
    if Scale in kinds:
        return scale_from(text)
    for kind in sorted(kinds, key=lambda kind: kind is str):  # any text would do as a str
        try:
            return _choice(kind, text) if get_origin(kind) is Literal else _READERS[kind](text)
        except (KeyError, ValueError):
            continue
    names = dict.fromkeys(map(name_of, kinds))
    raise expected(where, " or ".join(names), got=repr(text), advice="write such a value")


_READERS: dict[Any, Callable[[str], Any]] = {
    bool: lambda text: {"true": True, "false": False}[text.lower()],
    int: int,
    float: float,
    str: str,
    type(None): lambda text: {"none": None}[text.lower()],
}


def _choice(kind: Any, text: str) -> Any:
    (value,) = get_args(kind)
    if text.lower() != str(value).lower():
        raise ValueError(text)
    return value
