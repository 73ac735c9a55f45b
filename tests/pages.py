"""The Python of the README and of the pages under docs/."""

import re
from pathlib import Path

BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[str]:
    """The python blocks of a page, each moved to its line so that tracebacks tell the place."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        indent, code = match.groups()
        line = text.count("\n", 0, match.start(2))
        found.append("\n" * line + re.sub(f"^{indent}", "", code, flags=re.MULTILINE))
    return found
