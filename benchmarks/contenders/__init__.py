"""Who takes part, told without importing any of them: `--help` and the parent stay light."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One contender.

    Attributes:
      module: where its ``build(work, batches, **options)`` is, which gives a `Contender`.
      framework: "jax" or "torch".
      packages: those whose versions its figures depend on.
      faithful: whether it is the same GLOW: learned 1x1 convolutions, actnorms set by data.
      note: how it differs from openai/glow.
    """

    module: str
    framework: str
    packages: tuple[str, ...]
    faithful: bool
    note: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether this library is measured, and not a peer."""
        return self.framework == "jax"


def _ours(memory: str) -> Entry:
    return Entry(
        "benchmarks.contenders.ours",
        "jax",
        ("flowjax_glow", "jax", "jaxlib", "optax"),
        faithful=True,
        note=f'actnorm in the net, learned split prior; memory="{memory}"',
        options={"memory": memory},
    )


def _peer(module: str, package: str, *, faithful: bool, note: str) -> Entry:
    module = f"benchmarks.contenders.{module}"
    return Entry(module, "torch", ("torch", package), faithful, note)


CONTENDERS = {
    "ours-store": _ours("store"),
    "ours-remat": _ours("remat"),
    "ours-invert": _ours("invert"),
    "normflows": _peer(
        "normflows",
        "normflows",
        faithful=True,
        note="its own blocks: biases in the net, 1x1 as LU; a base per level, no split prior",
    ),
    "nflows": _peer(
        "nflows",
        "nflows",
        faithful=True,
        note="composed of its transforms: biases in the net, 1x1 as LU; standard normal base",
    ),
    "freia": _peer(
        "freia",
        "FrEIA",
        faithful=False,
        note="fixed random rotations, actnorm not set by data, tanh-clamped scale; "
        "standard normal base",
    ),
}


def choose(names: str) -> list[str]:
    """The contenders that a list with commas names.

    Raises:
      ValueError: if one is unknown or named twice, or there are none.
    """
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if not chosen or len(set(chosen)) < len(chosen) or set(chosen) - set(CONTENDERS):
        from flowjax_glow.errors import expected

        raise expected(
            "--contenders",
            f"different ones of {', '.join(CONTENDERS)}",
            got=repr(names),
            advice="separate them with commas",
        )
    return chosen
