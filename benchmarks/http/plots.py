"""The pictures of the page: bars and lines as SVG, written by hand so that nothing needs to be installed for them."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from goals import per_cpu
from servers import CORE, VIVACE

if TYPE_CHECKING:
    from page import Results

WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 860, 250, 110, 18, 5, 58
OURS, CORES, NULLS, OTHERS = "#c2410c", "#e0955f", "#8c8c8c", "#3f6fa8"
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"
INK, LINES, PAPER = "#222", "#ddd", "#fff"


def _color(name: str) -> str:
    for start, color in ((VIVACE, OURS), (CORE, CORES), ("null", NULLS)):
        if name.startswith(start):
            return color
    return OTHERS


def _text(x: float, y: float, words: str, size: int = 12, *, anchor: str = "start", color: str = INK) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{color}'>{escape(words)}</text>"
    )


def _svg(width: float, height: float, title: str, subtitle: str, shapes: Sequence[str]) -> str:
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0f} {height:.0f}' {FONT}>",
            f"<title>{escape(title)}</title>",
            f"<rect width='100%' height='100%' fill='{PAPER}'/>",
            _text(16, 26, title, 16),
            _text(16, 44, subtitle, 11, color="#666"),
            *shapes,
            "</svg>\n",
        ]
    )


def _short(value: float) -> str:
    """Write a number as people say it."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def bars(title: str, subtitle: str, values: dict[str, float], *, logarithmic: bool = False) -> str:
    """Draw a bar for each value, as long as it is large, or as its logarithm beyond a tenth of the least."""
    least = min(value for value in values.values() if value > 0) / 3
    most = max(values.values())
    span = WIDTH - LEFT - RIGHT
    shapes = []
    for number, (name, value) in enumerate(values.items()):
        y = TOP + number * (BAR + GAP)
        share = value / most
        if logarithmic:
            share = math.log(max(value, least) / least) / math.log(most / least)
        length = max(share * span, 1)
        shapes += [
            _text(LEFT - 8, y + BAR - 5, name, 12, anchor="end"),
            f"<rect x='{LEFT}' y='{y}' width='{length:.1f}' height='{BAR}' fill='{_color(name)}'/>",
            _text(LEFT + length + 6, y + BAR - 5, _short(value)),
        ]
    return _svg(WIDTH, TOP + len(values) * (BAR + GAP) + 14, title, subtitle, shapes)


# ---- lines -----------------------------------------------------------------------------------------------------------

PLOT_HEIGHT, PLOT_TOP, KEY = 330, 70, 210
LABEL = 14
DASHES = ("", "6 3", "2 3")
OTHER_COLORS = ("#3f6fa8", "#4b8f6b", "#7a5aa6", "#a88a3f", "#5aa6a6", "#a65a7a", "#6b6b6b", "#2f4f4f")


def _apart(wanted: dict[str, float], bottom: float) -> dict[str, float]:
    """Move labels apart that would lie on one another, none below `bottom`."""
    places: dict[str, float] = {}
    y = -math.inf
    for name in sorted(wanted, key=lambda name: wanted[name]):
        y = places[name] = max(wanted[name], y + LABEL)
    y = bottom + LABEL
    for name in reversed(places):
        y = places[name] = min(places[name], y - LABEL)
    return places


def lines(title: str, subtitle: str, labels: Sequence[str], series: dict[str, Sequence[float]], unit: str) -> str:
    """Draw a line for each series over the labels, on a logarithmic scale."""
    every = [value for values in series.values() for value in values]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    width = WIDTH - 90 - KEY

    def x_of(number: int) -> float:
        return 70 + number * width / (len(labels) - 1)

    def y_of(value: float) -> float:
        return PLOT_TOP + PLOT_HEIGHT * (1 - (math.log10(value) - low) / (high - low))

    shapes = []
    for power in range(low, high + 1):
        y = y_of(10**power)
        shapes.append(f"<line x1='70' x2='{70 + width}' y1='{y:.1f}' y2='{y:.1f}' stroke='{LINES}'/>")
        shapes.append(_text(62, y + 4, f"{_short(10**power)}", 11, anchor="end"))
    for number, label in enumerate(labels):
        shapes.append(_text(x_of(number), PLOT_TOP + PLOT_HEIGHT + 20, label, 11, anchor="middle"))
    shapes.append(_text(16, PLOT_TOP - 8, unit, 11, color="#666"))
    places = _apart({name: y_of(values[-1]) for name, values in series.items()}, PLOT_TOP + PLOT_HEIGHT)
    others = 0
    for name, values in series.items():
        color = _color(name)
        dash = "6 3" if name.endswith(" epoll") and color in {OURS, CORES} else ""
        if color == OTHERS:
            color, dash = OTHER_COLORS[others % len(OTHER_COLORS)], DASHES[others // len(OTHER_COLORS)]
            others += 1
        points = " ".join(f"{x_of(number):.1f},{y_of(value):.1f}" for number, value in enumerate(values))
        thick = 3 if name.startswith(VIVACE) else 1.6
        shapes.append(
            f"<polyline points='{points}' fill='none' stroke='{color}' stroke-width='{thick}' "
            f"stroke-dasharray='{dash}'/>"
        )
        y = places[name]
        end = x_of(len(labels) - 1)
        shapes.append(
            f"<line x1='{end:.1f}' y1='{y_of(values[-1]):.1f}' x2='{end + 12:.1f}' y2='{y:.1f}' stroke='{color}'/>"
        )
        shapes.append(_text(end + 16, y + 4, f"{name}: {_short(values[-1])}", 11, color=color))
    return _svg(WIDTH, PLOT_TOP + PLOT_HEIGHT + 40, title, subtitle, shapes)


IN_THE_LATENCY_PLOT = (VIVACE, "uvicorn", "granian", "socketify", "japronto", "fasthttp", "actix", "hyper", "nginx")

# ---- what is drawn ---------------------------------------------------------------------------------------------------


def pictures(results: "Results") -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each picture that there are figures for."""
    for mode in results.modes:
        of_mode = {name: by_mode[mode] for name, by_mode in results.rounds.items() if mode in by_mode}
        if of_mode:
            middle = {name: statistics.median(map(per_cpu, reports)) for name, reports in of_mode.items()}
            ranked = dict(sorted(middle.items(), key=lambda item: -item[1]))
            subtitle = "requests per second of the server's CPU time, median of the rounds; longer is better"
            yield f"throughput-{mode}.svg", bars(f"{mode}: hello and other handlers", subtitle, ranked)
    if results.latency:
        half = {name: next(r for r in reports if r["share"] == 0.5) for name, reports in results.latency.items()}
        keys = {"50 %": "p50_us", "90 %": "p90_us", "99 %": "p99_us", "99.9 %": "p999_us", "longest": "max_us"}
        half = {name: report for name, report in half.items() if any(one in name for one in IN_THE_LATENCY_PLOT)}
        series = {name: [report[key] for key in keys.values()] for name, report in half.items()}
        subtitle = (
            "share of requests answered within so many µs, from when each was due; each server at half of its most"
        )
        yield "latency.svg", lines("Latency at half of the load", subtitle, list(keys), series, "µs")
    if results.idle:
        each = {name: max(report["private_each"], 1.0) for name, report in results.idle.items()}
        ranked = dict(sorted(each.items(), key=lambda item: item[1]))
        subtitle = "bytes of user memory, on a logarithmic scale; shorter is better"
        yield "idle.svg", bars("Memory of an idle keep-alive connection", subtitle, ranked, logarithmic=True)
