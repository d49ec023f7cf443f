#!/usr/bin/env python3
"""Measure our parser of request heads beside picohttpparser, httparse and llhttp; write docs/benchmarks/kernels.md.

    python benchmarks/kernels/run.py [--output PAGE]

The rivals come from crates.io (picohttpparser-sys, httparse) and PyPI (the source of llhttp, in the package of that
name) into build/rivals, and are built for the CPU that this runs on; ours chooses its instructions when it runs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "http"))

import page
import servers
from built import go_on_with_vivace

HERE = Path(__file__).resolve().parent
RIVALS = servers.BUILD / "rivals"
# CPython knows the filter from 3.11.4 on.
SAFELY: dict[str, str] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
LLHTTP = "9.3.0.0"
NATIVE = ("-O3", "-march=native")
GOAL = 1.3
"""Times as fast as the best of the rivals, on a browser's head."""

PROSE = """\
# Parsing a request head

Nanoseconds a head, medians of 151 short rounds in which all parsers take their turns. Measured {date} by
`python benchmarks/kernels/run.py`, which wrote this page.

{machine}

All parsers find the same fields and keep where names and values lie. Ours also refuses what HTTP forbids where they are
lenient, looks at Host, Content-Length, Transfer-Encoding, Connection and Expect, and knows the method: what a server
must do with a head before it can answer. The rivals are compiled for this CPU, ours is the code of the wheel, on each
instruction set that this CPU has. picohttpparser is the one in the crate picohttpparser-sys 1.0.0, httparse is 1.10.1,
llhttp is 9.3.0, with callbacks that note where things lie.

"""


def must(command: Sequence[str | Path], folder: Path = servers.ROOT, **env: str) -> None:
    """Run a command, or end with its failure."""
    subprocess.run(command, cwd=folder, env=os.environ | env, check=True)


def build() -> Path:
    """Fetch and build the rivals, and the program that calls them all."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise SystemExit("there is no cargo: two of the rivals cannot be built")
    RIVALS.mkdir(parents=True, exist_ok=True)
    environment = {"CARGO_TARGET_DIR": str(RIVALS / "cargo"), "RUSTFLAGS": "-C target-cpu=native"}
    must([cargo, "build", "--locked", "--release", "--quiet"], HERE / "rivals", CFLAGS=" ".join(NATIVE), **environment)
    source = RIVALS / f"llhttp-{LLHTTP}"
    if not source.exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        must([*pip, "--dest", RIVALS, f"llhttp=={LLHTTP}"])
        with tarfile.open(RIVALS / f"llhttp-{LLHTTP}.tar.gz") as archive:
            archive.extractall(RIVALS, **SAFELY)  # type: ignore[arg-type]
    servers.build()
    program = RIVALS / "bench_rivals"
    include = [f"-I{servers.ROOT / 'src'}", f"-I{HERE}", f"-I{source / 'lib'}"]
    libraries = [RIVALS / "cargo" / "release" / "librivals.a", *sorted(servers.ENGINE.glob("src/core/*.a"))]
    sources = [HERE / "bench_rivals.c", *sorted((source / "lib").glob("*.c"))]
    system = ["-lpthread", "-ldl", "-lm"]
    grouped = ["-Wl,--start-group", *libraries, "-Wl,--end-group"]
    must(["cc", "-std=gnu11", *NATIVE, "-w", *include, *sources, *grouped, *system, "-o", program])
    return program


def table(printed: str) -> Iterator[str]:
    """Write the program's table as one of Markdown, with how ours compares."""
    head, *rows = (line.split("\t") for line in printed.splitlines())
    names = head[3:]
    yield f"| head | bytes | fields | {' | '.join(names)} | best of ours / best of theirs |"
    yield f"|---|{'--:|' * (len(names) + 3)}"
    for name, length, fields, *figures in rows:
        ours = min(float(figure) for of, figure in zip(names, figures, strict=True) if of.startswith("vivace"))
        theirs = min(float(figure) for of, figure in zip(names, figures, strict=True) if not of.startswith("vivace"))
        yield f"| {name} | {length} | {fields} | {' | '.join(figures)} | **{theirs / ours:.2f} times as fast** |"
    yield ""
    reached = "reached" if theirs / ours >= GOAL else "not reached"
    yield f"The goal, {GOAL} times as fast as the best of them on a browser's head, is {reached}."
    yield ""


def main() -> None:
    """Build, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=servers.ROOT / "docs" / "benchmarks" / "kernels.md")
    output = parser.parse_args().output
    go_on_with_vivace(None)  # for its pip and meson
    program = build()
    printed = subprocess.run(["taskset", "-c", "0", program], capture_output=True, text=True, check=True).stdout
    machine = "\n".join(line for line in page.machine(Path(sys.executable)) if "Python" not in line)
    machine = machine.replace("; the server on one, the load on another", "; one is used")
    text = PROSE.format(date=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine) + "\n".join(table(printed))
    output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
