"""The JSON of all calls as the results of docs/accelerator.md: ``python -m
benchmarks.accelerator.report FOLDER...``

It replaces what stands between the two markers of the page. Phases that are missing, skipped or
failed are named as such.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accelerator.rules import LIMIT, broke_down
from flowjax_glow.errors import expected
from flowjax_glow.files import from_strict

PAGE = Path(__file__).parents[2] / "docs" / "accelerator.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"

Found = Mapping[str, Any]


def read(folders: Sequence[Path]) -> dict[str, Any]:
    """The contents of all JSON files, by name; of two with the same name the later folder's."""
    paths = (path for folder in folders for path in sorted(folder.glob("*.json")))
    found = {path.stem: from_strict(json.loads(path.read_text())) for path in paths}
    if not any(name.startswith("call-") for name in found):
        raise expected(
            "report",
            "the JSON of a call",
            got=f"none in {', '.join(map(str, folders))}",
            advice="run python -m benchmarks.accelerator first",
        )
    return found


def results(found: Found) -> str:
    """The part of the page between the markers."""
    parts = [_about(found[name]) for name in sorted(found) if name.startswith("call-")]
    for title, (names, body) in PHASES.items():
        phases = [found[name] for name in names if name in found]
        if phases:
            statuses = [line for phase in phases for line in _status(phase)]
            parts.append("\n".join([f"### {title}", "", *statuses, *body(*phases)]).rstrip())
    return "\n\n".join(parts)


