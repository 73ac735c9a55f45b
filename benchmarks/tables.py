"""The tables of a report, in Markdown."""

import math
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.rounds import MEASURES
from benchmarks.summary import Summary, spread
from benchmarks.targets import ratio, targets

_MIB = 2**20


def page(summary: Summary) -> str:
    """Everything, from the machine to the verdicts."""
    results = summary.results
    machine = results["machine"]
    warning = ["Tiny models (`--quick`): these figures mean nothing.\n"] if results["quick"] else []
    disturbed, turns = summary.disturbed()
    parts = [
        f"# Benchmark: {results['workload']}\n",
        *warning,
        f"`{results['command']}`, {results['date']}\n",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['platform']}, Python "
        f"{machine['python']}; {_versions(summary)}. float32 matmul peak "
        f"{number(_in(1e9, summary.peak()))} GFLOP/s. Others took more than 5 % of the cores "
        f"during {disturbed} of {turns} turns.\n",
        "## Speed\n\nImages per second: median over rounds (quartiles), and the ratio to the "
        "fastest faithful peer.\n",
        _table(("contender", *MEASURES, "train FLOP/s over peak", "parameters"), _speed(summary)),
        "## Starts\n\nSeconds from process start to the end of the first training step, without "
        "and with compiled programs on disk, and the most resident memory of training in MiB "
        "above the imports; medians.\n",
        _table(
            ("contender", "workload", "cold s", "warm s", "cold MiB", "warm MiB"), _starts(summary)
        ),
        "## Counts of the compiled training step\n\nAs XLA tells them: exact, but it counts the "
        "body of a loop once, whatever its length.\n",
        _table(("contender", "GFLOP", "GB accessed", "temporary MiB"), _counts(summary)),
        "## Contenders\n",
        _table(("contender", "faithful", "how it differs, or its error"), _about(summary)),
        "## Targets\n",
        _table(("target", "of", "measured", "bound", "goal", ""), _targets(summary)),
    ]
    return "\n".join(parts)


def number(value: float | None) -> str:
    """Three digits; a dash where nothing was measured."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    if not rows:
        return "Not measured.\n"
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _speed(summary: Summary) -> Iterator[list[str]]:
    for name, contender in summary.contenders.items():
        cells = [_rate(summary, name, measure) for measure in MEASURES]
        parameters = contender["facts"].get("parameters")
        counted = "-" if parameters is None else f"{parameters:,}"
        yield [name, *cells, number(summary.efficiency(name)), counted]


def _rate(summary: Summary, name: str, measure: str) -> str:
    found = spread(summary.rates(name, measure))
    if found is None:
        return "-"
    text = f"{number(found.median)} ({number(found.low)} .. {number(found.high)})"
    times = ratio(found.median, summary.rate(summary.best_peer(measure), measure))
    return text if times is None else f"{text}, x {times:.2f}"


def _starts(summary: Summary) -> Iterator[list[str]]:
    for name, contender in summary.contenders.items():
        for workload, starts in contender["starts"].items():
            if starts:
                yield [
                    *(name, workload),
                    *(number(summary.start(name, workload, kind)) for kind in ("cold", "warm")),
                    *(number(summary.memory(name, workload, kind)) for kind in ("cold", "warm")),
                ]


def _counts(summary: Summary) -> Iterator[list[str]]:
    for name, contender in summary.contenders.items():
        if counts := contender["facts"].get("counts"):
            sizes = (("flops", 1e9), ("bytes", 1e9), ("temp_bytes", _MIB))
            yield [name, *(number(_in(unit, counts[key])) for key, unit in sizes)]


def _about(summary: Summary) -> Iterator[list[str]]:
    for name, contender in summary.contenders.items():
        note = contender["note"]
        finite = contender["facts"].get("finite_samples")
        if finite is not None and finite < 1:
            note += f"; {1 - finite:.0%} of its samples' values are not finite"
        error = contender["error"]
        yield [name, "yes" if contender["faithful"] else "no", f"**{error}**" if error else note]


def _targets(summary: Summary) -> Iterator[list[str]]:
    for target in targets(summary):
        sign = ">=" if target.at_least else "<="
        bounds = [f"{sign} {number(target.bound)}", number(target.goal)]
        yield [target.what, target.of, number(target.figure), *bounds, target.verdict]


def _versions(summary: Summary) -> str:
    found: dict[str, str] = {}
    for contender in summary.contenders.values():
        found |= contender["versions"]
    return ", ".join(f"{package} {version}" for package, version in sorted(found.items()))


def _in(unit: float, value: float | None) -> float | None:
    return None if value is None else value / unit
