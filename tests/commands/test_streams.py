"""Closed pipes, full devices, missing packages: a line at most, and the code that was earned."""

import importlib
import os
import sys
from dataclasses import dataclass

import pytest

from flowjax_glow.__main__ import main
from flowjax_glow.commands.command import Command, run_command
from flowjax_glow.commands.streams import tolerant_streams
from tests.commands.invoke import invoke


def closed_pipe():
    """The end that one writes into, of a pipe that nobody reads from."""
    read, write = os.pipe()
    os.close(read)
    return os.fdopen(write, "w")


def full_device():
    return open("/dev/full", "w")  # noqa: PTH123


@pytest.mark.parametrize(
    ("opened", "told"), [(closed_pipe, ""), (full_device, "warning: stdout: ")]
)
@pytest.mark.parametrize("count", [1, 100_000])  # what fails at the end, and on the way
def test_work_goes_on_when_nobody_can_take_what_it_prints(monkeypatch, capsys, opened, told, count):
    done = []
    with opened() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with tolerant_streams():
            for _ in range(3):
                print("line\n" * count)
            done.append("all")
        stream.flush()  # as Python does when it ends
    error = capsys.readouterr().err
    assert done == ["all"]
    assert error.startswith(told)
    assert error.count("\n") == bool(told)


def test_a_closed_stderr_ends_nothing(monkeypatch):
    with closed_pipe() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with tolerant_streams():
            print("progress", file=sys.stderr, flush=True)
            print("progress", file=sys.stderr, flush=True)


@pytest.mark.parametrize("code", [0, 11])
def test_a_command_keeps_its_code_when_its_output_is_cut(monkeypatch, code):
    @dataclass(frozen=True, kw_only=True)
    class Says(Command):
        def __call__(self):
            print("line\n" * 100_000)
            return code

    with closed_pipe() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as end:
            run_command(Says, [])
        assert end.value.code == code


def test_help_may_be_cut(monkeypatch):
    with closed_pipe() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        for arguments in ([], ["train", "--help"]):
            with pytest.raises(SystemExit) as end:
                main(arguments)
            assert end.value.code == 0


@pytest.mark.parametrize("package", ["matplotlib", "PIL", "rich", "orbax", "scipy"])
def test_a_missing_package_is_one_line_with_the_command(monkeypatch, package):
    @dataclass(frozen=True, kw_only=True)
    class Needs(Command):
        def __call__(self):
            importlib.import_module(package)

    monkeypatch.setitem(sys.modules, package, None)
    code, output = invoke(Needs)
    assert code == 2
    assert output.startswith("error: flowjax-glow: expected the packages of the extra")
    assert f"got no {package}; install them: in a clone pip install" in output
    assert output.count("\n") == 1


def test_a_missing_part_of_our_own_is_a_fault(monkeypatch):
    @dataclass(frozen=True, kw_only=True)
    class Needs(Command):
        def __call__(self):
            importlib.import_module("flowjax_glow.nothing")

    with pytest.raises(ModuleNotFoundError):
        invoke(Needs)
