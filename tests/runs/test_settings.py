"""Every field of an experiment can be set as text, and mistakes are told with what is meant."""

import dataclasses

import pytest

from flowjax_glow import GlowConfig, PortedGlowConfig
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.runs.settings import described_fields, with_settings
from flowjax_glow.scales import Bounded


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("steps=7", 7),
        ("image_size=none", None),
        ("dataset=folder:my pictures", "folder:my pictures"),
        ("model.depth=16", 16),
        ("model.scale=bounded:0.25,1", Bounded(0.25, 1.0)),
        ("model.damped=sqrt", "sqrt"),
        ("model.damped=True", True),
        ("model.shift_limit=2", 2.0),
        ("model.net_dtype=None", None),
        ("model.net_dtype=bfloat16", "bfloat16"),
        ("model.reads=signal", "signal"),
        ("model.net_actnorm=false", False),
        ("optimizer.learning_rate=3e-4", 3e-4),
        ("optimizer.name = adamax", "adamax"),
    ],
)
def test_a_field_is_set(setting, value):
    changed = with_settings(Experiment(), [setting])
    found = changed
    for name in setting.partition("=")[0].strip().split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)
    assert changed == with_settings(changed, [])


def test_every_field_can_be_set():
    """By the text of its own value."""
    experiment = Experiment()
    for part, prefix in (
        (experiment, ""),
        (experiment.model, "model."),
        (experiment.optimizer, "optimizer."),
    ):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if dataclasses.is_dataclass(value):
                continue
            assert with_settings(experiment, [f"{prefix}{field.name}={value}"]) == experiment


def test_fields_of_a_configuration_of_ones_own():
    twin = dataclasses.replace(Experiment(), model=GlowIPConfig())
    changed = with_settings(twin, ["model.form=shift-first", "model.last_depth=none"])
    assert changed.model == GlowIPConfig(form="shift-first", last_depth=None)


@pytest.mark.parametrize("model", [GlowConfig(), GlowIPConfig(), PortedGlowConfig()])
def test_every_field_is_told_what_it_is(model):
    told = described_fields(dataclasses.replace(Experiment(), model=model))
    assert len(told) > 40
    for name, text in told.items():
        value, *meaning = text.splitlines()
        assert any(line.strip() for line in meaning), (name, value)
        assert max(map(len, meaning)) <= 80


def test_all_are_set_at_once():
    """One alone would be refused: a warm-up longer than the run."""
    changed = with_settings(Experiment(), ["optimizer.warmup_steps=500", "steps=1000"])
    assert changed.optimizer.warmup_steps == 500


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps", "--set: expected FIELD=VALUE, got 'steps'; write model.depth=16"),
        ("stepz=3", "a field of Experiment, got 'stepz'; did you mean steps"),
        (
            "model.dept=3",
            "--set model.dept: expected a field of GlowConfig, got 'dept'; did you mean depth",
        ),
        ("xyzzy=3", "got 'xyzzy'; one of variant, seed"),
        ("model=3", "expected one of its fields, got 'model'; there are model.levels"),
        ("steps.x=3", "expected steps alone, got fields of it; set steps as a whole"),
        ("model.scale.low=3", "expected scale alone"),
        ("steps=many", "--set steps: expected a whole number, got 'many'"),
        ("model.reads=both", "expected noise or signal, got 'both'"),
        ("model.shift_limit=wide", "expected a number or none, got 'wide'"),
        ("model.depth=0", "GlowConfig.depth: expected a whole number above 0"),
        ("model.scale=bonded", "scale: expected one of"),
    ],
)
def test_mistakes(setting, message):
    with pytest.raises(ValueError, match=r".*") as refused:
        with_settings(Experiment(), [setting])
    assert message in str(refused.value)
