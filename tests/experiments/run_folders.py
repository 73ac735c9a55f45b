"""Run folders as docs/run-folder.md describes them, made up rather than trained."""

import json
import math
from pathlib import Path

import numpy as np

from experiments.sweeps import plan
from experiments.variants import VARIANTS
from flowjax_glow.runs.experiment import to_json
from flowjax_glow.runs.presets import SMOKE
from flowjax_glow.training.metrics import MetricsLog

CLIPS = np.array([10.0, 20, 30, 40, 50, 100, 500, 1000, np.inf])
TAUS = np.array([1.0, 0.7, 0.5, 0.25, 0.1, 0.0])
TEMPERATURES = np.array([0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
EDGES = np.linspace(-8.0, 1.0, 901)
QUANTILES = (1e-4, 1e-3, 1e-2, 0.5)

#: How badly the inverse of a variant breaks, and its typical spread of log s.
TEMPER = {
    "control": (1.0, 0.25),
    "additive": (0.0, 0.0),
    "biased": (0.15, 0.15),
    "bounded": (0.05, 0.06),
    "randomized": (1.4, 0.3),
    "depth-scaled": (0.0, 0.03),
}
_OTHER = (0.5, 0.2)


def write_sweep(folder: Path, runs: list[tuple[str, int, str]], **size) -> Path:
    """A sweep of runs ``(variant, seed, status)``, and one more that has not begun."""
    folder.mkdir(parents=True)
    names = [f"{variant}-seed{seed}" for variant, seed, _ in runs]
    index = {"preset": "laptop", "dataset": "photos", "runs": [*names, "additive-seed99"]}
    write_json(folder / "sweep.json", index)
    for name, (variant, seed, status) in zip(names, runs):
        write_run(folder / name, variant, seed, status, **size)
    return folder


def write_run(
    folder: Path,
    variant: str,
    seed: int,
    status: str,
    *,
    steps: int = 400,
    every: int = 100,
    depth: int = 32,
    samples: int = 64,
) -> None:
    """One run; unless it is done it stopped at half of its steps, and a running one is torn."""
    (folder / "arrays").mkdir(parents=True)
    random = np.random.default_rng([seed, *variant.encode()])
    reached = steps if status == "done" else steps // 2
    config = {"variant": variant, "seed": seed, "steps": steps}
    if variant in VARIANTS:
        config["model"] = to_json(plan(SMOKE, [variant], [seed])[0])["model"]
    write_json(folder / "config.json", config)
    write_json(folder / "status.json", {"status": status, "step": reached})
    _write_metrics(folder / "metrics.jsonl", variant, random, reached, status)
    for step in range(0, reached + 1, every):
        arrays = _look(variant, random, step / steps, samples)
        if step == steps:
            arrays["log_growth"] = _growth(variant, depth)
        np.savez_compressed(folder / f"arrays/look-{step:06}.npz", **arrays)
    for step in (0, reached) if status != "running" else (0,):
        arrays = _clipping(variant, random, step / steps, samples, depth)
        np.savez_compressed(folder / f"arrays/clipping-{step:06}.npz", **arrays)
    if status != "running":
        write_json(folder / "summary.json", _summary(variant, seed, status, random, reached))


def write_json(file: Path, content: object) -> None:
    """Strict JSON."""
    file.write_text(json.dumps(content, allow_nan=False))


def _write_metrics(file, variant, random, reached, status) -> None:
    harm = {"additive": 0.12, "biased": -0.03, "bounded": -0.02, "depth-scaled": -0.05}
    offset = harm.get(variant, 0.0) + 0.02 * random.normal()
    with MetricsLog(file) as log:
        for step in range(1, reached + 1):
            loss = 1.8 + offset + 0.9 * math.exp(-step / 90) + 300 * math.exp(-step / 3)
            last = status == "diverged" and step == reached
            loss = math.nan if last else loss + 0.05 * random.normal()
            log.append(step, {"loss": loss, "grad_norm": 1.0, "update_finite": not last})
        log.append(reached, {"held_out": 1.9 + offset, "held_out_averaged": 1.95 + offset})
    if status == "running":
        with file.open("a") as stream:
            stream.write('{"step": 9999, "lo')


def _look(variant, random, progress, samples) -> dict:
    danger, spread = TEMPER.get(variant, _OTHER)
    heavy = danger * progress
    scales = [_log_s(random, spread, heavy * (1.5 - tau), 20_000) for tau in (*TAUS, 0.6)]
    tail = np.exp(np.abs(random.standard_t(3, (len(TAUS), samples))) * heavy * TAUS[:, None] * 4)
    errors, largest = 1e-5 * tail**0.9, 3 * (TAUS[:, None] + 0.5) * tail**0.7
    errors[largest > 1e6] = np.inf
    largest[largest > 1e6] = np.inf
    counts = [np.histogram(np.clip(s / math.log(10), -8, 1), EDGES)[0] for s in scales]
    return {
        "taus": TAUS,
        "z_error": errors,
        "max_activation": largest,
        "critical_temperature": np.array(np.inf if heavy < 0.5 else 1 - 0.3 * heavy),
        "x_error": np.full(16, 3e-6),
        "bit_exact": np.ones(16, bool),
        "log10_s_edges": EDGES,
        "s_counts": np.array([counts]),
        "s_quantiles": np.array([[np.exp(np.quantile(s, QUANTILES)) for s in scales]]),
        "s_below": np.array([[[np.mean(np.exp(s) < t) for t in (1e-2, 1e-3)] for s in scales]]),
        "s_min": np.array([[np.exp(s.min()) for s in scales]]),
    }


def _growth(variant, depth) -> np.ndarray:
    climb = np.linspace(0, 1, len(_layers(variant, depth)))
    slopes = np.array([1, 1.5, 2, 2.5, 200]) * TEMPER.get(variant, _OTHER)[0]
    growth = 1 + TAUS[:, None, None] * climb[:, None] * slopes
    return np.where(growth > 88, np.inf, growth).astype(np.float32)


def _log_s(random, spread, heavy, count) -> np.ndarray:
    if not spread:
        return np.zeros(count)
    bulk = np.abs(spread * random.normal(size=count))
    return -bulk - heavy * 0.8 * random.exponential(size=count)


def _clipping(variant, random, progress, samples, depth, size=16) -> dict:
    layers = _layers(variant, depth)
    danger = TEMPER.get(variant, _OTHER)[0] * progress
    climb = np.linspace(0, 1, len(layers))
    noise = np.abs(random.normal(size=len(layers)).cumsum() / 10) * 0.3
    zero = 2 * np.exp(climb**4 * danger * 7 + noise)
    worst = 4.0 * np.exp(climb * danger * 90 + noise)
    worst[worst > 3e38] = np.inf
    hit = 5 * np.exp(danger * 4 * random.standard_normal(samples) ** 2) > CLIPS[:, None]
    originals = _pictures(np.random.default_rng(0), size)
    clean = np.tile(originals, (len(CLIPS), 1, 1, 1, 1))
    shape = clean.shape
    broken = clean + danger * random.normal(size=shape) * random.random((1, 8, 1, 1, 1))
    if danger > 0.9:
        broken[-1, :, 4:9, 5:12] = np.nan
    error = 1e-6 * (1 + random.random((1, 32))) * np.exp(danger * 12 * random.random((1, 32)))
    error = error * np.minimum(CLIPS[:, None], 1e4) ** -0.2
    if danger > 0.9:
        error[-1, :4] = np.inf
    redrawn = {
        "redrawn_reconstructions": broken,
        "redrawn_error": np.stack([10 * error] * 3),
        "redrawn_latent": np.full(3, 20.0),
    }
    return (redrawn if variant == "per-batch" else {}) | {
        "clips": CLIPS,
        "layers": np.array(layers),
        "zero_images": broken[:, 0],
        "zero_clipped": np.clip((zero[None] / CLIPS[:, None] - 1) * 3e-3, 0, 1),
        "zero_max": zero,
        "zero_nonfinite": np.zeros(len(layers), int),
        "zero_first_over": np.array([_first_over(zero, clip) for clip in CLIPS]),
        "sample_images": broken,
        "sample_hit": hit,
        "sample_max": worst,
        "originals": originals,
        "reconstructions": broken if variant == "randomized" else clean + 1e-6,
        "reconstruction_error": error,
        "reconstruction_hit": error > 1,
        "temperatures": TEMPERATURES,
        "temperature_images": np.stack([each * originals for each in TEMPERATURES]),
    }


def _first_over(largest, clip) -> int:
    over = np.flatnonzero(largest > clip)
    return int(over[0]) if over.size else -1


def _layers(variant, depth) -> list[str]:
    step = ["AffineCoupling", "InvertibleConv", "ActNorm"]
    step = ["Permutation", *step] if variant == "randomized" else step
    names = []
    for level in (1, 0):
        names += ["level0/Split"] if level == 0 else []
        names += [f"level{level}/step{i}/{name}" for i in reversed(range(depth)) for name in step]
        names.append(f"level{level}/Squeeze")
    return names


def _pictures(random, size) -> np.ndarray:
    """Eight smooth colored images."""
    grid = np.linspace(0, 3, size)
    waves = random.normal(size=(8, 1, 1, 3, 3))
    angle = waves[..., 0] * 3 + waves[..., 1] * grid[:, None, None] + waves[..., 2] * grid[:, None]
    return 0.45 * np.sin(angle)


def _summary(variant, seed, status, random, reached) -> dict:
    danger = TEMPER.get(variant, _OTHER)[0]
    return {
        "variant": variant,
        "seed": seed,
        "status": status,
        "steps": reached,
        "bits_per_dim": None if status == "diverged" else 1.9 + 0.1 * random.random(),
        "bits_per_dim_averaged": "NaN" if status == "diverged" else 1.92 + 0.1 * random.random(),
        "window_loss": 1.88 + 0.1 * random.random(),
        "x_error": 3e-6,
        "bit_exact": 1.0,
        "z_error": {f"{tau:g}": "Infinity" if danger * tau > 0.9 else 2e-5 for tau in TAUS},
        "broken": {f"{tau:g}": danger * tau / 2 for tau in TAUS},
        "max_activation": {f"{tau:g}": "Infinity" if danger * tau > 0.9 else 5 for tau in TAUS},
        "min_s": 1e-9 if danger > 0.9 else 0.3,
        "clip_hits": {"z=0": 0.0, "tau=1": danger / 2, "images": 0.0},
        "seconds_total": 130.0 + random.random(),
    }
