"""The planning command, and that full-size steps lower for accelerators that are not here."""

import dataclasses
import json
import math
import re
from typing import get_args

import jax
import jax.export
import jax.numpy as jnp
import pytest

from flowjax_glow.combinators import Memory
from flowjax_glow.commands.plan import duration, size, to_text
from flowjax_glow.config import glow
from flowjax_glow.data import DataError
from flowjax_glow.runs.cost.planning import make_plan
from flowjax_glow.runs.cost.time import OVERHEAD_SECONDS, Devices
from flowjax_glow.runs.cost.workload import Workload
from flowjax_glow.runs.images import image_shape
from flowjax_glow.runs.presets import LAPTOP, OPENAI_CIFAR10, SMOKE
from tests.commands.invoke import invoke

POLICIES = get_args(Memory)
CIFAR10 = (32, 32, 3)


def plan_json(*arguments):
    code, output = invoke("plan", "--json", *arguments)
    assert code == 0, output
    return json.loads(output)


def remembering(experiment, memory):
    return dataclasses.replace(
        experiment, model=dataclasses.replace(experiment.model, memory=memory)
    )


def multiply_adds(params, shape):
    """Per image of the default GLOW: each kernel and matrix acts once at every position."""
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if path[-1].key in ("kernel", "weight"):
            level = path[1].idx + 1
            total += math.prod(leaf.shape) * (shape[0] >> level) * (shape[1] >> level)
    return total


@pytest.fixture(scope="module")
def full_size():
    return make_plan(OPENAI_CIFAR10, CIFAR10, Devices(8, 156e12, 0.3))


def test_the_full_size_plan(full_size):
    text = to_text(full_size, "openai-cifar10")
    assert text.startswith("openai-cifar10: 32x32x3 images of tfds:cifar10, ")
    assert "batches of 64 on 8 devices (8 each), 1,000,000 steps" in " ".join(text.split())
    assert "30% of a peak of 156 TFLOP/s" in text
    for memory in POLICIES:
        assert re.search(rf"^{memory}\b", text, re.MULTILINE)
    assert re.search(r"^remat\* .* 1.5 h$", text, re.MULTILINE)


def test_flops_are_those_of_the_parameters(full_size):
    plan = full_size
    work = Workload(OPENAI_CIFAR10, CIFAR10, 8)
    forward = 2 * multiply_adds(work.params, CIFAR10)
    policies = {policy.memory: policy for policy in plan.policies}
    store, remat = policies["store"], policies["remat"]
    assert store.forward_flops == pytest.approx(forward, rel=1e-3)
    # backward: for each product one for each of its factors; remat: and the forward pass again
    assert store.train_flops == pytest.approx(3 * forward, rel=0.01)
    assert remat.train_flops == pytest.approx(4 * forward, rel=0.01)
    assert remat.residual_bytes < store.residual_bytes / 50
    assert plan.parameters == 44_049_408
    assert plan.parameter_bytes == 4 * plan.parameters
    assert plan.state_bytes == pytest.approx(4 * plan.parameter_bytes, rel=1e-3)
    rate = 8 * 156e12 * 0.3 / (64 * store.train_flops)
    assert store.steps_per_second == pytest.approx(rate)
    trained = 1_000_000 / rate / 86_400
    assert trained < store.days < 1.2 * trained
    alone = dataclasses.replace(
        OPENAI_CIFAR10, held_out=8, look_samples=8, final_samples=8, clip_samples=8, chunk=8
    )
    unseen = make_plan(alone, CIFAR10, full_size.devices).policies[0]
    assert unseen.days == pytest.approx(trained + OVERHEAD_SECONDS / 86_400, rel=2e-3)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "0.2 s"),
        (25.3, "25 s"),
        (59, "59 s"),
        (60, "1.0 min"),
        (3599, "60 min"),
        (4208, "1.2 h"),
        (2 * 86_400 - 1, "48 h"),
        (2 * 86_400, "2.0 days"),
        (1e8, "1157 days"),
    ],
)
def test_times_have_the_unit_that_suits_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(2**19, "0.5 MiB"), (999 * 2**20, "999.0 MiB"), (2**40, "1,024.0 GiB")]
)
def test_memory_has_the_unit_that_suits_it(count, text):
    assert size(count) == text


#: One level, so that it is traced fast.
FLAT = "--set=model.levels=1"

# What is done to the matrices themselves is done once a step, however many images there are.
ONCE = 0.1


