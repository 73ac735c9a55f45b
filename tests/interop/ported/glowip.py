"""CACTuS-AI/GlowIP."""

import numpy as np

from tests.interop.ported.common import (
    LEVELS,
    WIDTH,
    Drawing,
    channels_of,
    convolved,
    gaussian,
    mixed,
    per_channel,
    places,
    sigmoid,
)


def glowip_state(seed=0, *, affine=True):
    """The last level has one step."""
    drawing = Drawing(np.random.default_rng(seed), {})
    put = drawing.put
    for level, steps, _ in places():
        c = channels_of(level)
        for place in steps if level < LEVELS - 1 else steps[:1]:
            at = f"glow_modules.{place}"
            for name in ("b", "logs"):
                put(f"{at}.actnorm.{name}", 1, c, 1, 1)
                for i in (1, 2):
                    put(f"{at}.coupling.net.actnorm{i}.{name}", 1, WIDTH, 1, 1)
            drawing.matrix(f"{at}.invconv.W", c, 1, 1)
            out = c if affine else c // 2
            shapes = ((WIDTH, c // 2, 3), (WIDTH, WIDTH, 1), (out, WIDTH, 3))
            for i, (out, inside, size) in enumerate(shapes, 1):
                put(f"{at}.coupling.net.conv{i}.weight", out, inside, size, size)
                put(f"{at}.coupling.net.conv{i}.bias", out)
            put(f"{at}.coupling.net.logs", out, 1, 1)
    return drawing.state


def glowip(squeeze, last_bias, state, x):
    log_prob, latents = np.zeros(len(x)), []
    for level, steps, _ in places():
        last = level == LEVELS - 1
        x = squeeze(x)
        for place in steps[:1] if last else steps:
            at = f"glow_modules.{place}"
            logs = state[f"{at}.actnorm.logs"].astype(np.float64)
            x = (x + state[f"{at}.actnorm.b"]) * np.exp(logs)
            log_prob += x.shape[2] * x.shape[3] * logs.sum()
            x, log_det = mixed(x, state[f"{at}.invconv.W"][:, :, 0, 0].astype(np.float64))
            log_prob += log_det
            a, b = np.split(x, 2, axis=1)
            h, net = b, f"{at}.coupling.net"
            for i in (1, 2):
                h = convolved(h, state[f"{net}.conv{i}.weight"])
                h = h + per_channel(state[f"{net}.conv{i}.bias"])
                norm = f"{net}.actnorm{i}"
                h = np.maximum((h + state[f"{norm}.b"]) * np.exp(state[f"{norm}.logs"]), 0)
            h = convolved(h, state[f"{net}.conv3.weight"])
            h = (h + per_channel(state[f"{net}.conv3.bias"])) * np.exp(3 * state[f"{net}.logs"])
            s, t = np.ones_like(a), h
            if h.shape[1] > a.shape[1]:
                s, t = sigmoid(h[:, 0::2] + 2) + (last_bias if last else 0.0), h[:, 1::2]
            x = np.concatenate([s * a + t, b], axis=1)
            log_prob += np.log(s).sum((1, 2, 3))
        if not last:
            x, noise = np.split(x, 2, axis=1)
            log_prob += gaussian(noise, 0.0, 0.0)[0]
            latents.append(noise)
    return log_prob + gaussian(x, 0.0, 0.0)[0], [*latents, x]
