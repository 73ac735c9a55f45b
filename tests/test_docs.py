"""Every python block of the pages under docs/ runs, in order, page by page.

Those of the README run in `test_wheel`.
"""

import importlib
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import pytest

from tests.pages import blocks
from tests.test_wheel import PUBLIC

ROOT = Path(__file__).parents[1]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"\]\([^)]*\)|[^\w\s-]", "", title).strip().lower() for title in titles)
    return {title.replace(" ", "-") for title in plain}


TEXTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
PAGES = [page for page in TEXTS if blocks(page)]
RUN_HERE = [page for page in PAGES if page.parent != ROOT]


@pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.stem)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": f"docs_{page.stem}"}
    with jax.numpy_dtype_promotion("standard"):  # as readers run it
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_links_lead_somewhere_and_nothing_is_left_to_fill_in(page):
    text = page.read_text(encoding="utf-8")
    assert "@@" not in text
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
        if "://" in target:
            continue
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_every_python_fence_is_found():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert len(blocks(page)) == len(re.findall(r"^ *```(?:python|py)\b", text, re.MULTILINE))


def pages_named(entry: str | list | dict) -> list[str]:
    """The pages in an entry of the navigation: a page, a list, or either of them under a title."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in pages_named(part)]


def test_the_site_has_every_page_and_every_public_room():
    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    docs = ROOT / site["docs_dir"]
    pages = sorted(page.relative_to(docs).as_posix() for page in docs.glob("**/*.md"))
    assert sorted(pages_named(site["nav"])) == pages

    for room in PUBLIC:
        text = (docs / "api" / f"{room}.md").read_text(encoding="utf-8")
        assert room in re.findall(r"^::: (\S+)$", text, re.MULTILINE)


@pytest.mark.parametrize("room", PUBLIC)
def test_the_library_page_names_everything_public(room):
    names = importlib.import_module(room).__all__
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    code = " ".join(re.findall(r"`+([^`]+)`+", page))
    assert not set(names) - set(re.findall(r"\w+", code))
    # The site reads sources without running them, where a module hides a name that it shares.
    modules = {path.stem for path in (ROOT / "src" / room.replace(".", "/")).glob("*.py")}
    assert not modules.intersection(names)


def test_the_site_is_built_without_a_warning(tmp_path):
    for folder in ("docs", "src"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in (*ROOT.glob("*.md"), *ROOT.glob("zensical*")):
        shutil.copy(file, tmp_path)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Bijector" in (tmp_path / "site/api/flowjax_glow.html").read_text()


IN_A_CLONE = [page for page in TEXTS if "python -m experiments." in page.read_text("utf-8")]


@pytest.mark.parametrize("page", IN_A_CLONE, ids=lambda page: page.stem)
def test_a_page_says_ahead_of_its_commands_what_needs_a_clone(page):
    text = page.read_text(encoding="utf-8")
    assert text.index(" clone") < text.index("python -m experiments.")