def test_devices_share_a_batch():
    one, four = (plan_json("--preset=smoke", FLAT, f"--devices={count}") for count in (1, 4))
    for alone, shared in zip(one["policies"], four["policies"], strict=True):
        assert shared["train_flops"] == pytest.approx(alone["train_flops"], rel=ONCE)
        assert shared["steps_per_second"] == pytest.approx(4 * alone["steps_per_second"], rel=ONCE)
        assert shared["residual_bytes"] < alone["residual_bytes"] / 2
    assert one["state_bytes"] == four["state_bytes"]


def test_accumulation_keeps_less_and_computes_the_same():
    whole, parts = (dataclasses.replace(SMOKE, accumulate=count) for count in (1, 4))
    whole, parts = (Workload(experiment, (8, 8, 3), 16) for experiment in (whole, parts))
    assert parts.train_flops == pytest.approx(whole.train_flops, rel=ONCE)
    assert parts.residual_bytes < whole.residual_bytes / 2


def test_what_is_compiled_is_measured():
    flat = dataclasses.replace(SMOKE, model=dataclasses.replace(SMOKE.model, levels=1))
    plan = make_plan(flat, (8, 8, 3), Devices(1, 1e12, 0.3), compiled=True)
    for policy in plan.policies:
        assert policy.temporary_bytes > plan.parameter_bytes  # the gradients alone
    assert " temporary " in to_text(plan)
    assert max(map(len, to_text(plan).splitlines())) <= 80


def test_the_options_change_the_experiment():
    changes = ("--size=32", "--batch=8", "--steps=70", FLAT)
    plan = plan_json("--preset=laptop", *changes, "--peak=2")
    assert plan["shape"] == [32, 32, 3]
    assert (plan["batch"], plan["steps"]) == (8, 70)
    assert plan["devices"] == {"count": 1, "peak": 2e12, "efficiency": 0.3}
    assert plan["memory"] == LAPTOP.model.memory
    assert [policy["memory"] for policy in plan["policies"]] == list(POLICIES)
    assert all(policy["temporary_bytes"] is None for policy in plan["policies"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--devices=7"], "--batch: expected a multiple of 7 .*, got 32; change --batch"),
        (["--devices=0"], "--devices: expected a whole number above 0, got 0"),
        (["--peak=0"], "--peak: expected a number above 0, got 0"),
        (["--efficiency=30"], "--efficiency: expected a share above 0 and at most 1, got 30"),
        (["--preset=tiny"], "--preset: expected one of recommended, smoke, .* got 'tiny'"),
        (["--preset=smoke", "--size=10"], "--size=10: expected a multiple of 4, .* use 8 or 12"),
    ],
)
def test_complaints_take_one_line(arguments, message):
    code, output = invoke("plan", *arguments)
    assert code == 2
    assert re.fullmatch(rf"error: {message}.*\n", output), output


def test_a_size_that_only_the_data_knows_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert image_shape(OPENAI_CIFAR10) == CIFAR10
    with pytest.raises(DataError, match="cifar10"):
        image_shape(dataclasses.replace(OPENAI_CIFAR10, image_size=None))


def lowered(work, platform):
    return jax.export.export(work.step, platforms=[platform])(work.state, work.batch).mlir_module()


@pytest.mark.parametrize("memory", POLICIES)
def test_the_full_size_step_lowers_for_accelerators(memory):
    work = Workload(remembering(OPENAI_CIFAR10, memory), CIFAR10, OPENAI_CIFAR10.batch)
    programs = {platform: lowered(work, platform) for platform in ("cpu", "cuda", "tpu")}
    assert "lapack" not in programs["cuda"] + programs["tpu"]
    # matrix products on the CPU, the platform's own convolutions elsewhere
    convolved = {platform: "stablehlo.convolution" in text for platform, text in programs.items()}
    assert convolved == {"cpu": False, "cuda": True, "tpu": True}


@pytest.mark.parametrize("conv1x1", ["dense", "lu"])
def test_start_and_sampling_lower_for_accelerators(conv1x1):
    model = dataclasses.replace(OPENAI_CIFAR10.model, conv1x1=conv1x1)
    flow = glow(model)
    work = Workload(dataclasses.replace(OPENAI_CIFAR10, model=model), CIFAR10, 64)
    images = jax.ShapeDtypeStruct((64, *CIFAR10), jnp.float32)
    latents = jax.eval_shape(flow.forward, work.params, images)[0]

    def init(words, x):
        return flow.init(jax.random.wrap_key_data(words), x)

    accelerators = ["cuda", "tpu"]
    words = jax.ShapeDtypeStruct((2,), jnp.uint32)
    jax.export.export(jax.jit(init), platforms=accelerators)(words, images)
    jax.export.export(jax.jit(flow.inverse), platforms=accelerators)(work.params, latents)
