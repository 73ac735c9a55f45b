"""What every source promises: batches are pure functions of their arguments."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from flowjax_glow import data
from tests.data import samples

KINDS = [
    "photos",
    "photos-contrast",
    "photos-centered",
    "digits",
    "folder",
    "npz",
    "cifar10",
    "tfds",
]
OPTIONAL = {"PIL", "skimage", "sklearn", "matplotlib", "tensorflow_datasets"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A small source of each kind, by kind."""
    folder = tmp_path_factory.mktemp("data")
    images = samples.random_images(30, 8, 8, 3)
    cifar10 = samples.write_cifar10(
        folder / "cifar", "binary", samples.random_images(18, 32, 32, 3)
    )
    samples.prepare_tfds(folder, "laws", {"train": images, "test": images[:5]}, (8, 8, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder))
        yield {
            "photos": data.load("photos", size=12),
            "photos-contrast": data.load("photos-contrast", size=12),
            "photos-centered": data.load("photos-centered", size=12),
            "digits": data.load("digits"),
            "folder": data.load(f"folder:{samples.write_folder(folder / 'files', 20)}", size=8),
            "npz": data.load(f"npz:{samples.write_npz(folder / 'a.npz', images=images)}"),
            "cifar10": data.load(f"cifar10:{cifar10}", size=16),
            "tfds": data.load("tfds:laws"),
        }


@pytest.fixture(params=KINDS)
def source(request, sources):
    return sources[request.param]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_batch_has_the_size_shape_and_dtype_it_was_asked_for(source, split):
    batch = source.batch(split, seed=0, step=0, size=6)
    assert batch.shape == (6, *source.shape)
    assert batch.dtype == np.uint8
    assert batch.std() > 10  # images, not zeros


def test_a_batch_depends_on_seed_and_step_alone(source):
    wanted = source.batch("train", seed=3, step=9, size=4)
    for step in (0, 11, 9):
        again = source.batch("train", seed=3, step=step, size=4)
        assert (again == wanted).all() == (step == 9)
    assert (source.batch("train", seed=4, step=9, size=4) != wanted).any()


@pytest.mark.parametrize("hosts", [2, 3, 6])
def test_the_batches_of_all_hosts_are_the_batch_of_one(source, hosts):
    parts = [
        source.batch("train", seed=1, step=5, size=12, hosts=hosts, host=host)
        for host in range(hosts)
    ]
    whole = source.batch("train", seed=1, step=5, size=12)
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_are_fixed_and_longer_sets_begin_with_shorter_ones(source, split):
    few, more = source.examples(split, 1), source.examples(split, 2)
    np.testing.assert_array_equal(few, more[:1])
    assert more.shape == (2, *source.shape)


def test_a_fresh_process_gives_the_same_bytes_and_imports_only_what_it_needs(sources):
    names = [(source.name, source.shape[0]) for source in sources.values()]
    code = (
        "import hashlib, sys\n"
        "from flowjax_glow import data\n"
        f"assert not {OPTIONAL} & set(sys.modules)\n"
        f"for name, size in {names!r}:\n"
        "    source = data.load(name, size=size)\n"
        "    batch = source.batch('train', seed=2, step=1234, size=8)\n"
        "    images = batch.tobytes() + source.examples('test', 2).tobytes()\n"
        "    print(hashlib.sha256(images).hexdigest())\n"
    )
    fresh = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout.split() == [digest(source) for source in sources.values()]


def digest(source: data.Source) -> str:
    batch = source.batch("train", seed=2, step=1234, size=8)
    return hashlib.sha256(batch.tobytes() + source.examples("test", 2).tobytes()).hexdigest()


@pytest.mark.parametrize("kind", ["npz", "tfds", "cifar10", "folder"])
def test_an_epoch_shows_every_image_once(sources, kind):
    source = sources[kind]
    total = source.count("train")
    epochs = source.batch("train", seed=0, step=0, size=2 * total).reshape(2, total, -1)
    first, second = (np.unique(epoch, axis=0, return_counts=True) for epoch in epochs)
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (epochs[0] != epochs[1]).any()


def test_a_batch_may_be_larger_than_the_set(sources):
    source = sources["npz"]
    assert source.batch("test", seed=0, step=3, size=20).shape == (20, 8, 8, 3)


def test_the_splits_of_a_set_without_a_test_split_are_disjoint_and_complete(sources):
    source = sources["npz"]
    splits = [source.examples(split, source.count(split)) for split in ("train", "test")]
    rows = np.concatenate(splits).reshape(30, -1)
    assert len(splits[1]) == 3
    assert len(np.unique(rows, axis=0)) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"split": "validation"},
            r"expected a split of \('train', 'test'\), got 'validation'; use",
        ),
        ({"seed": -1}, "expected seed and step of at least 0, got -1 and 0; count both from 0"),
        ({"step": -2}, "expected seed and step of at least 0, got 0 and -2; count both from 0"),
        ({"size": 5, "hosts": 2}, "hosts divides, got size 5 for 2 hosts; choose a multiple"),
        ({"size": 0}, "hosts divides, got size 0 for 1 hosts; choose a multiple"),
        ({"host": 1}, "expected a host of 0 to 0, got 1; count hosts from 0"),
    ],
)
def test_a_wrong_request_says_what_was_expected(sources, arguments, message):
    request = {"split": "train", "seed": 0, "step": 0, "size": 4} | arguments
    with pytest.raises(data.DataError, match=f"digits: .*{message}"):
        sources["digits"].batch(**request)


def test_too_many_examples_say_how_many_there_are(sources):
    with pytest.raises(data.DataError, match="expected at least 4 images in test, got 3; ask for"):
        sources["npz"].examples("test", 4)
    with pytest.raises(data.DataError, match="expected a count of at least 1, got 0; ask for more"):
        sources["photos"].examples("test", 0)


def test_sources_compare_and_print_by_what_they_are(sources):
    assert data.load("digits") == sources["digits"]
    assert data.load("digits", size=4) != sources["digits"]
    assert repr(sources["digits"]) == "ArraySource(name='digits', shape=(8, 8, 1))"
    assert hash(data.load("photos", size=12)) == hash(sources["photos"])
