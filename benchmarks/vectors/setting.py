"""What is trained and measured, for our flows and for others."""

from dataclasses import dataclass
from typing import NamedTuple

BATCH = 128

#: Samples at a time when they are judged.
CHUNK = 1000

#: The fraction of the steps in which the rate rises, where it does.
WARM_UP = 0.1


@dataclass(frozen=True)
class Setting:
    """A data set, a flow's size and a training."""

    data: str = "digits19"
    depth: int = 32
    width: int = 64
    steps: int = 400
    warm_up: bool = False
    samples: int = 10_000

    @property
    def name(self) -> str:
        """For files and tables."""
        return f"{self.data}-{self.depth}" + ("-warm" if self.warm_up else "")


#: The settings of docs/vectors.md.
SETTINGS = (
    Setting("moons"),
    Setting("digits19"),
    Setting("digits19", warm_up=True),
    Setting("digits19", depth=64),
    Setting("digits64"),
)


class Measured(NamedTuple):
    """One trained flow.

    Attributes:
        validation, test: negative log-likelihoods in nats per dimension.
        returned: the share of test vectors that come back, encoded and decoded, up to 1 %.
        lost: the share of samples that do not come back, decoded and encoded, up to 1 %.
        largest: the largest number in a sample.
    """

    validation: float
    test: float
    returned: float
    lost: float
    largest: float
