"""What the site needs beyond Markdown, as an extension of Python-Markdown.

Docstrings are written for `help()`, which shows the formulas, tables and literal blocks of
reStructuredText and doctests as they are. Pages are written for a browser of the repository, where
links may lead out of docs/.
"""

import logging
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor
from zensical.extensions.context import ContextPreprocessor

FENCED = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"^\.\. math:: (.+(?:\n +.+)*)", re.MULTILINE)
TABLE = re.compile(r"^(=+(?: +=+)+)\n(.+)\n\1\n((?:.+\n)+?)\1$", re.MULTILINE)
DOCTEST = re.compile(r"^>>> .+(?:\n.+)*", re.MULTILINE)
LITERAL = re.compile(r"::$(?=\n\n {4})", re.MULTILINE)


class Docstrings(Preprocessor):
    """Blocks of reStructuredText and doctests become Markdown, outside of fenced code."""

    def run(self, lines: list[str]) -> list[str]:
        parts = FENCED.split("\n".join(lines))
        parts[::2] = map(self.translated, parts[::2])
        return "".join(parts).split("\n")

    def translated(self, text: str) -> str:
        text = FORMULA.sub(self.formula, text)
        text = TABLE.sub(table, text)
        text = DOCTEST.sub(r"```pycon\n\g<0>\n```", text)
        return LITERAL.sub(":", text)

    def formula(self, match: re.Match[str]) -> str:
        """MathML, which browsers draw without a script."""
        return self.md.htmlStash.store(convert(match[1], display="block"))


def table(match: re.Match[str]) -> str:
    """A table of Markdown; columns are as wide as the rules above them, the last one is open."""
    rule, head, body = match.groups()
    starts = [column.start() for column in re.finditer("=+", rule)]
    spans = [slice(*ends) for ends in zip(starts, [*starts[1:], None])]
    rows = [[row[span].strip() for span in spans] for row in (head, *body.splitlines())]
    rows.insert(1, ["---"] * len(spans))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


class Links(Treeprocessor):
    """A target that does not exist is an error; a link that leaves docs/ becomes plain text."""

    def run(self, root: Element) -> None:
        context = ContextPreprocessor.from_markdown(self.md)
        docs = Path(context.config["root_dir"], context.config["docs_dir"]).resolve()
        for element in root.iter():
            target = element.get("href") or element.get("src") or ""
            url = urlsplit(target)
            if url.scheme or url.netloc or not url.path:
                continue
            file = (docs / context.page.path).parent.joinpath(unquote(url.path)).resolve()
            if not file.exists():
                raise ValueError(
                    f"{context.page.path}: expected a link to a file, got {target}; mend the link"
                )
            if not file.is_relative_to(docs):
                element.tag = "span"
                element.attrib = {"title": f"in the repository: {file.relative_to(docs.parent)}"}


class Strict(logging.Handler):
    """A warning about a docstring is an error: Zensical itself counts only warnings about pages."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


# mkdocstrings logs under the names that plugins of MkDocs have.
logging.getLogger("mkdocs.plugins").addHandler(Strict(logging.WARNING))


class Site(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802, the name is Python-Markdown's
        md.preprocessors.register(Docstrings(md), "docstrings", 28)  # before fences, at 25
        md.treeprocessors.register(Links(md), "links", 5)  # after inline elements, at 20


def makeExtension(**options: object) -> Site:  # noqa: N802
    return Site(**options)