def put(page: str, text: str) -> str:
    """The page with `text` between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise expected("report", f"{BEGIN} and {END}", got="a page without", advice="restore it")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def number(value: Any) -> str:
    """Three digits; a dash for what was not measured."""
    return "-" if value is None else f"{value:.3g}"


def percent(value: Any) -> str:
    """A share in percent."""
    return "-" if value is None else f"{100 * value:.3g} %"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _about(call: Found) -> str:
    environment = call["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    tiny = " **Tiny models: these numbers mean nothing.**" if call["tiny"] else ""
    return (
        f"Call {call['call']}, {call['date'][:10]}: {', '.join(environment['devices'])} beside "
        f"{call['machine']['cores']} cores ({call['machine']['cpu']}), Python "
        f"{environment['python']}, {packages}; revision {environment['git_revision']}; "
        f"`--deadline={call['deadline']:g}`, {number(call.get('seconds'))} s in all.{tiny}"
    )


def _status(phase: Found) -> list[str]:
    name, status, lines = phase["phase"], phase["status"], []
    if status != "done":
        reason = phase.get("reason", "it was cut off")
        lines += [f"The phase `{name}` is **{status}**: {reason}.", ""]
    if others := phase.get("disturbed_by"):
        lines += [f"While `{name}` took times, this was still compiled: {', '.join(others)}.", ""]
    return lines


def _right(phase: Found) -> Iterator[str]:
    rows = []
    for name in ("float32", "default", "bfloat16"):
        if name in phase:
            own = phase[name]
            tolerance = phase["tolerances"][own["tolerance"]]["relative"]
            verdict = {True: "holds", False: "**fails**", None: "not measured"}[own.get("holds")]
            rows.append(
                [
                    name,
                    *(number(own.get(what)) for what in ("images", "latents", "log_dets")),
                    f"{verdict} ({number(tolerance)})",
                    *(number(own["gradients"].get(memory)) for memory in ("remat", "invert")),
                ]
            )
    head = ("nets", "images", "latents", "log-dets", "law", "gradients, remat", "invert")
    yield from table(head, rows)
    own = phase.get("reference", {})
    if "latents" in own:
        yield ""
        yield (
            f"Beside float64 on the CPU, nets in float32: latents differ by "
            f"{number(own['latents'])}, log-dets by {number(own['log_dets'])} nats per dimension."
        )


def _fast(*phases: Found) -> Iterator[str]:
    rows = [row for phase in phases for row in phase.get("rows", [])]
    best = _row(rows, "normflows", "plain")
    cells = []
    for row in rows:
        peer = _row(rows, "normflows", "plain", row["batch"], row["depth"])
        cells.append(
            [
                f"{row['contender']}, {row['kind']}",
                f"{row['batch']}",
                f"{row['depth']}",
                *(_rate(row, peer, measure) for measure in ("train", "encode", "sample")),
                percent(row.get("share_of_peak")),
                number(row.get("train_device_mib")),
                number(row.get("first_step")),
                row["error"] or "",
            ]
        )
    head = (
        "who, products",
        "batch",
        "depth",
        "train",
        "encode",
        "sample",
        "share of peak",
        "memory, MiB",
        "first step, s",
        "",
    )
    yield "Images per second; in brackets the ratio to normflows as it is, at the same size."
    yield ""
    yield from table(head, cells)
    if told := [row for row in rows if "kernels" in row]:
        yield from _kernels(told)
    for phase in phases:
        if "peaks" not in phase:
            continue
        peaks, stated = phase["peaks"], phase["stated_peaks"] or {}
        tera = [
            number(None if flops is None else flops / 1e12)
            for flops in (*peaks.values(), stated.get("TF32"), stated.get("bfloat16"))
        ]
        yield ""
        yield (
            f"Peaks measured in the phase `{phase['phase']}`: "
            "{} TFLOP/s for float32 matrices by default, {} for "
            "bfloat16; stated by the maker: {} and {}.".format(*tera)
        )
    if best is not None:
        yield ""
        yield from table(("goal", "wanted", "measured", ""), _goals(rows))


def _kernels(rows: Sequence[Found]) -> Iterator[str]:
    kinds = list(rows[0]["kernels"]["kinds"])
    yield ""
    yield "What the device does in a step: milliseconds, and in brackets how many kernels."
    yield ""
    head = ("who, products", "batch", "by the clock", "a kernel runs", *kinds)
    cells = []
    for row in rows:
        own = row["kernels"]
        times = (own[what] for what in ("wall", "busy"))
        cells.append(
            [
                f"{row['contender']}, {row['kind']}",
                f"{row['batch']}",
                *(number(1e3 * seconds) for seconds in times),
                *(
                    f"{number(1e3 * own['kinds'][kind]['seconds'])} "
                    f"({own['kinds'][kind]['count']:.0f})"
                    for kind in kinds
                ),
            ]
        )
    yield from table(head, cells)


def _rate(row: Found, peer: Found | None, measure: str) -> str:
    own = row.get(measure)
    if own is None:
        return "-"
    other = None if peer is None else peer.get(measure)
    return number(own) + (f" (x {number(own / other)})" if other else "")


def _row(
    rows: Sequence[Found], contender: str, kind: str, batch: int | None = None, depth: int = 0
) -> Found | None:
    """The first row of that contender, kind and size; the smallest batch where none is given."""
    fitting = [
        row
        for row in rows
        if (row["contender"], row["kind"]) == (contender, kind)
        and batch in (None, row["batch"])
        and depth in (0, row["depth"])
    ]
    return min(fitting, key=lambda row: (row["batch"], row["depth"]), default=None)


def _goals(rows: Sequence[Found]) -> list[list[str]]:
    """The rules about speed and memory."""
    small = min(row["batch"] for row in rows)
    large = max(row["batch"] for row in rows)
    depth = min(row["depth"] for row in rows)

    def of(contender: str, kind: str, batch: int, what: str, times: int = 1) -> float | None:
        row = _row(rows, contender, kind, batch, times * depth)
        return None if row is None else row.get(what)

    def working(contender: str, kind: str, batch: int, times: int = 1) -> float | None:
        """Memory beside parameters, gradients, two moments and the average, in MiB."""
        row = _row(rows, contender, kind, batch, times * depth)
        if row is None or row.get("train_device_mib") is None:
            return None
        return row["train_device_mib"] - 5 * 4 * row["parameters"] / 2**20

    def ratio(above: float | None, below: float | None) -> float | None:
        return above / below if above is not None and below else None

    ours, peer = ("ours-store", "default", small), ("normflows", "plain", small)
    invert = ("ours-invert", "default", small)
    goals = [
        ("training over normflows", 2.5, ratio(of(*ours, "train"), of(*peer, "train")), True),
        (
            "training over normflows, compiled",
            1.5,
            ratio(of(*ours, "train"), of("normflows", "compiled", small, "train")),
            True,
        ),
        ("sampling over normflows", 3.0, ratio(of(*ours, "sample"), of(*peer, "sample")), True),
        (
            f"share of the TF32 peak, batch {large}",
            0.35,
            of("ours-store", "default", large, "share_of_peak"),
            True,
        ),
        ("step, invert over store", 1.3, ratio(of(*ours, "train"), of(*invert, "train")), False),
        (
            f"memory of invert, depth {2 * depth} over {depth}",
            1.1,
            ratio(working(*invert, 2), working(*invert)),
            False,
        ),
    ]
    return [
        [what, f"{bound}", number(value), _verdict(bound, value, least)]
        for what, bound, value, least in goals
    ]


def _verdict(bound: float, value: float | None, at_least: bool) -> str:
    if value is None:
        return "not measured"
    return "holds" if (value >= bound if at_least else value <= bound) else "**missed**"


def _studies(phase: Found) -> Iterator[str]:
    for name, study in phase.items():
        if isinstance(study, Mapping) and "looks" in study:
            yield from _study(name, study)


def _study(name: str, study: Found) -> Iterator[str]:
    losses = study.get("losses") or [None]
    yield (
        f"**{name}**: {study.get('steps', 0)} steps in {number(study.get('seconds_training'))} s, "
        f"{number(losses[-1])} training bits/dim at last, "
        f"{study.get('skipped_steps', 0)} steps skipped. "
        f"C1: {_claim(study['first_claim'])}."
    )
    yield from _broken_down(study)
    yield ""
    head = (
        "step",
        "z = 0: largest, where",
        "over 50 at tau 1, .7, .5",
        "least level at which 1 % pass 50",
        "least s after a split (tau)",
        "images broken: c = 10, 50, none",
        "worst image",
        "bits/dim",
    )
    yield from table(head, [_look(look) for look in study["looks"]])
    yield ""


def _broken_down(study: Found) -> Iterator[str]:
    if len(study["looks"]) > 1 and broke_down(study["looks"]):
        yield (
            "**Training broke down**: held-out images cost more than before it. The verdict is of "
            "a flow whose forward direction is lost, too."
        )


def _look(look: Found) -> list[str]:
    zero, noise, trip = look["zero"], look["noise"], look["reconstruction"]
    least, tau = min((scale["least"], row["tau"]) for row in noise for scale in row["scales"])
    broken = dict(zip(trip["clips"], trip["broken"], strict=True))
    critical = look["critical_temperature"]
    return [
        f"{look['step']}",
        f"{number(zero['largest'])}, {zero['layer']} channel {zero['channel']}"
        + (", border" if zero["border"] else ""),
        ", ".join(percent(row["over"]) for row in noise if row["tau"] in (1.0, 0.7, 0.5)),
        "above 2" if critical is None else number(critical),
        f"{number(least)} ({tau:g})",
        ", ".join(percent(broken[clip]) for clip in (10.0, 50.0, float("inf"))),
        number(trip["worst"][-1]),
        number(look["bits_per_dim"]),
    ]


def _claim(claim: Found) -> str:
    if claim["holds"] is None:
        return "too few looks"
    if claim["holds"]:
        return f"**holds**, z = 0 passes {LIMIT:g} at the last two looks"
    if claim["crossing"] is None:
        return f"does not hold; slope {number(claim['slope'])} in log-log"
    return (
        f"does not hold; slope {number(claim['slope'])} in log-log, which reaches {LIMIT:g} at "
        f"step {number(claim['crossing'])}"
    )


def _figure5(phase: Found) -> Iterator[str]:
    rows = []
    for when in ("before", "after"):
        if when in phase:
            own = phase[when]["own"]
            rows.append([f"{when} training, own permutations", *map(percent, own["broken"])])
            rows += [
                [f"{when}, redrawn ({draw + 1})", *map(percent, found["broken"])]
                for draw, found in enumerate(phase[when]["redrawn"])
            ]
    if rows:
        clips = [f"c = {clip:g}" for clip in phase["before"]["own"]["clips"]]
        yield "Share of images with a relative error above 0.1:"
        yield ""
        yield from table(("", *clips), rows)
    if "lost_permutations" in phase:
        verdict = "reproduced" if phase["lost_permutations"] else "not reproduced"
        yield ""
        yield f"Figure 5 by lost permutations, {phase['steps']} steps: **{verdict}**."
        yield from _broken_down(phase)


#: What is told of which phases, by title.
PHASES: dict[str, tuple[tuple[str, ...], Callable[..., Iterator[str]]]] = {
    "Is the arithmetic right?": (("right",), _right),
    "How fast is it?": (("fast", "larger"), _fast),
    "Convolutions as matrix products, and XLA's own": (("forms",), _fast),
    "The author's model, faces at 64x64": (("author",), _studies),
    "Remedies, faces at 64x64": (("remedies",), _studies),
    "Lost permutations": (("figure5",), _figure5),
    "CIFAR-10 at 32x32": (("cifar",), _studies),
    "The author's model at the author's rate, 1e-4": (("author-slow",), _studies),
    "Remedies at that rate": (("remedies-slow",), _studies),
    "Lost permutations at that rate": (("figure5-slow",), _figure5),
}


def main(words: Sequence[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="of the JSON of one call or more")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to change")
    options = parser.parse_args(words)
    options.page.write_text(put(options.page.read_text(), results(read(options.folders))))
    print(f"results in {options.page}")


if __name__ == "__main__":
    main()
