"""RealNVP of normflows and nflows, with the defaults of their couplings."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.vectors.datasets import Vectors
from benchmarks.vectors.setting import BATCH, CHUNK, WARM_UP, Measured, Setting


class _TorchFlow(torch.nn.Module):
    """A flow of torch, seen from the data: both directions and the likelihood."""

    def __init__(self, flow: Any, encode: Callable, decode: Callable, log_prob: Callable) -> None:
        super().__init__()
        self.flow = flow
        self._encode, self._decode, self._log_prob = encode, decode, log_prob

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self._encode(self.flow, x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return self._decode(self.flow, z)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self._log_prob(self.flow, x)


def normflows(setting: Setting, features: int) -> _TorchFlow:
    """As its README builds RealNVP, with an actnorm and a learned linear layer like ours."""
    import normflows as nf

    read = features - features // 2  # what `torch.chunk` gives first
    base = nf.distributions.DiagGaussian(features, trainable=False)
    flows: list[Any] = []
    for _ in range(setting.depth):
        sizes = [read, setting.width, setting.width, 2 * (features - read)]
        net = nf.nets.MLP(sizes, init_zeros=True)
        flows += [
            nf.flows.AffineCouplingBlock(net),
            nf.flows.LULinearPermute(features),
            nf.flows.ActNorm(features),
        ]
    return _TorchFlow(
        nf.NormalizingFlow(base, flows),
        lambda model, x: model.inverse(x),
        lambda model, z: model.forward(z),
        lambda model, x: model.log_prob(x),
    )


def nflows(setting: Setting, features: int) -> _TorchFlow:
    """Its `SimpleRealNVP` as it comes."""
    from nflows.flows.realnvp import SimpleRealNVP

    flow = SimpleRealNVP(features, setting.width, setting.depth, num_blocks_per_layer=2)
    return _TorchFlow(
        flow,
        lambda model, x: model.transform_to_noise(x),
        lambda model, z: model._transform.inverse(z)[0],  # the public way draws z itself
        lambda model, x: model.log_prob(x),
    )


#: By the name in the table.
METHODS: dict[str, Callable[[Setting, int], _TorchFlow]] = {
    "normflows, exp(h)": normflows,
    "nflows, SimpleRealNVP": nflows,
}


def measure(
    method: str, setting: Setting, data: Vectors, rates: Sequence[float], seeds: Sequence[int]
) -> list[Measured]:
    """One training after the other."""
    torch.set_num_threads(1)
    return [
        _judged(_trained(METHODS[method], setting, data.train, *pair), data, setting.samples)
        for pair in zip(rates, seeds, strict=True)
    ]


def _trained(
    build: Callable[[Setting, int], _TorchFlow],
    setting: Setting,
    rows: np.ndarray,
    rate: float,
    seed: int,
) -> _TorchFlow:
    torch.manual_seed(seed)
    x = torch.from_numpy(rows)
    flow = build(setting, x.shape[1])
    with torch.no_grad():
        flow.log_prob(x[:512])  # actnorms start on it
    adam = torch.optim.Adam(flow.parameters(), rate)
    for step in range(setting.steps):
        if setting.warm_up:
            ramp = min(1.0, (step + 1) / (WARM_UP * setting.steps))
            adam.param_groups[0]["lr"] = rate * ramp
        batch = x[torch.randint(len(x), (BATCH,))]
        adam.zero_grad()
        loss = -flow.log_prob(batch).mean()
        if not torch.isfinite(loss):
            break  # nothing brings it back
        loss.backward()
        adam.step()
    return flow.eval()


@torch.no_grad()
def _judged(flow: _TorchFlow, data: Vectors, samples: int) -> Measured:
    generator = torch.Generator().manual_seed(1000)
    lost, largest = [], []
    for _ in range(samples // CHUNK):
        z = torch.randn(CHUNK, data.test.shape[1], generator=generator)
        x = flow.decode(z)
        error = (flow.encode(x) - z).norm(dim=1) / z.norm(dim=1)
        lost.append((~(error <= 0.01)).numpy())
        largest.append(x.abs().amax(1).numpy())
    x = torch.from_numpy(data.test)
    off = (flow.decode(flow.encode(x)) - x).norm(dim=1) / x.norm(dim=1)
    return Measured(
        validation=_nats(flow, data.validation),
        test=_nats(flow, data.test),
        returned=float((off <= 0.01).float().mean()),
        lost=float(np.mean(np.concatenate(lost))),
        largest=float(np.nan_to_num(np.concatenate(largest), nan=np.inf).max()),
    )


def _nats(flow: _TorchFlow, rows: np.ndarray) -> float:
    return float(-flow.log_prob(torch.from_numpy(rows)).mean()) / rows.shape[1]
