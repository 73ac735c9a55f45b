"""y0ast/Glow-PyTorch and chaiyujin/glow-pytorch, which differ in names."""

from dataclasses import dataclass

import numpy as np

from tests.interop.ported.common import (
    HEIGHT,
    LABELS,
    LEVELS,
    SIDE,
    WIDTH,
    Drawing,
    blocks,
    channels_of,
    convolved,
    gaussian,
    lu_parts,
    mixed,
    per_channel,
    places,
    sigmoid,
    unlu,
)


@dataclass(frozen=True)
class Sequential:
    """What y0ast and chaiyujin call their arrays."""

    net: str
    conv: str
    top: str
    label: str
    lu: tuple[str, ...]


Y0AST = Sequential(
    "block",
    ".conv",
    "learn_top_fn",
    "project_ycond.linear",
    ("p", "lower", "upper", "log_s", "sign_s"),
)
CHAIYUJIN = Sequential("f", "", "learn_top", "project_ycond", ("p", "l", "u", "log_s", "sign_s"))


def sequential_state(names, seed=0, *, mixing="dense", affine=True, top=True, classes=True):
    drawing = Drawing(np.random.default_rng(seed), {})
    put, state = drawing.put, drawing.state

    def zeros(at, out, inside):
        put(f"{at}{names.conv}.weight", out, inside, 3, 3)
        put(f"{at}{names.conv}.bias", out)
        put(f"{at}.logs", out, 1, 1)

    for level, steps, split in places():
        c = channels_of(level)
        for place in steps:
            at = f"flow.layers.{place}"
            put(f"{at}.actnorm.bias", 1, c, 1, 1)
            put(f"{at}.actnorm.logs", 1, c, 1, 1)
            if mixing == "dense":
                drawing.matrix(f"{at}.invconv.weight", c)
            elif mixing == "lu":
                for name, part in zip(names.lu, lu_parts(drawing.random, c)):
                    state[f"{at}.invconv.{name}"] = part.astype(np.float32)
            elif mixing == "shuffle":
                state[f"{at}.shuffle.indices"] = drawing.random.permutation(c)
            for i, (inside, size) in enumerate(((c // 2, 3), (WIDTH, 1))):
                put(f"{at}.{names.net}.{2 * i}{names.conv}.weight", WIDTH, inside, size, size)
                put(f"{at}.{names.net}.{2 * i}.actnorm.bias", 1, WIDTH, 1, 1)
                put(f"{at}.{names.net}.{2 * i}.actnorm.logs", 1, WIDTH, 1, 1, around=0.3)
            zeros(f"{at}.{names.net}.4", c if affine else c // 2, WIDTH)
        if level < LEVELS - 1:
            zeros(f"flow.layers.{split}.conv", c, c // 2)
    if top:
        zeros(names.top, 2 * c, 2 * c)
    if classes:
        put(f"{names.label}.weight", 2 * c, LABELS)
        put(f"{names.label}.bias", 2 * c)
        put("project_ycond.logs", 2 * c)
        put("project_class.logs", LABELS)
    state["prior_h"] = np.zeros((1, 2 * c, HEIGHT >> LEVELS, SIDE >> LEVELS), np.float32)
    return state


def sequential(names, state, x, label=None):
    def zeros(at, h):
        h = convolved(h, state[f"{at}{names.conv}.weight"])
        return (h + per_channel(state[f"{at}{names.conv}.bias"])) * np.exp(3 * state[f"{at}.logs"])

    log_prob, latents = np.zeros(len(x)), []
    for level, steps, split in places():
        x = blocks(x)
        for place in steps:
            at = f"flow.layers.{place}"
            logs = state[f"{at}.actnorm.logs"].astype(np.float64)
            x = (x + state[f"{at}.actnorm.bias"]) * np.exp(logs)
            log_prob += x.shape[2] * x.shape[3] * logs.sum()
            if f"{at}.invconv.weight" in state:
                x, log_det = mixed(x, state[f"{at}.invconv.weight"].astype(np.float64))
                log_prob += log_det
            elif f"{at}.invconv.log_s" in state:
                parts = (state[f"{at}.invconv.{name}"].astype(np.float64) for name in names.lu)
                x, log_det = mixed(x, unlu(*parts))
                log_prob += log_det
            elif f"{at}.shuffle.indices" in state:
                x = x[:, state[f"{at}.shuffle.indices"]]
            else:
                x = x[:, ::-1]
            a, b = np.split(x, 2, axis=1)
            h = a
            for i in (0, 2):
                norm = f"{at}.{names.net}.{i}.actnorm"
                h = convolved(h, state[f"{at}.{names.net}.{i}{names.conv}.weight"])
                h = np.maximum((h + state[f"{norm}.bias"]) * np.exp(state[f"{norm}.logs"]), 0)
            h = zeros(f"{at}.{names.net}.4", h)
            if h.shape[1] == b.shape[1]:
                b = b + h
            else:
                s = sigmoid(h[:, 1::2] + 2)
                b = (b + h[:, 0::2]) * s
                log_prob += np.log(s).sum((1, 2, 3))
            x = np.concatenate([a, b], axis=1)
        if level < LEVELS - 1:
            x, leaves = np.split(x, 2, axis=1)
            h = zeros(f"flow.layers.{split}.conv", x)
            density, noise = gaussian(leaves, h[:, 0::2], h[:, 1::2])
            log_prob += density
            latents.append(noise)
    h = np.zeros((1, 2 * x.shape[1], *x.shape[2:]))
    if f"{names.top}.logs" in state:
        h = zeros(names.top, h)
    if label is not None:
        added = state[f"{names.label}.weight"][:, label] + state[f"{names.label}.bias"]
        h = h + per_channel(added * np.exp(3 * state["project_ycond.logs"]))
    density, noise = gaussian(x, *np.split(h, 2, axis=1))
    return log_prob + density, [*latents, noise]
