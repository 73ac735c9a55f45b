"""rosinality/glow-pytorch."""

import numpy as np

from tests.interop.ported.common import (
    DEPTH,
    LEVELS,
    WIDTH,
    Drawing,
    blocks,
    channels_of,
    convolved,
    gaussian,
    lu_parts,
    mixed,
    per_channel,
    sigmoid,
    unlu,
)


def rosinality_state(seed=0, *, affine=True):
    """The first step has a negative scale; the last level is in LU form, as there without --lu."""
    drawing = Drawing(np.random.default_rng(seed), {})
    put, state = drawing.put, drawing.state
    for level in range(LEVELS):
        c, last = channels_of(level), level == LEVELS - 1
        for step in range(DEPTH):
            at = f"blocks.{level}.flows.{step}"
            put(f"{at}.actnorm.loc", 1, c, 1, 1)
            put(f"{at}.actnorm.scale", 1, c, 1, 1, around=1.0)
            state[f"{at}.actnorm.initialized"] = np.array(1, np.uint8)
            if last:
                names = ("w_p", "w_l", "w_u", "w_s", "s_sign")
                for name, part in zip(names, lu_parts(drawing.random, c)):
                    state[f"{at}.invconv.{name}"] = part.astype(np.float32)
                for name in ("u_mask", "l_mask", "l_eye"):
                    state[f"{at}.invconv.{name}"] = np.eye(c, dtype=np.float32)
            else:
                drawing.matrix(f"{at}.invconv.weight", c, 1, 1)
            put(f"{at}.coupling.net.0.weight", WIDTH, c // 2, 3, 3)
            put(f"{at}.coupling.net.0.bias", WIDTH)
            put(f"{at}.coupling.net.2.weight", WIDTH, WIDTH, 1, 1, deviation=0.4)
            put(f"{at}.coupling.net.2.bias", WIDTH)
            out = c if affine else c // 2
            put(f"{at}.coupling.net.4.conv.weight", out, WIDTH, 3, 3)
            put(f"{at}.coupling.net.4.conv.bias", out)
            put(f"{at}.coupling.net.4.scale", 1, out, 1, 1)
        stays, leaves = (c, c) if last else (c // 2, c // 2)
        put(f"blocks.{level}.prior.conv.weight", 2 * leaves, stays, 3, 3)
        put(f"blocks.{level}.prior.conv.bias", 2 * leaves)
        put(f"blocks.{level}.prior.scale", 1, 2 * leaves, 1, 1)
    state["blocks.0.flows.0.actnorm.scale"] *= -1
    return state


def rosinality(state, x):
    def zero_conv(at, h, scale):
        h = convolved(h, state[f"{at}.weight"], border=1.0) + per_channel(state[f"{at}.bias"])
        return h * np.exp(3 * state[scale])

    log_prob, latents = np.zeros(len(x)), []
    for level in range(LEVELS):
        x = blocks(x)
        places = x.shape[2] * x.shape[3]
        for step in range(DEPTH):
            at = f"blocks.{level}.flows.{step}"
            scale = state[f"{at}.actnorm.scale"].astype(np.float64)
            x = scale * (x + state[f"{at}.actnorm.loc"])
            log_prob += places * np.log(np.abs(scale)).sum()
            if f"{at}.invconv.weight" in state:
                matrix = state[f"{at}.invconv.weight"][:, :, 0, 0].astype(np.float64)
            else:
                names = ("w_p", "w_l", "w_u", "w_s", "s_sign")
                matrix = unlu(*(state[f"{at}.invconv.{n}"].astype(np.float64) for n in names))
            x, log_det = mixed(x, matrix)
            log_prob += log_det
            a, b = np.split(x, 2, axis=1)
            h = a
            for i in (0, 2):
                h = convolved(h, state[f"{at}.coupling.net.{i}.weight"])
                h = np.maximum(h + per_channel(state[f"{at}.coupling.net.{i}.bias"]), 0)
            h = zero_conv(f"{at}.coupling.net.4.conv", h, f"{at}.coupling.net.4.scale")
            s, t = np.ones_like(b), h
            if h.shape[1] > b.shape[1]:
                log_s, t = np.split(h, 2, axis=1)
                s = sigmoid(log_s + 2)
            x = np.concatenate([a, (b + t) * s], axis=1)
            log_prob += np.log(s).sum((1, 2, 3))
        prior = f"blocks.{level}.prior"
        x, leaves = (x, x) if level == LEVELS - 1 else np.split(x, 2, axis=1)
        seen = np.zeros_like(x) if level == LEVELS - 1 else x
        fields = zero_conv(f"{prior}.conv", seen, f"{prior}.scale")
        density, noise = gaussian(leaves, *np.split(fields, 2, axis=1))
        log_prob += density
        latents.append(noise)
    return log_prob, latents
