"""Class labels as a user writes them: by name, or by number."""

from collections.abc import Sequence

from flowjax_glow.errors import expected
from flowjax_glow.runs.load import Trained


def chosen_labels(trained: Trained, text: str | None) -> list[int]:
    """The labels that an option `--label` names, with commas; all of the model's if it is None.

    Raises:
        ValueError: if the model has no such class, or none at all.
    """
    if text is None:
        return list(range(len(trained.classes)))
    if not trained.classes:
        raise expected(
            "--label",
            "a model with classes",
            got=f"{trained.path}, which has none",
            advice="leave it out, or train with --labels",
        )
    return [label_of("--label", name.strip(), trained.classes) for name in text.split(",")]


def only_label(trained: Trained, text: str) -> int:
    """The one label that an option `--label` names.

    Raises:
        ValueError: as `chosen_labels`, and if there are several.
    """
    found = chosen_labels(trained, text)
    if len(found) > 1:
        raise expected("--label", "one class", got=repr(text), advice="name one of them")
    return found[0]


def label_of(option: str, name: str, classes: Sequence[str]) -> int:
    """The label of a class: that of its name, or the number itself where no name is a number.

    Raises:
        ValueError: in terms of an option, if there is none.
    """
    if name in classes:
        return classes.index(name)
    by_number = not any(own.isdecimal() for own in classes)  # or 0 of 1, 2, 3 would be 1
    if by_number and name.isdecimal() and int(name) < len(classes):
        return int(name)
    shown = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
    raise expected(
        option,
        f"one of {len(classes)} classes, {shown}"
        + (f", or a number below {len(classes)}" if by_number else ""),
        got=repr(name),
        advice="classes are numbered from 0 in this order" if by_number else "name one of these",
    )
