"""The laws of a bijector."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context, Rows, as_rows
from flowjax_glow.density import log_prob, sample_latents
from flowjax_glow.errors import check_choice, check_event, expected
from flowjax_glow.numerics import TOLERANCES, Tolerance, event_size
from flowjax_glow.testing.laws import equal, hold, perturbed, relative_error
from flowjax_glow.trainable import merge, trainable
from flowjax_glow.types import Event, Key, Latents, LogDet, Params

#: The Jacobian of one example is taken whole, and its determinant.
LARGEST_EVENT = 4096


@dataclass(frozen=True, eq=False)
class Case:
    """A bijector ready to be tested; its maps are compiled once for all laws.

    Attributes:
        plain: parameters off their start.
        params: these with the context in them, if there is one.
        x: a batch of two examples or more.
        init, forward, inverse: of the bijector, under `jax.jit`.
        tolerance: what values and log-dets may miss.
        context: of a bijector that depends on one, a row per example.
    """

    bijector: Bijector
    plain: Params
    params: Params
    x: Event
    init: Callable[[Key, Event], Params]
    forward: Callable[[Params, Event], tuple[Latents, LogDet]]
    inverse: Callable[[Params, Latents], tuple[Event, LogDet]]
    tolerance: Tolerance
    context: Rows | None = None

    def given(self, params: Params, rows: slice = slice(None)) -> Params:
        """Parameters with the context of these examples in them, if there is one."""
        return params if self.context is None else self.bijector.given(params, self.context[rows])


def check_bijector(
    bijector: Bijector,
    x: Event,
    *,
    params: Params | None = None,
    tolerance: Tolerance | None = None,
    laws: Iterable[str] | None = None,
    context: Context | None = None,
) -> None:
    """Holds a bijector to every law of the contract.

    The laws are those of `BIJECTOR_LAWS`: round trips from both ends, log-dets that cancel and are
    those of the Jacobian, shapes and dtypes, examples that do not influence each other, `jax.jit`
    and `jax.vmap`, finite gradients, `init` that is pure, `pull_back` and `freeze`, a context
    that makes a difference to its example alone, and a configuration that hashes and compares by
    value. Run it in float32 and, with ``jax_enable_x64``
    and a float64 `x`, in float64: an error of the algebra shows there.

    >>> import jax
    >>> from flowjax_glow import ActNorm
    >>> check_bijector(ActNorm(), jax.random.normal(jax.random.key(0), (3, 5)))

    Args:
        x: a batch of two or more, of float32 or float64.
        params: to test at; by default those of `init`, moved by 0.03 N(0, 1), since many bijectors
            start as the identity, where a wrong sign does not show.
        tolerance: relative, and of log-dets in nats per dimension; by default that of the dtype in
            `numerics.TOLERANCES`.
        laws: names, to check some alone.
        context: of a bijector that depends on one, a row per example.

    Raises:
        LawError: naming the first law that does not hold, and by how much.
        ValueError: if `x` is no such batch, an example has more than 4,096 numbers, there is no law
            of a name, or the context is missing or of another shape.
    """
    names = tuple(BIJECTOR_LAWS if laws is None else laws)
    for name in names:
        check_choice("check_bijector.laws", name, tuple(BIJECTOR_LAWS))
    case = prepare(bijector, x, params=params, tolerance=tolerance, context=context)
    for name in names:
        BIJECTOR_LAWS[name](case)


def prepare(
    bijector: Bijector,
    x: Event,
    *,
    params: Params | None = None,
    tolerance: Tolerance | None = None,
    context: Context | None = None,
) -> Case:
    """What a law of `BIJECTOR_LAWS` takes; arguments and errors are those of `check_bijector`."""
    check_event("check_bijector", x)
    if len(x) < 2 or x[0].size > LARGEST_EVENT:
        raise expected(
            "check_bijector",
            f"two examples or more, of at most {LARGEST_EVENT} numbers each",
            got=f"shape {x.shape}",
            advice="pass a batch of smaller events",
        )
    init = jax.jit(bijector.init)
    if params is None:
        params = perturbed(init(jax.random.key(1), x))
    rows = _context_of(bijector, x, context)
    return Case(
        bijector,
        params,
        bijector.given(params, rows),
        x,
        init,
        jax.jit(bijector.forward),
        jax.jit(bijector.inverse),
        tolerance or TOLERANCES[str(x.dtype)],
        rows,
    )


def _context_of(bijector: Bijector, x: Event, context: Context | None) -> Rows | None:
    where, shape = "check_bijector.context", bijector.context_shape
    if context is None and shape is None:
        return None
    rows = None if context is None else as_rows(where, shape, context)
    if rows is None or len(rows) != len(x):
        raise expected(
            where,
            f"a context of {len(x)} rows, as the bijector depends on one",
            got="none" if rows is None else f"{len(rows)} rows",
            advice="pass one for each example",
        )
    return rows


def _events_come_back(case: Case) -> None:
    z, log_det = case.forward(case.params, case.x)
    back, inverse_log_det = case.inverse(case.params, z)
    hold("round trip of events", relative_error(back, case.x), case.tolerance.relative)
    _log_dets_cancel("log-dets at encoded events", case, log_det, inverse_log_det)


def _latents_come_back(case: Case) -> None:
    z = _latents(case)
    x, inverse_log_det = case.inverse(case.params, z)
    back, log_det = case.forward(case.params, x)
    hold("round trip of latents", relative_error(back, z), case.tolerance.relative)
    _log_dets_cancel("log-dets at decoded latents", case, log_det, inverse_log_det)


def _log_dets_cancel(law: str, case: Case, log_det: LogDet, inverse_log_det: LogDet) -> None:
    per_dim = np.abs(np.asarray(log_det + inverse_log_det, np.float64)) / event_size(case.x)
    hold(f"{law}: their sum, per dimension,", per_dim.max(), case.tolerance.log_det)


def _log_det_is_that_of_the_jacobian(case: Case) -> None:
    example, params = case.x[0], case.given(case.plain, slice(1))

    def flat(x: Array) -> Array:
        z, _ = case.bijector.forward(params, x[None])
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(z)])

    jacobian = np.asarray(jax.jit(jax.jacrev(flat))(example), np.float64)
    _, wanted = np.linalg.slogdet(jacobian.reshape(example.size, example.size))
    off = abs(float(case.forward(case.params, case.x)[1][0]) - wanted) / example.size
    hold("log-det against that of the Jacobian, per dimension,", off, case.tolerance.log_det)


def _shapes_and_dtypes(case: Case) -> None:
    z, log_det = case.forward(case.params, case.x)
    back, inverse_log_det = case.inverse(case.params, z)
    equal("shape of the log-det of forward", log_det.shape, case.x.shape[:1])
    equal("shape of the log-det of inverse", inverse_log_det.shape, case.x.shape[:1])
    equal("shape of what inverse returns", back.shape, case.x.shape)
    equal("numbers per latent", event_size(z), event_size(case.x))
    for leaf in (*jax.tree.leaves(z), back, log_det, inverse_log_det):
        equal("dtype of values and log-dets", leaf.dtype, case.x.dtype)


def _examples_do_not_influence_each_other(case: Case) -> None:
    changed = case.x.at[0].set(0.25)
    others = [
        [np.asarray(leaf)[1:] for leaf in jax.tree.leaves(case.forward(case.params, x))]
        for x in (case.x, changed)
    ]
    same = all(np.array_equal(*pair) for pair in zip(*others, strict=True))
    told = "the same" if same else "not the same"
    equal("other examples when the first one changes", told, "the same")


def _jit_equals_eager(case: Case) -> None:
    z, log_det = case.forward(case.params, case.x)
    eager, _ = case.bijector.forward(case.params, case.x)
    hold("forward without jax.jit against forward", relative_error(eager, z), case.tolerance[0])
    if type(case.bijector).log_det is Bijector.log_det:  # which is that of forward
        return
    alone = jax.jit(case.bijector.log_det)(case.params, case.x)
    alone = np.asarray(alone - log_det, np.float64)
    off = np.abs(alone).max() / event_size(case.x)
    hold("log_det against that of forward, per dimension,", off, case.tolerance.log_det)


def _one_trace_serves_all_values(case: Case) -> None:
    """Fresh parameters, and events that `inverse` made, are alike to `jax.jit`."""
    traces = []

    @jax.jit
    def forward(params: Params, x: Event) -> tuple[Latents, LogDet]:
        traces.append(x)
        return case.bijector.forward(params, x)

    fresh = jax.eval_shape(case.bijector.init, jax.random.key(5), case.x)
    fresh = jax.eval_shape(case.given, fresh)
    plain = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), fresh)
    z, _ = forward.eval_shape(fresh, case.x)
    forward.eval_shape(plain, case.x)
    forward.eval_shape(plain, jax.eval_shape(case.bijector.inverse, plain, z)[0])
    equal("traces of forward under jax.jit", len(traces), 1)


def _vmap_over_parameters(case: Case) -> None:
    stacked = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), case.params)
    batches = np.stack([case.x, case.x + 0.01])
    z, _ = jax.jit(jax.vmap(case.bijector.forward))(stacked, batches)
    wanted, _ = case.forward(case.params, batches[1])
    second = jax.tree.map(lambda leaf: np.asarray(leaf)[1], z)
    hold("jax.vmap against forward", relative_error(second, wanted), case.tolerance.relative)


def _gradients_are_finite(case: Case) -> None:
    def loss(values: Params, x: Event) -> Float[Array, ""]:
        return log_prob(case.bijector, merge(case.params, values), x).sum()

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(trainable(case.params), case.x)
    finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradients))
    equal("gradients of log_prob", "finite" if finite else "not finite", "finite")


def _init_is_pure(case: Case) -> None:
    key = jax.random.key(5)
    first, second = case.init(key, case.x), case.init(key, case.x)
    same = jax.tree.map(np.array_equal, first, second)
    equal("parameters of init with one key", all(jax.tree.leaves(same)), True)
    announced = jax.eval_shape(case.bijector.init, key, case.x)
    for got, wanted in zip(jax.tree.leaves(first), jax.tree.leaves(announced), strict=True):
        equal("shapes of init", (got.shape, got.dtype), (wanted.shape, wanted.dtype))


def _pulling_back_is_differentiation(case: Case) -> None:
    """Against `jax.vjp` of forward; what never trains has no gradient."""
    if type(case.bijector).pull_back is Bijector.pull_back:
        return
    values = trainable(case.params)

    @jax.jit
    def both(z_bar: Latents, log_det_bar: LogDet) -> tuple[Any, Any]:
        (z, _), pull = jax.vjp(
            lambda values, x: case.bijector.forward(merge(case.params, values), x), values, case.x
        )
        return case.bijector.pull_back(case.params, z, z_bar, log_det_bar), pull(
            (z_bar, log_det_bar)
        )

    z, log_det = case.forward(case.params, case.x)
    (x, *got), wanted = both(
        jax.tree.map(jnp.cos, z), jnp.linspace(1.0, 2.0, len(log_det)).astype(log_det.dtype)
    )
    hold("x of pull_back", relative_error(x, case.x), case.tolerance.relative)
    got = jax.tree.leaves(got)
    off = relative_error(got, jax.tree.leaves(wanted))
    hold("gradients of pull_back against jax.vjp", off, 10 * case.tolerance.relative)


def _frozen_parameters_give_the_same(case: Case) -> None:
    z, _ = case.forward(case.params, case.x)
    back, _ = case.inverse(jax.jit(case.bijector.freeze)(case.params), z)
    off = relative_error(back, case.x)
    hold("round trip with parameters of freeze", off, case.tolerance.relative)


def _a_context_is_that_of_its_example(case: Case) -> None:
    """One of the first example changes that example, and no other."""
    if case.context is None:
        return
    other = case.bijector.given(case.plain, case.context.at[0].add(1.0))
    pairs = [
        (np.asarray(there), np.asarray(here))
        for there, here in zip(
            jax.tree.leaves(case.forward(other, case.x)),
            jax.tree.leaves(case.forward(case.params, case.x)),
            strict=True,
        )
    ]
    moved = any(not np.array_equal(there[0], here[0]) for there, here in pairs)
    equal("an example when its context changes", "another" if moved else "the same", "another")
    same = all(np.array_equal(there[1:], here[1:]) for there, here in pairs)
    told = "the same" if same else "not the same"
    equal("other examples when the first one's context changes", told, "the same")


def _configuration_is_a_value(case: Case) -> None:
    bijector = case.bijector
    equal("its name in its repr", type(bijector).__name__ in repr(bijector), True)
    equal("hash of an equal one", hash(copy.deepcopy(bijector)), hash(bijector))
    equal("an equal one", copy.deepcopy(bijector), bijector)


def _latents(case: Case) -> Latents:
    draw = partial(sample_latents, case.bijector, shape=case.x.shape, dtype=case.x.dtype)
    return jax.jit(draw)(case.params, jax.random.key(3))


#: The laws of a bijector by name, in the order in which they are checked.
BIJECTOR_LAWS: Mapping[str, Callable[[Case], None]] = {
    "shapes": _shapes_and_dtypes,
    "events come back": _events_come_back,
    "latents come back": _latents_come_back,
    "log-det of the Jacobian": _log_det_is_that_of_the_jacobian,
    "independent examples": _examples_do_not_influence_each_other,
    "jit": _jit_equals_eager,
    "one trace": _one_trace_serves_all_values,
    "vmap": _vmap_over_parameters,
    "gradients": _gradients_are_finite,
    "init": _init_is_pure,
    "pull-back": _pulling_back_is_differentiation,
    "freeze": _frozen_parameters_give_the_same,
    "context": _a_context_is_that_of_its_example,
    "a value": _configuration_is_a_value,
}
