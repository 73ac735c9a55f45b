"""openai/glow, channels last in its variables."""

import numpy as np

from tests.interop.ported.common import (
    DEPTH,
    LABELS,
    LEVELS,
    WIDTH,
    Drawing,
    blocks,
    channels_of,
    convolved,
    gaussian,
    mixed,
    per_channel,
    sigmoid,
)


def openai_state(seed=0, *, mixing="dense", classes=True):
    drawing = Drawing(np.random.default_rng(seed), {})
    put, state = drawing.put, drawing.state

    def zeros(at, out, inside):
        put(f"{at}/W", 3, 3, inside + 1, out)
        put(f"{at}/b", 1, 1, 1, out)
        put(f"{at}/logs", 1, out)

    for level in range(LEVELS):
        c = channels_of(level)
        for step in range(DEPTH):
            at = f"model/{level}/{step}"
            put(f"{at}/actnorm_center/b", 1, 1, 1, c)
            put(f"{at}/actnorm_scale/logs", 1, 1, 1, c)
            if mixing == "dense":
                drawing.matrix(f"{at}/invconv/W", c)
            elif mixing == "shuffle":
                indices = drawing.random.permutation(c).astype(np.int32)
                state[f"{at}/shuffle/indices"] = indices
                state[f"{at}/shuffle/indices_inverse"] = np.argsort(indices).astype(np.int32)
            for i, (inside, size) in enumerate(((c // 2 + 1, 3), (WIDTH, 1)), 1):
                put(f"{at}/f1/l_{i}/W", size, size, inside, WIDTH)
                put(f"{at}/f1/l_{i}/actnorm_center/b", 1, 1, 1, WIDTH)
                put(f"{at}/f1/l_{i}/actnorm_scale/logs", 1, 1, 1, WIDTH)
            zeros(f"{at}/f1/l_last", c, WIDTH)
        if level < LEVELS - 1:
            zeros(f"model/pool{level}/conv", c, c // 2)
    zeros("model/prior/p", 2 * c, 2 * c)
    if classes:
        put("model/prior/y_emb/W", LABELS, 2 * c)
        put("model/prior/y_emb/b", 1, 2 * c)
        put("model/prior/y_emb/logs", 1, 2 * c)
        put("model/classifier/logs", 1, LABELS)
    return state


def openai(state, x, label=None):
    def edged(h, kernel):
        """With a channel that is one in the padding; a 1x1 kernel has none."""
        kernel = kernel.transpose(3, 2, 0, 1)
        if kernel.shape[-1] == 1:
            return convolved(h, kernel)
        outside = convolved(np.zeros((1, 1, *h.shape[2:])), kernel[:, -1:], border=1.0)
        return convolved(h, kernel[:, :-1]) + outside

    def zeros(at, h):
        h = edged(h, state[f"{at}/W"]) + per_channel(state[f"{at}/b"])
        return h * np.exp(3 * per_channel(state[f"{at}/logs"]))

    log_prob, latents = np.zeros(len(x)), []
    for level in range(LEVELS):
        x = blocks(x)
        for step in range(DEPTH):
            at = f"model/{level}/{step}"
            logs = 3 * per_channel(state[f"{at}/actnorm_scale/logs"].astype(np.float64))
            x = (x + per_channel(state[f"{at}/actnorm_center/b"])) * np.exp(logs)
            log_prob += x.shape[2] * x.shape[3] * logs.sum()
            if f"{at}/invconv/W" in state:
                x, log_det = mixed(x, state[f"{at}/invconv/W"].T.astype(np.float64))
                log_prob += log_det
            elif f"{at}/shuffle/indices" in state:
                x = x[:, state[f"{at}/shuffle/indices"]]
            else:
                x = x[:, ::-1]
            a, b = np.split(x, 2, axis=1)
            h = a
            for i in (1, 2):
                norm = f"{at}/f1/l_{i}/actnorm"
                h = edged(h, state[f"{at}/f1/l_{i}/W"])
                scale = np.exp(3 * per_channel(state[f"{norm}_scale/logs"]))
                h = np.maximum((h + per_channel(state[f"{norm}_center/b"])) * scale, 0)
            h = zeros(f"{at}/f1/l_last", h)
            s = sigmoid(h[:, 1::2] + 2)
            x = np.concatenate([a, (b + h[:, 0::2]) * s], axis=1)
            log_prob += np.log(s).sum((1, 2, 3))
        if level < LEVELS - 1:
            x, leaves = np.split(x, 2, axis=1)
            h = zeros(f"model/pool{level}/conv", x)
            density, noise = gaussian(leaves, h[:, 0::2], h[:, 1::2])
            log_prob += density
            latents.append(noise)
    h = zeros("model/prior/p", np.zeros((1, 2 * x.shape[1], *x.shape[2:])))
    if label is not None:
        added = state["model/prior/y_emb/W"][label] + state["model/prior/y_emb/b"][0]
        h = h + per_channel(added * np.exp(3 * state["model/prior/y_emb/logs"]))
    density, noise = gaussian(x, *np.split(h, 2, axis=1))
    return log_prob + density, [*latents, noise]
