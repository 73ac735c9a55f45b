"""Strict JSON: what is not finite goes out as a string and comes back as a number."""

import json
import math

from flowjax_glow.files import from_strict, strict

VALUES = {
    "numbers": [1, 2.5, -math.inf],
    "nested": {"worst": [math.inf, [math.nan]]},
    "others": ["text", None, True],
}


def test_everything_comes_back():
    text = json.dumps(strict(VALUES), allow_nan=False)
    assert json.loads(text)["numbers"] == [1, 2.5, "-Infinity"]
    back = from_strict(json.loads(text))
    assert math.isnan(back["nested"]["worst"][1].pop())
    assert back == VALUES | {"nested": {"worst": [math.inf, []]}}


def test_the_strings_are_numbers_to_python():
    assert float(strict(math.inf)) == math.inf
    assert math.isnan(float(strict(math.nan)))
