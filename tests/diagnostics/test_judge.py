"""A verdict on two functions, of which closed forms tell what it must say."""

import json

import numpy as np
import pytest

from flowjax_glow.diagnostics import judge

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((70, 4)).astype(np.float32)
Q = np.linalg.qr(RANDOM.standard_normal((4, 4)))[0]
FEW = {"samples": 320, "taus": (0.0, 1.0)}


def linear(matrix, *, of_inverse=1.0, of_log_det=1.0):
    """``z = M x`` and its inverse in the dtype that comes, with log-dets, or off by this."""
    there, back = matrix, np.linalg.inv(matrix) * of_inverse
    log_det = np.linalg.slogdet(matrix)[1]

    def forward(x):
        return x @ there.T.astype(x.dtype), np.full(len(x), log_det * of_log_det)

    def inverse(z):
        return z @ back.T.astype(z.dtype), np.full(len(z), -log_det)

    return forward, inverse


SOUND = Q @ np.diag([0.9, 1.1, 1.2, 0.8]) @ Q.T


def test_a_sound_pair_is_trustworthy_and_says_what_was_not_seen():
    parts = []
    found = judge(*linear(SOUND), X, **FEW, on_part=parts.append)
    assert found.verdict == "trustworthy"
    assert "0 of 320 samples lost at tau = 1: below" in found.statement
    assert found.reason == ""
    assert [line.split(":")[0] for line in found.unseen] == ["layers"]
    assert found.tables["worst"].error.max() < 1e-5
    assert found.tables["worst"].in_float64.max() < 1e-12
    # along random directions, so between the least and the largest singular value
    assert (
        (found.tables["worst"].inverse_gain > 1 / 1.2)
        & (found.tables["worst"].inverse_gain < 1 / 0.8)
    ).all()
    assert found.tables["log-dets"].off.max() < 1e-12
    assert np.allclose(
        found.tables["log-dets"].jacobian[:2], np.linalg.slogdet(SOUND)[1], atol=1e-9
    )
    assert json.loads(json.dumps(found.to_json()))["verdict"] == "trustworthy"
    assert "not seen: layers" in str(found)
    assert parts == ["examples", "samples", "worst points", "log-dets"]


def in_float32(function):
    """A function that computes in float32 whatever comes, as JAX does by default."""
    return lambda x: tuple(part.astype(np.float32) for part in function(x.astype(np.float32)))


def test_an_inverse_that_is_off_is_told_from_rounding():
    forward, inverse = linear(SOUND, of_inverse=1.02)
    found = judge(forward, inverse, X, **FEW)
    assert found.verdict == "broken"
    assert "the inverse is not that of forward: in float64 32 of the 32" in found.reason
    assert "rounding is amplified" not in found.reason
    assert found.rates.lost[0] == 320

    found = judge(in_float32(forward), in_float32(inverse), X, **FEW)
    assert found.verdict == "broken"
    assert "seems not to be that of forward" in found.reason
    assert "float64: inverse computes in float32" in "".join(found.unseen)


def test_rounding_that_is_amplified_is_told_with_where_and_how_much():
    stretch = Q @ np.diag([1e-6, 1.0, 1.0, 1.0]) @ np.roll(Q, 1, axis=0).T
    found = judge(*linear(stretch), X, **FEW)
    assert found.verdict == "broken"
    assert "rounding is amplified: in float64 32 of the 32 worst points" in found.reason
    assert "not that of forward" not in found.reason
    worst = found.tables["worst"]
    assert list(worst.error) == sorted(worst.error, reverse=True)
    assert 1e4 < worst.inverse_gain.max() < 1.1e6  # a lower bound of 1e6
    assert any(str(point) in found.reason for point in worst.point), found.reason
    assert "The points that came back worst" in str(found)

    forward, inverse = linear(stretch)
    found = judge(in_float32(forward), in_float32(inverse), X, **FEW)
    assert found.verdict == "broken"
    assert "rounding seems to be amplified" in found.reason


def test_samples_that_overflow_are_counted():
    def forward(x):
        return np.sign(x) * np.log1p(np.abs(x))

    def inverse(z):  # exact where it stays finite, which it does not for a tenth of all samples
        hot = np.where(np.abs(z) > 2.2, z * np.float32(1e30), z)
        return np.sign(hot) * np.expm1(np.abs(hot))

    found = judge(forward, inverse, X[np.abs(X).max(1) < 2], **FEW)
    assert found.verdict == "broken"
    trips = found.tables["trips"]
    assert list(trips.points) == ["examples", "z = 0", "tau = 1"]
    share = 1 - 0.9722**4  # of four normal numbers beyond 2.2
    assert trips.not_finite[2] == found.rates.lost[0]
    assert abs(found.rates.lost[0] / 320 - share) < 0.08
    assert "overflow in float64, too" in found.reason
    assert "log-dets: not returned by forward and inverse" in found.unseen


