"""What the references share: convolutions, squeezes, Gaussians and random arrays, in NumPy."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

State = dict[str, np.ndarray]
WIDTH, DEPTH, LEVELS = 5, 2, 2
CHANNELS, HEIGHT, SIDE, LABELS = 3, 8, 4, 4


def convolved(x, kernel, *, border=0.0):
    """Cross-correlation with (out, in, h, w); beyond the border all channels are `border`."""
    radius = kernel.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (radius,) * 2, (radius,) * 2), constant_values=border)
    _, _, height, width = x.shape
    return sum(
        np.einsum("oc,bchw->bohw", kernel[:, :, i, j], padded[:, :, i : i + height, j : j + width])
        for i in range(kernel.shape[2])
        for j in range(kernel.shape[3])
    )


def per_channel(values):
    return np.reshape(values, (1, -1, 1, 1))


def sigmoid(h):
    return 1 / (1 + np.exp(-h))


def gaussian(x, mean, logs):
    """Log-density of every example, and the standardized numbers."""
    noise = (x - mean) * np.exp(-logs)
    terms = -0.5 * (noise**2 + math.log(2 * math.pi)) - logs + np.zeros_like(x)
    return terms.sum((1, 2, 3)), noise


def blocks(x):
    """2x2 blocks to channels, those of a channel beside each other."""
    batch, channels, height, width = x.shape
    parts = [x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    return np.stack(parts, 2).reshape(batch, 4 * channels, height // 2, width // 2)


def strips(x):
    """As memory lies."""
    batch, channels, height, width = x.shape
    return np.ascontiguousarray(x).reshape(batch, 4 * channels, height // 2, width // 2)


def mixed(x, matrix):
    """A 1x1 convolution and its log-det."""
    places = x.shape[2] * x.shape[3]
    return np.einsum("oc,bchw->bohw", matrix, x), places * np.linalg.slogdet(matrix)[1]


def unlu(p, lower, upper, logs, sign):
    eye = np.eye(len(p))
    return p @ (np.tril(lower, -1) + eye) @ (np.triu(upper, 1) + np.diag(sign * np.exp(logs)))


def lu_parts(random, channels):
    """p, l, u, log s, sign s of a random matrix near a rotation."""
    p, lower, upper = scipy.linalg.lu(np.linalg.qr(random.normal(size=(channels,) * 2))[0])
    diagonal = np.diag(upper)
    return p, lower, np.triu(upper, 1), np.log(np.abs(diagonal)), np.sign(diagonal)


def channels_of(level):
    """Channels within a level."""
    return 4 * CHANNELS * 2**level


@dataclass
class Drawing:
    """Arrays for a state, small but off their start."""

    random: np.random.Generator
    state: State

    def put(self, name, *shape, around=0.0, deviation=0.1):
        drawn = around + deviation * self.random.standard_normal(shape)
        self.state[name] = drawn.astype(np.float32)

    def matrix(self, name, channels, *axes):
        rotation = np.linalg.qr(self.random.normal(size=(channels, channels)))[0]
        self.state[name] = rotation.reshape(channels, channels, *axes).astype(np.float32)


def places():
    """The place of every step in the list of modules, and of the split of its level."""
    return [
        (level, [level * (DEPTH + 2) + 1 + k for k in range(DEPTH)], (level + 1) * (DEPTH + 2) - 1)
        for level in range(LEVELS)
    ]


@dataclass(frozen=True)
class Case:
    """A layout, a state, the reference, what `from_checkpoint` asks for, and what is not saved."""

    layout: str
    state: Callable[[], State]
    reference: Callable
    asked: dict
    never_saved: tuple[str, ...] = ()
