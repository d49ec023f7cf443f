#!/usr/bin/env python3
"""Measure vivace beside null servers and peers, and write docs/benchmarks/results.md and its pictures.

    python benchmarks/http/run.py --install-peers              install the peers into build/peers, once
    python benchmarks/http/run.py --rounds 7                   the whole page
    python benchmarks/http/run.py --parts throughput --only vivace,null --rounds 3      a look

vivace is built from this tree for the Python that runs this (or --python). Every server is checked for a right answer,
then loaded in each mode; then comes the next server, and when all have had their turn, the next round: so whatever the
machine does besides falls on all of them alike.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import goals
import page
import peers
import plots
import servers
from built import go_on_with_vivace
from idle import measure_idle, room_for
from measure import MODES, UnfitError, measure, measure_latency
from scaling import measure_workers
from servers import Server

DOCS = servers.ROOT / "docs" / "benchmarks"
DATA = servers.BUILD / "benchmark.json"

# Whose latency and memory are measured: words of names. The others are a variant of one of these, or slower still.
MAIN = (
    *("null epoll", "core on", "vivace on", "uvicorn, bare", "bare RSGI", "aiohttp", "sanic", "socketify", "japronto"),
    *("net/http", "fasthttp", "actix", "hyper", "may_minihttp", "Node", "Bun", "nginx"),
)
WITH_WORKERS = ("vivace on", "uvicorn, bare", "bare RSGI", "nginx")
COSTS = {"start": 0.4, "latency": 8.2, "idle": 3.2, "workers": 3.0}
"""Seconds that starting a server, and each part of it beside the rounds, takes about."""

PARTS = ("throughput", "latency", "idle", "workers")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="of ours; default %(default)s")
    parser.add_argument("--peer-rounds", type=int, default=3, help="of the peers, at most as many; default %(default)s")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each measurement; default %(default)s")
    parser.add_argument("--modes", default="P24,P1", help=f"of {', '.join(MODES)}; default %(default)s")
    parser.add_argument("--parts", default=",".join(PARTS), help="default %(default)s")
    parser.add_argument("--only", default="", help="servers whose name holds one of these words")
    parser.add_argument("--connections", type=int, default=10_000, help="idle ones; default %(default)s")
    parser.add_argument("--workers", default="1,2", help="counts of them; default %(default)s")
    parser.add_argument("--install-peers", action="store_true", help="install peers into build/peers, and end")
    parser.add_argument("--python", type=Path, help="the Python to build vivace for; default: the one that runs this")
    parser.add_argument("--output", type=Path, default=DOCS / "results.md", help="the page; the pictures go beside it")
    parser.add_argument("--redraw", action="store_true", help="write the page of the last run again")
    return parser.parse_args()


def chosen(found: Iterator[Server], only: str) -> list[Server]:
    """Choose the servers by words of their names."""
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    return [server for server in found if not words or any(word in server.name.lower() for word in words)]


def named(found: list[Server], words: tuple[str, ...]) -> list[Server]:
    """Choose those whose name holds one of these words."""
    return [server for server in found if any(word in server.name for word in words)]


class Run:
    """One run: what is measured, and what came of it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.modes: list[str] = options.modes.split(",")
        self.ours = chosen(servers.ours(), options.only)
        self.peers = chosen(peers.peers(), options.only)
        self.every = [*self.ours, *self.peers]
        self.results = page.Results(
            command=shlex.join(["python", "benchmarks/http/run.py", *sys.argv[1:]]),
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            machine=[],
            modes=self.modes,
            versions=list(peers.versions()),
            left_out=peers.left_out(),
        )

    @contextlib.contextmanager
    def _or_left_out(self, server: Server, what: str = "") -> Iterator[None]:
        """Go on without a server that does not start or answers wrongly."""
        try:
            yield
        except UnfitError as error:
            name = f"{server.name}{what}"
            print(f"{name}: left out: {error}", file=sys.stderr, flush=True)
            self.results.left_out[name] = str(error)
        self.results.busy = max(self.results.busy, os.getloadavg()[0])

    def peer_rounds(self) -> set[int]:
        """Spread the rounds of the peers over all rounds."""
        every, few = self.options.rounds, min(self.options.rounds, self.options.peer_rounds)
        return {1 + number * every // few for number in range(few)} if few else set()

    def seconds(self, parts: list[str]) -> float:
        """Estimate how long it takes."""
        each = {"throughput": 0.0}
        for found, rounds in ((self.ours, self.options.rounds), (self.peers, len(self.peer_rounds()))):
            for server in found:
                once = COSTS["start"] + server.warm_up
                once += len(server.cases) * len(self.modes) * (self.options.seconds + 0.15)
                each["throughput"] += once * rounds
        each["latency"] = len(named(self.every, MAIN)) * COSTS["latency"]
        each["idle"] = len(named(self.every, MAIN)) * COSTS["idle"]
        each["workers"] = len(named(self.every, WITH_WORKERS)) * len(self.options.workers.split(",")) * COSTS["workers"]
        return sum(each[part] for part in parts)

    def throughput(self) -> None:
        """Load everybody, round by round."""
        of_peers = self.peer_rounds()
        for number in range(1, self.options.rounds + 1):
            for server in self.every if number in of_peers else self.ours:
                if server.name in self.results.left_out:
                    continue
                with self._or_left_out(server):
                    for row, reports in measure(server, self.modes, self.options.seconds).items():
                        for mode, report in reports.items():
                            self.results.rounds.setdefault(row, {}).setdefault(mode, []).append(report)
                        figures = [
                            f"{mode} {goals.per_cpu(report) / 1000:6.0f} k/s" for mode, report in reports.items()
                        ]
                        print(f"round {number}  {row:<36} {'  '.join(figures)}", flush=True)

    def latency(self) -> None:
        """Load the main ones by a schedule."""
        for server in named(self.every, MAIN):
            if server.name in self.results.left_out:
                continue
            with self._or_left_out(server, ", at fixed rates"):
                reports = self.results.latency[server.name] = measure_latency(server)
                figures = [f"{report['share']:.0%}: {report['p99_us']:.0f}" for report in reports]
                print(f"latency  {server.name:<36} p99 µs at {', '.join(figures)}", flush=True)

    def idle(self) -> None:
        """Let connections lie idle."""
        count = room_for(self.options.connections)
        for server in named(self.every, MAIN):
            if server.name in self.results.left_out or server.name.startswith("null"):
                continue
            with self._or_left_out(server, ", idle connections"):
                report = self.results.idle[server.name] = measure_idle(server, count)
                print(f"idle     {server.name:<36} {report['private_each']:8.0f} bytes", flush=True)

    def workers(self) -> None:
        """Start several workers."""
        for server in named(self.every, WITH_WORKERS):
            for count in map(int, self.options.workers.split(",")):
                if not server.workers or server.name in self.results.left_out:
                    continue
                with self._or_left_out(server, f", {count} workers"):
                    report = measure_workers(server, count, "P1", 1.0)
                    self.results.workers.setdefault(server.name, []).append(report)
                    figure = report["answers_per_second"] / 1000
                    print(f"workers  {server.name:<36} {count}: {figure:.0f} k/s", flush=True)


def write(results: page.Results, output: Path) -> None:
    """Write the page, and the pictures beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page.page(results), encoding="utf-8")
    for name, picture in plots.pictures(results):
        (output.parent / name).write_text(picture, encoding="utf-8")
    print(f"written: {output} and its pictures")


def main() -> None:
    """Build, measure, write."""
    options = arguments()
    if options.redraw:
        write(page.Results(**json.loads(DATA.read_text())), options.output)
        return
    go_on_with_vivace(options.python)
    if unknown := set(options.modes.split(",")) - set(MODES):
        raise SystemExit(f"unknown mode {', '.join(unknown)}: there are {', '.join(MODES)}")
    parts = options.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"unknown part {', '.join(unknown)}: there are {', '.join(PARTS)}")
    if options.install_peers:
        for name, why in peers.install().items():
            print(f"left out: {name}: {why}")
        return
    servers.build()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # not without stopping what was started
    run = Run(options)
    print(f"this takes about {run.seconds(parts) / 60:.0f} minutes", flush=True)
    run.results.machine = list(page.machine(Path(sys.executable)))
    steps: dict[str, Callable[[], Any]] = {part: getattr(run, part) for part in parts}
    for part, step in steps.items():
        began = time.monotonic()
        step()
        print(f"{part} took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)

    DATA.write_text(json.dumps(dataclasses.asdict(run.results)))
    if options.only and options.output == DOCS / "results.md":
        print(f"\n{page.page(run.results)}\nnot written, as only some were measured: --output says where to")
    else:
        write(run.results, options.output)


if __name__ == "__main__":
    main()
