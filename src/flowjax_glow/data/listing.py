"""What lies below a folder: every picture once, and how many of what else."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from flowjax_glow.data.decode import SUFFIXES

Kind: TypeAlias = Literal["folder", "file", "broken link", "special file"]

NAMED = 5  # how many suffixes or files a message names


@dataclass(frozen=True)
class Entry:
    """Something below a folder.

    Attributes:
        name: its path inside the folder, with forward slashes.
        path: where it is opened.
        kind: what it is, links followed.
    """

    name: str
    path: str
    kind: Kind


@dataclass(frozen=True)
class Listing:
    """The pictures below a folder, sorted, and what was passed over.

    Attributes:
        pictures: their paths inside the folder, with forward slashes.
        others: how many files have another suffix, by suffix.
        unreadable: what has a picture's name and is no regular file, with what it is.
    """

    pictures: tuple[str, ...]
    others: Counter[str]
    unreadable: tuple[str, ...]

    def passed_over(self) -> str:
        """What is no picture, in a line; empty if all is."""
        parts = []
        if count := self.others.total():
            often_first = sorted(self.others, key=lambda suffix: (-self.others[suffix], suffix))
            suffixes = [suffix or "no suffix" for suffix in often_first]
            parts.append(f"{count} files that are no images ({some(suffixes)})")
        if self.unreadable:
            parts.append(f"{len(self.unreadable)} that are no files ({some(self.unreadable)})")
        return " and ".join(parts)


def list_images(root: Path) -> Listing:
    """All pictures below `root`, known by their suffix; what is hidden does not count.

    Links are followed. A picture counts once, however many links lead to it, by the name that it
    has without them if there is one.

    Raises:
        OSError: if a folder cannot be listed.
    """
    pictures, others, unreadable = [], Counter[str](), []
    for entry in walk(root):
        suffix = Path(entry.name).suffix.lower()
        if suffix in SUFFIXES and entry.kind == "file":
            pictures.append(entry.name)
        elif suffix in SUFFIXES or entry.kind != "file":
            unreadable.append(f"{entry.name}: a {entry.kind}")
        else:
            others[suffix] += 1
    return Listing(tuple(sorted(pictures)), others, tuple(sorted(unreadable)))


def walk(root: Path) -> Iterator[Entry]:
    """All that lies below `root` and is no folder, each thing once, however links run in circles.

    Nothing is opened. What is reached without a link comes before what is reached by one.
    """
    plain, linked, met = [Entry("", os.path.realpath(root), "folder")], deque[Entry](), set[str]()
    while plain or linked:
        entry = plain.pop() if plain else linked.popleft()
        if entry.path in met:
            continue
        met.add(entry.path)
        if entry.kind == "folder":
            for inner, is_link in _inside(entry):
                (linked if is_link else plain).append(inner)
        else:
            yield entry


def _inside(folder: Entry) -> list[tuple[Entry, bool]]:
    """What a folder holds, sorted, and whether it is a link; hidden things aside."""
    prefix = f"{folder.name}/" if folder.name else ""
    with os.scandir(folder.path) as entries:
        return [
            (
                Entry(
                    prefix + entry.name,
                    os.path.realpath(entry.path) if entry.is_symlink() else entry.path,
                    _kind(entry),
                ),
                entry.is_symlink(),
            )
            for entry in sorted(entries, key=lambda entry: entry.name)
            if not entry.name.startswith(".")
        ]


def _kind(entry: "os.DirEntry[str]") -> Kind:
    if entry.is_symlink() and not Path(entry).exists():
        return "broken link"  # or one that leads in a circle
    if entry.is_dir():
        return "folder"
    return "file" if entry.is_file() else "special file"


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = [f"and {len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*names[:NAMED], *more])
