"""A flame graph: how much of the time each function was on the stack, as SVG."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from sampling import Frame, Stack

WIDTH, MARGIN, ROW, HEAD, LETTER = 1200, 10, 17, 74, 6.6
LEAST = 0.001
"""Of all samples: what is narrower is left out."""

COLORS = {"engine": "#e8833a", "CPython": "#5b8fc7", "kernel": "#9aa79a", "libc": "#c9a3cf", "other": "#cccccc"}
WORDS = {"engine": "vivace's engine", "CPython": "CPython", "kernel": "Linux", "libc": "libc", "other": "others"}


@dataclass
class Box:
    """A function called from one place, and what it calls."""

    frame: Frame
    count: int = 0
    calls: dict[Frame, "Box"] = field(default_factory=dict)

    def add(self, stack: Stack, count: int) -> None:
        """Add samples whose stack goes on like this."""
        box = self
        box.count += count
        for frame in stack:
            box = box.calls.setdefault(frame, Box(frame))
            box.count += count


def _shade(frame: Frame) -> str:
    """Vary the color a little, so that neighbours can be told apart, and equal functions look equal."""
    base = COLORS[frame.of]
    vary = sum(map(ord, frame.name)) % 5 * 6 - 12
    parts = [min(255, max(0, int(base[at : at + 2], 16) + vary)) for at in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def _draw(box: Box, x: float, depth: int, scale: float, bottom: float) -> Iterator[str]:
    width = box.count * scale
    if box.count * scale < LEAST * WIDTH:
        return
    y = bottom - (depth + 1) * ROW
    share = width / (WIDTH - 2 * MARGIN)
    title = escape(f"{box.frame.name} ({WORDS[box.frame.of]}): {share:.1%}")
    rect = (
        f"<rect x='{x:.1f}' y='{y}' width='{max(width - 0.4, 0.3):.1f}' height='{ROW - 1}' fill='{_shade(box.frame)}'/>"
    )
    fits = int((width - 6) / LETTER)
    name = box.frame.name if len(box.frame.name) <= fits else box.frame.name[: max(fits - 1, 0)] + "…"
    label = f"<text x='{x + 3:.1f}' y='{y + ROW - 5}'>{escape(name)}</text>" if fits >= 4 else ""
    yield f"<g><title>{title}</title>{rect}{label}</g>"
    for frame in sorted(box.calls, key=lambda frame: (frame.of, frame.name)):
        yield from _draw(box.calls[frame], x, depth + 1, scale, bottom)
        x += box.calls[frame].count * scale


def _depth(box: Box, least: float) -> int:
    return 1 + max((_depth(one, least) for one in box.calls.values() if one.count >= least), default=0)


def by_owner(stacks: Mapping[Stack, int]) -> dict[str, float]:
    """Give the share of each owner of code: of the innermost frames."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[stack[-1].of] += count
    return {of: found[of] / found.total() for of in COLORS if found[of]}


def graph(title: str, stacks: Mapping[Stack, int]) -> str:
    """Draw it."""
    root = Box(Frame("all", "other"))
    for stack, count in stacks.items():
        root.add(stack, count)
    scale = (WIDTH - 2 * MARGIN) / root.count
    height = HEAD + (_depth(root, root.count * LEAST)) * ROW + 12
    key, x = [], float(MARGIN)
    for of, share in by_owner(stacks).items():
        key.append(f"<rect x='{x}' y='44' width='12' height='12' fill='{COLORS[of]}'/>")
        key.append(f"<text x='{x + 17}' y='54'>{escape(WORDS[of])} {share:.0%}</text>")
        x += 180
    font = "font-family='DejaVu Sans Mono, monospace' font-size='11'"
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' {font}>",
            f"<title>{escape(title)}</title>",
            "<rect width='100%' height='100%' fill='#fff'/>",
            f"<text x='{MARGIN}' y='26' font-size='16'>{escape(title)}</text>",
            *key,
            *_draw(root, MARGIN, 0, scale, height - 6),
            "</svg>\n",
        ]
    )
