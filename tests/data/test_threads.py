"""Work in threads: the same results in the same order, and nothing is left over."""

import _thread
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from flowjax_glow import data
from flowjax_glow.data import folder, threads
from tests.data import samples, test_folder


@pytest.fixture(params=[1, 4])
def cores(request, monkeypatch):
    """As many cores for this process, whatever the machine."""
    monkeypatch.setattr(threads, "cores", lambda: request.param)
    return request.param


@pytest.mark.parametrize("count", [0, 1, threads.PER_TASK, 100])
def test_results_come_in_the_order_of_the_items(cores, count):
    assert threads.in_threads(lambda item: item**2, range(count)) == [i**2 for i in range(count)]


def test_there_is_a_core():
    assert threads.cores() >= 1


def test_threads_work_at_the_same_time(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    meeting = threading.Barrier(2, timeout=10)  # raises where one thread waits in vain

    def meet(item):
        if item % threads.PER_TASK == 0:
            meeting.wait()
        return item

    items = list(range(2 * threads.PER_TASK))
    assert threads.in_threads(meet, items) == items


def test_the_first_item_that_fails_is_the_one_that_tells(cores):
    def fail(item):
        if item >= 30:
            raise ValueError(item)
        time.sleep(0.001)

    running = threading.active_count()
    with pytest.raises(ValueError, match=r"^30$"):
        threads.in_threads(fail, range(100))
    assert threading.active_count() == running


@pytest.fixture
def heeds_control_c() -> Iterator[None]:
    """A process that a shell put into the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_control_c_ends_it(monkeypatch, heeds_control_c):
    monkeypatch.setattr(threads, "cores", lambda: 4)
    done = []

    def interrupt(item):
        time.sleep(0.005)
        if item == 40:  # by then all tasks are handed over
            _thread.interrupt_main()
        done.append(item)

    running = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        threads.in_threads(interrupt, range(1000))
    assert len(done) < 200
    assert threading.active_count() == running


def test_a_folder_gives_the_same_images_and_warnings_with_any_number_of_threads(
    tmp_path, monkeypatch
):
    test_folder.broken_files(samples.write_folder(tmp_path, 60))
    told = []
    for count in (1, 5):
        monkeypatch.setattr(threads, "cores", lambda: count)  # noqa: B023
        source = data.load(f"folder:{tmp_path}", size=8)
        with pytest.warns(folder.SkippedFiles) as caught:
            images = source.batch("train", seed=3, step=1, size=100)
        told.append((images, [str(warning.message) for warning in caught]))
    (images, messages), (others, other_messages) = told
    np.testing.assert_array_equal(images, others)
    assert messages == other_messages
    assert len(messages) == 1


def test_a_folder_without_a_usable_file_is_the_same_error_in_threads(tmp_path, monkeypatch):
    test_folder.broken_files(tmp_path)
    errors = []
    for count in (1, 5):
        monkeypatch.setattr(threads, "cores", lambda: count)  # noqa: B023
        source = data.load(f"folder:{tmp_path}", size=8)
        with pytest.raises(data.DataError) as caught:
            source.batch("train", seed=0, step=0, size=40)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
