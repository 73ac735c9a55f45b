"""What the single figures of a run come to: medians, quartiles, and who is compared with whom."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: A turn during which others used more of the cores than this is counted as disturbed.
_DISTURBED = 0.05


@dataclass(frozen=True)
class Spread:
    """A median between its quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Of some figures; None of none."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0]) if values else None
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


class Summary:
    """The results of a run, asked questions. None is the answer where nothing was measured."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results
        self.contenders: dict[str, dict[str, Any]] = results["contenders"]
        self.work: dict[str, Any] = results["workloads"][results["workload"]]

    def rates(self, name: str, measure: str) -> list[float]:
        """Images per second, of each round."""
        turns = self.contenders.get(name, {"rounds": {measure: []}})["rounds"][measure]
        return [self.work["batch"] * len(t["seconds"]) / sum(t["seconds"]) for t in turns]

    def rate(self, name: str | None, measure: str) -> float | None:
        """Its median."""
        found = spread(self.rates(name, measure)) if name else None
        return found and found.median

    def start(self, name: str | None, workload: str, kind: str) -> float | None:
        """Median seconds from process start to the end of the first training step."""
        return self._of_starts(name, workload, lambda start: start[kind]["seconds"])

    def memory(self, name: str | None, workload: str, kind: str = "warm") -> float | None:
        """Median MiB that training took at most, above what the imports took."""
        return self._of_starts(
            name, workload, lambda start: start[kind]["peak_mib"] - start[kind]["imported_mib"]
        )

    def _of_starts(self, name: str | None, workload: str, figure: Any) -> float | None:
        starts = self.contenders.get(name or "", {"starts": {workload: []}})["starts"][workload]
        return statistics.median(map(figure, starts)) if starts else None

    def ours(self) -> str | None:
        """The one of ours that trains fastest stands for us in every measure."""
        return self._fastest("train", [n for n, c in self.contenders.items() if c["ours"]])

    def best_peer(self, measure: str) -> str | None:
        """The fastest faithful peer."""
        return self._fastest(measure, [n for n in self.peers() if self.contenders[n]["faithful"]])

    def leanest_peer(self, workload: str) -> str | None:
        """The peer that trains in the least memory, faithful or not."""
        sized = {name: self.memory(name, workload) for name in self.peers()}
        known = {name: size for name, size in sized.items() if size is not None}
        return min(known, key=known.__getitem__, default=None)

    def peers(self) -> list[str]:
        """Those that are not ours."""
        return [name for name, contender in self.contenders.items() if not contender["ours"]]

    def _fastest(self, measure: str, names: list[str]) -> str | None:
        rates = {name: self.rate(name, measure) for name in names}
        known = {name: rate for name, rate in rates.items() if rate is not None}
        return max(known, key=known.__getitem__, default=None)

    def peak(self) -> float | None:
        """The machine's FLOP/s: the median over rounds of the better framework's best product."""
        rounds = [max(found) for found in zip(*self.results["peaks"].values())]
        return statistics.median(rounds) if rounds else None

    def efficiency(self, name: str | None) -> float | None:
        """The share of the peak at which it does the nominal work of training."""
        rate, peak = self.rate(name, "train"), self.peak()
        return None if rate is None or peak is None else rate * self.work["nominal_flops"] / peak

    def disturbed(self) -> tuple[int, int]:
        """Turns during which others used the machine, and all turns of which that is known."""
        cores = self.results["machine"]["cores"]
        shares = [
            turn["others"] / (cores * sum(turn["seconds"]))
            for contender in self.contenders.values()
            for turns in contender["rounds"].values()
            for turn in turns
            if turn["others"] is not None
        ]
        return sum(share > _DISTURBED for share in shares), len(shares)
