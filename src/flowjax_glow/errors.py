"""The one form of complaint about a caller's mistake."""


def expected(where: str, what: str, *, got: object, advice: str) -> ValueError:
    """Builds (does not raise) ``<where>: expected <what>, got <got>; <advice>``."""
    return ValueError(f"{where}: expected {what}, got {got}; {advice}")


def check_choice(where: str, value: object, choices: tuple[str, ...]) -> None:
    """Raises if `value` is none of `choices`."""
    if value not in choices:
        raise expected(
            where, f"one of {', '.join(choices)}", got=repr(value), advice="choose one of these"
        )


def check_positive(where: str, value: float) -> None:
    """Raises unless `value` is above zero."""
    if not value > 0:
        raise expected(where, "a number above 0", got=value, advice="choose a larger one")
