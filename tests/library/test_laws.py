"""Every law, over every row of the table, on perturbed parameters; and what the laws would find.

The numerical laws run in float32, the promise, and in float64, the algebra; the others in float32.
Rows whose algebra another row has skip float64, and how methods work under JAX's transformations;
of what is put together in another way, gradients are those of its pieces.
"""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import flowjax_glow as fg
from flowjax_glow.testing import BIJECTOR_LAWS, LawError, check_bijector, check_net, check_scale
from tests.library.cases import ALIKE, CASES, LINEAR, build, images

NUMERICAL = ("shapes", "events come back", "latents come back", "log-det of the Jacobian")

#: Laws of how methods are put together, not of what they compute.
TRANSFORMED = ("jit", "one trace", "vmap", "init", "freeze")

ROWS = [
    (law, name)
    for law in BIJECTOR_LAWS
    for name in CASES
    if not (law in TRANSFORMED and name in ALIKE)
    and not (law == "gradients" and name in ALIKE and not name.startswith("coupling"))
]


@pytest.mark.parametrize(("law", "name"), ROWS)
def test_law(law, name):
    BIJECTOR_LAWS[law](build(name, "float32"))


@pytest.mark.parametrize("name", [name for name in CASES if name not in ALIKE])
@pytest.mark.parametrize("law", NUMERICAL)
def test_law_in_float64(law, name):
    with jax.enable_x64(True):
        BIJECTOR_LAWS[law](build(name, "float64"))


@dataclasses.dataclass(frozen=True)
class Stretch(fg.ActNorm):
    """An actnorm with a fault."""

    fault: str = ""

    def init(self, key, x):
        params = super().init(key, x)
        if self.fault == "init":
            params["shift"] = params["shift"].astype(jnp.int32)
        return params

    def forward(self, params, x):
        if self.fault == "init":
            params = params | {"shift": params["shift"].astype(x.dtype)}
        z, log_det = super().forward(params, x)
        match self.fault:
            case "log-det of the Jacobian":
                log_det = log_det * 1.01
            case "independent examples":
                z = z - 0.1 * z.mean(0)
            case "jit":
                z = z if isinstance(x, jax.core.Tracer) else z * 1.01
            case "shapes":
                log_det = log_det[:, None]
            case "gradients":
                z = z + jnp.sqrt(jnp.abs(x - x))
        return z, log_det

    def inverse(self, params, z):
        x, log_det = super().inverse(params, z)
        match self.fault:
            case "events come back":
                x = x * 1.001
            case "log-det of the Jacobian":
                log_det = log_det * 1.01
        return x, log_det

    def pull_back(self, params, z, z_bar, log_det_bar):
        x, params_bar, x_bar = super().pull_back(params, z, z_bar, log_det_bar)
        return x, params_bar, x_bar * 2 if self.fault == "pull-back" else x_bar

    def freeze(self, params):
        return jax.tree.map(lambda leaf: leaf * 1.01 if self.fault == "freeze" else leaf, params)

    def __eq__(self, other):
        return self is other if self.fault == "a value" else super().__eq__(other)

    __hash__ = fg.ActNorm.__hash__


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("shapes", r"^shape of the log-det of forward: expected \(3,\), got \(3, 1\); "),
        ("events come back", r"^round trip of events: expected at most 1e-05, got 0\.001; "),
        ("log-det of the Jacobian", "^log-det against that of the Jacobian, per dimension,: "),
        (
            "independent examples",
            "^other examples when the first one changes: expected the same, got not the same; ",
        ),
        ("jit", "^forward without jax.jit against forward: "),
        ("gradients", "^gradients of log_prob: expected finite, got not finite; "),
        ("pull-back", "^gradients of pull_back against jax.vjp: "),
        ("freeze", "^round trip with parameters of freeze: "),
        ("a value", "^an equal one: "),
    ],
)
def test_a_fault_is_named(law, message, unchecked):
    with pytest.raises(LawError, match=message):
        check_bijector(Stretch(fault=law), images((3, 5), "float32"), laws=[law])


@pytest.mark.parametrize(
    ("batch", "laws", "message"),
    [
        (jnp.zeros((1, 4)), None, "two examples or more"),
        (jnp.zeros((2, 5000)), None, "two examples or more, of at most 4096 numbers each"),
        (jnp.zeros((2, 4), jnp.int32), None, "floating-point numbers"),
        (jnp.zeros((2, 4)), ["speed"], "one of shapes, events come back"),
    ],
)
def test_what_cannot_be_checked_is_refused(batch, laws, message, unchecked):
    with pytest.raises(ValueError, match=rf"^check_bijector.*: expected {message}"):
        check_bijector(fg.Reverse(), batch, laws=laws)


@pytest.mark.parametrize("net", [fg.CouplingNet(8), fg.MLP(8, activation="silu"), LINEAR])
def test_nets_keep_their_laws(net, dtype):
    check_net(net, images((3, 4, 5, 2), dtype), 4)


def test_a_net_that_mixes_examples_is_told():
    mixing = fg.NetFunctions(lambda key, x, n: (), lambda params, x, n: x - x.mean(0))
    with pytest.raises(LawError, match=r"^other examples when .* changes: "):
        check_net(mixing, images((3, 4), "float32"), 4)


@pytest.mark.parametrize("scale", fg.SCALES.values(), ids=list(fg.SCALES))
def test_scales_keep_their_laws(scale):
    check_scale(scale.shared_by(4))


@dataclasses.dataclass(frozen=True)
class Faulty(fg.Bounded):
    """A scale with a fault."""

    fault: str = ""

    def log(self, raw):
        log_s = super().log(raw)
        match self.fault:
            case "falls":
                return -log_s - 0.7
            case "infinite":
                return log_s - jnp.log(jnp.maximum(0.0, raw + 9e3)) + 1
        return log_s

    @property
    def log_bounds(self):
        lower, upper = super().log_bounds
        return (lower + 0.1, upper) if self.fault == "below" else (lower, upper)

    def reciprocal(self, raw):
        return super().reciprocal(raw) * (1.1 if self.fault == "reciprocal" else 1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("falls", "^how far log s falls: "),
        ("below", "^how far log s is below log_bounds: "),
        ("infinite", "^log s for raw numbers up to 1e4: expected True, got False; "),
        ("reciprocal", r"^reciprocal against the exponential of log s: .* got 0\.1; "),
    ],
)
def test_a_fault_of_a_scale_is_named(fault, message):
    with pytest.raises(LawError, match=message):
        check_scale(Faulty(fault=fault))
