"""Names of data sets, right and wrong."""

import pytest

from flowjax_glow import data


def test_every_kind_has_a_line():
    assert list(data.names()) == [
        "photos",
        "photos-contrast",
        "photos-centered",
        "digits",
        "folder:PATH",
        "strict-folder:PATH",
        "gray-folder:PATH",
        "npz:PATH",
        "mnist:PATH",
        "cifar10:PATH",
        "tfds:NAME",
    ]
    assert all(10 < len(line) < 80 and "\n" not in line for line in data.names().values())


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("photo", "did you mean photos?"),
        ("cifar-10", "did you mean cifar10:PATH?"),
        ("cifar10", "did you mean cifar10:PATH?"),
        ("npz:", "did you mean npz:PATH?"),
        ("photos:all", "did you mean photos?"),
        ("imagenet", "choose one of them"),
        ("", "choose one of them"),
    ],
)
def test_an_unknown_name_lists_the_known_and_guesses(name, action):
    with pytest.raises(data.DataError) as caught:
        data.load(name)
    known = (
        "photos, photos-contrast, photos-centered, digits, folder:PATH, strict-folder:PATH, "
        "gray-folder:PATH, npz:PATH, mnist:PATH, cifar10:PATH, tfds:NAME"
    )
    assert str(caught.value) == f"data: expected one of {known}, got {name!r}; {action}"


def test_a_complaint_is_a_value_error():
    assert issubclass(data.DataError, ValueError)
