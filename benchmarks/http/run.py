#!/usr/bin/env python3
"""Measure vivace beside null servers and peers, round by round, and write docs/benchmarks/results.md.

    python benchmarks/http/run.py [--rounds 5] [--seconds 2] [--modes P24,P1] [--only vivace,null] [--install-peers]

Every server is checked for a right answer, then loaded in each mode; then comes the next server, and when all have had
their turn, the next round: so whatever the machine does besides falls on all of them alike.
"""

import argparse
import os
import sys
from pathlib import Path

import page
import servers
from measure import MODES, UnfitError, measure

RESULTS = servers.ROOT / "docs" / "benchmarks" / "results.md"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--modes", default="P24,P1", help=f"of {', '.join(MODES)}")
    parser.add_argument("--only", default="", help="servers whose name holds one of these words")
    parser.add_argument("--install-peers", action="store_true", help="install peers into build/peers first")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page; with --only it is printed unless given")
    return parser.parse_args()


def chosen(only: str) -> list[servers.Server]:
    """Choose the servers by words of their names."""
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    every = [*servers.ours(), *servers.peers()]
    return [server for server in every if not words or any(word in server.name.lower() for word in words)]


def main() -> None:
    """Build, measure, write."""
    options = arguments()
    modes = options.modes.split(",")
    if unknown := set(modes) - set(MODES):
        raise SystemExit(f"unknown mode {', '.join(unknown)}: there are {', '.join(MODES)}")
    if options.install_peers:
        servers.install_peers()
    servers.build()

    rounds: page.Rounds = {}
    left_out: dict[str, str] = {}
    busy = 0.0
    for number in range(1, options.rounds + 1):
        for server in chosen(options.only):
            if server.name in left_out:
                continue
            try:
                reports = measure(server, modes, options.seconds)
            except UnfitError as error:
                print(f"{server.name}: left out: {error}", file=sys.stderr)
                left_out[server.name] = str(error)
                continue
            for mode, report in reports.items():
                rounds.setdefault(server.name, {}).setdefault(mode, []).append(report)
            figures = "  ".join(f"{mode} {page.per_cpu(report) / 1000:6.0f} k/s" for mode, report in reports.items())
            print(f"round {number}  {server.name:<28} {figures}", flush=True)
            busy = max(busy, os.getloadavg()[0])

    text = page.page(rounds, modes, options.seconds, busy, left_out)
    print(f"\n{text}")
    if not options.only or options.output != RESULTS:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
        print(f"written to {options.output}")


if __name__ == "__main__":
    main()
