"""What a loaded server does, looked at a thousand times a second: stacks, from perf."""

import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from measure import LOAD_CPU, MODES, Report, Running

FREQUENCY = 1999
"""Samples a second of CPU time; odd, so that nothing periodic is hit again and again."""

STACK_BYTES = "6144"
LOOP = "selector_select"
"""The frames above this one are asyncio's and CPython's way to it: always the same."""


@dataclass(frozen=True)
class Frame:
    """One function on a stack, and the file it is from."""

    name: str
    of: str  # "kernel", "engine", "CPython", "libc" or "other"


Stack = tuple[Frame, ...]
"""From the outermost to the innermost."""


class CannotSampleError(Exception):
    """There is no perf, or it may not look."""


def _frame(line: str) -> Frame:
    name, _, place = line.strip().partition(" ")[2].rpartition(" (")
    place = place.rstrip(")")
    name = name.partition("+0x")[0]
    if place.startswith("[kernel"):
        return Frame(name, "kernel")
    if "/_engine." in place:
        return Frame(name, "engine")
    if "python" in Path(place).name:
        return Frame(name if name != "[unknown]" else "(static)", "CPython")
    return Frame(name, "libc" if "libc" in place or place == "inlined" else "other")


def _stacks(text: str) -> Counter[Stack]:
    """Read what `perf script` prints: a line for each frame, the innermost first, an empty one between samples."""
    found: Counter[Stack] = Counter()
    for sample in text.split("\n\n"):
        frames = [_frame(line) for line in sample.splitlines() if line.startswith("\t")]
        if not frames:
            continue
        names = [frame.name for frame in frames]
        if LOOP in names:
            frames = frames[: names.index(LOOP) + 1]
        found[tuple(reversed(frames))] += 1
    return found


def sample(run: Running, mode: str, seconds: float) -> tuple[Counter[Stack], Report]:
    """Load the server and sample it; the stacks, and what the load generator reports of a run without perf."""
    perf = shutil.which("perf")
    if perf is None:
        raise CannotSampleError("perf is not installed (linux-perf on Debian)")
    connections, depth = MODES[mode]
    workload = run.server.cases[0][1]
    shape = ("-c", str(connections), "-d", str(depth))
    report = run.load(workload, seconds, *shape)
    data = run.folder / "perf.data"
    command = run.load_command(workload, *shape, "-t", str(seconds + 1), "-w", "0.2")
    with subprocess.Popen(["taskset", "-c", LOAD_CPU, *command], stdout=subprocess.DEVNULL) as load:
        time.sleep(0.5)
        record = [perf, "record", "--quiet", "--event", "cpu-clock", "--freq", str(FREQUENCY)]
        record += ["--call-graph", f"dwarf,{STACK_BYTES}", "--pid", str(run.process.pid), "--output", str(data)]
        done = subprocess.run([*record, "--", "sleep", str(seconds)], capture_output=True, text=True, check=False)
        load.wait(60)
    if done.returncode:
        raise CannotSampleError(f"perf may not record: {done.stderr.strip()[:300]}")
    script = [perf, "script", "--no-inline", "--input", str(data), "--fields", "ip,sym,dso"]
    return _stacks(subprocess.run(script, capture_output=True, text=True, check=True).stdout), report
