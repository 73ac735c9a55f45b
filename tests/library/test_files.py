"""Strict JSON: what is not finite goes out as a string and comes back; failed writes say where."""

import json
import math
import resource

import pytest

from flowjax_glow.files import from_strict, strict, write_atomically
from flowjax_glow.training import MetricsLog

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


@pytest.fixture
def full():
    """Lets no file grow beyond a few bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("full")
def test_an_error_of_a_write_names_the_file(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(OSError, match="File too large") as raised:
        write_atomically(path, "more than four bytes")
    assert raised.value.filename == str(path)
    assert not list(tmp_path.iterdir())
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.raises(OSError, match="File too large") as raised:
        log.append(1, {"loss": 1.0})
    assert raised.value.filename == str(log.path)
    with pytest.raises(OSError, match="File too large"):
        log.close()
