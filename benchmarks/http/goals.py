"""What we want to reach, and whether a run reached it."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from measure import Report
from servers import CORE, HELLO, NULL, VIVACE

URING, EPOLL = f"{VIVACE} on io_uring: ", f"{VIVACE} on epoll: "
CORE_URING = f"{CORE} on io_uring: hello"


@dataclass(frozen=True)
class Goal:
    """A ratio of two rows in one mode."""

    what: str
    mode: str
    row: str
    base: str
    wanted: float


def goals() -> Iterator[Goal]:
    """Yield them all, in the order of the page."""
    null = "the null server"
    yield Goal(f"a plain handler, io_uring / {null}", "P24", URING + HELLO, NULL, 0.70)
    yield Goal(f"a plain handler, epoll / {null}", "P24", EPOLL + HELLO, NULL, 0.70)
    yield Goal(f"a plain handler, io_uring / {null}", "P1", URING + HELLO, NULL, 1.05)
    yield Goal(f"a plain handler, epoll / {null}", "P1", EPOLL + HELLO, NULL, 0.95)
    for name, io in (("io_uring", URING), ("epoll", EPOLL)):
        for mode, least in (("P24", 0.9), ("P1", 0.9)):
            yield Goal(f"`async def` / plain, {name}", mode, io + "async def", io + HELLO, least)
        for mode, least in (("P24", 0.25), ("P1", 0.7)):
            yield Goal(f"`await asyncio.sleep(0)` / plain, {name}", mode, io + "await sleep(0)", io + HELLO, least)
    for case in ("dict as JSON", "/users/{id:int}", "four headers"):
        for mode, least in (("P24", 0.7), ("P1", 0.93)):
            yield Goal(f"{case} / plain", mode, URING + case, URING + HELLO, least)
    yield Goal("POST 1 KiB, echoed / plain", "P1", URING + "POST 1 KiB", URING + HELLO, 0.9)
    for mode, least in (("P24", 0.9), ("P1", 1.0)):
        yield Goal(f"the core without Python / {null}", mode, CORE_URING, NULL, least)


IDLE_BYTES = 256
"""Of user memory, for a connection that waits for its next request."""


def per_cpu(report: Report) -> float:
    """Requests per second of the server's CPU time: what another program takes from the CPU does not count."""
    return float(report["answers"] / report["cpu_seconds"])


def ratios(of: list[Report], to: list[Report]) -> tuple[float, float, float]:
    """Give the median, the least and the greatest ratio within a round, whose two were measured near one another."""
    by_round = [per_cpu(a) / per_cpu(b) for a, b in zip(of, to, strict=False)]
    return statistics.median(by_round), min(by_round), max(by_round)


def table(rounds: dict[str, dict[str, list[Report]]], idle: dict[str, dict[str, float]]) -> Iterator[str]:
    """Write the goals as rows, those that this run has measured."""
    yield "| goal | mode | wanted | **measured** | in single rounds | reached |"
    yield "|---|---|--:|--:|--:|---|"
    for goal in goals():
        of, to = (rounds.get(row, {}).get(goal.mode) for row in (goal.row, goal.base))
        if of and to:
            middle, least, most = ratios(of, to)
            reached = "yes" if middle >= goal.wanted else "**no**"
            apart = f"{least:.2f} to {most:.2f}"
            yield f"| {goal.what} | {goal.mode} | ≥ {goal.wanted:.2f} | **{middle:.2f}** | {apart} | {reached} |"
    for name, report in idle.items():
        if name.startswith(VIVACE):
            each = report["private_each"]
            reached = "yes" if each <= IDLE_BYTES else "**no**"
            yield f"| bytes an idle connection, {name} | | ≤ {IDLE_BYTES} | **{each:.0f}** | | {reached} |"