@pytest.mark.parametrize("of_log_det", [0.5, np.nan])
def test_log_dets_that_are_wrong_are_told(of_log_det):
    matrix = Q @ np.diag([0.5, 0.6, 1.0, 1.0]) @ Q.T
    found = judge(*linear(matrix, of_log_det=of_log_det), X, **FEW)
    assert found.verdict == "broken"
    assert "the log-det of forward is not that of its Jacobian: at example" in found.reason
    assert "log-det of inverse" not in found.reason
    assert "do not cancel" in found.reason


class Tensor:
    """Like an array of PyTorch that keeps a graph: NumPy reads it once it is detached."""

    def __init__(self, array, kept=False):
        self.array, self.kept, self.shape = array, kept, array.shape

    def detach(self):
        return Tensor(self.array)

    def cpu(self):
        return self

    def __array__(self, dtype=None, copy=None):
        if self.kept:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return self.array


def test_arrays_of_other_libraries_latents_in_trees_and_another_base():
    """Images to latents on two levels, in float32 alone, under a uniform base."""

    def forward(x):
        assert isinstance(x, Tensor)
        if x.array.dtype != np.float32:
            raise TypeError("expected scalar type Float but found Double")
        fine, top = np.split(2 * x.array, 2, axis=-1)
        log_det = np.full(len(fine), fine[0].size * 2 * np.log(2))
        return {"fine": Tensor(fine, True), "top": Tensor(top[:, 0], True)}, Tensor(log_det, True)

    def inverse(z):
        fine, top = z["fine"].array, z["top"].array
        return Tensor(np.concatenate([fine, top[:, None]], axis=-1) / 2, True)

    def draw(seed, count):
        rows = np.random.default_rng(seed).uniform(-1, 1, (2, count, 1, 3)).astype(np.float32)
        return {"fine": rows[0], "top": rows[1, :, 0]}

    images = RANDOM.uniform(-0.5, 0.5, (100, 1, 6)).astype(np.float32)
    found = judge(forward, inverse, images, convert=Tensor, draw=draw, samples=300, chunk=32)
    assert found.verdict == "trustworthy"
    assert list(found.rates.tau) == [1.0]
    assert list(found.rates.out_of_range) == [0]
    assert "forward does not take it (expected scalar type Float" in "".join(found.unseen)
    assert "log-dets: not returned by inverse" in found.unseen
    assert list(found.tables["log-dets"].function) == ["forward", "forward"]


def test_dropout_and_statistics_of_batches_are_told():
    forward, inverse = linear(SOUND)

    def by_batch(x):
        z, log_det = forward(x)
        return z - z.mean(0), log_det

    found = judge(by_batch, inverse, X, **FEW)
    assert found.verdict == "broken"
    assert "depends on its batch" in found.reason


def test_latents_that_are_not_of_the_base_are_told():
    found = judge(*linear(SOUND), 100 * X, **FEW)
    assert found.verdict == "broken"
    assert "not standard normal" in found.reason


def raises(x):
    raise TypeError("one positional argument too many")


def swap(forward=None, inverse=None, examples=X, **options):
    own = linear(SOUND)
    return (forward or own[0], inverse or own[1], examples), options


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (swap(forward=raises), "judge.forward: expected a function of batches, got TypeError: one"),
        (swap(inverse=raises), "judge.inverse: expected a function of batches"),
        (swap(forward=lambda x: x[0]), "judge.forward: expected arrays of 64 examples"),
        (swap(forward=lambda x: x[:, :3]), "judge.forward: expected as many numbers as"),
        (swap(inverse=lambda z: z[:, :, None]), "judge.inverse: expected values of shape"),
        (swap(forward=lambda x: x.astype(int)), "judge.forward: expected floating-point numbers"),
        (swap(forward=lambda x: [None] * 64), "judge.forward: expected arrays"),
        (swap(examples=X[0]), "judge.examples: expected a batch of floats"),
        (swap(examples=np.full((3, 2), np.nan)), "judge.examples: expected finite values"),
        (swap(taus=(-1.0,)), "judge.taus: expected noise levels of 0 or more"),
        (swap(samples=0), "judge.samples: expected a whole number above 0"),
        (swap(draw=lambda seed, count: np.zeros((count, 5))), "judge.draw: expected latents"),
    ],
)
def test_complaints(case, words):
    arguments, options = case
    with pytest.raises(ValueError, match=words):
        judge(*arguments, **options)


def test_float64_examples_are_judged_in_float64():
    found = judge(*linear(SOUND), X.astype(np.float64), **FEW)
    assert found.verdict == "trustworthy"
    assert found.tables["trips"].worst.max() < 1e-12
    assert any("rounding to float32" in line for line in found.unseen)
