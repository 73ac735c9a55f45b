"""The code of docs/interop.md that needs other libraries."""

import re
from pathlib import Path

import jax
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
BLOCKS = re.findall(r"^```python3\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_python_blocks_run(capsys):
    pytest.importorskip("flowjax")
    names: dict[str, object] = {}
    with jax.enable_x64(False):
        for block in BLOCKS:
            exec(compile(block, str(PAGE), "exec"), names)
    assert "'step3/Permute', 'step3/Coupling', 'step2/Permute'" in capsys.readouterr().out
