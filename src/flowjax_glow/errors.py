"""The one form of complaint about a caller's mistake."""

import math


def expected(where: str, what: str, *, got: object, advice: str) -> ValueError:
    """Builds (does not raise) ``<where>: expected <what>, got <got>; <advice>``."""
    return ValueError(f"{where}: expected {what}, got {got}; {advice}")


def check_choice(where: str, value: object, choices: tuple[object, ...]) -> None:
    """Raises if `value` is none of `choices`."""
    if value not in choices:
        names = ", ".join(map(str, choices))
        raise expected(where, f"one of {names}", got=repr(value), advice="choose one of these")


def check_positive(where: str, value: float) -> None:
    """Raises unless `value` is above zero and finite."""
    if not 0 < value < math.inf:
        advice = "choose a finite one" if value > 0 else "choose a larger one"
        raise expected(where, "a number above 0", got=value, advice=advice)


def check_count(where: str, value: object) -> None:
    """Raises unless `value` is a whole number above zero."""
    if not isinstance(value, int) or value < 1:
        raise expected(where, "a whole number above 0", got=repr(value), advice="choose one")
