"""Several workers: how much more than one they do."""

import json
import os
import subprocess
from typing import Any

from measure import MODES, UnfitError, running
from servers import Server


def places(workers: int) -> tuple[str, list[str], bool]:
    """Give the CPUs of the server, one for each load generator, and whether they must share.

    Where there are fewer than two CPUs a worker, server and load share all there are: such a figure says little about
    the server.
    """
    cpus = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))]
    if len(cpus) >= 2 * workers:
        return ",".join(cpus[:workers]), cpus[workers : 2 * workers], False
    return ",".join(cpus[:workers]), cpus[-workers:], True


def measure_workers(server: Server, workers: int, mode: str, seconds: float) -> dict[str, Any]:
    """Run the server with so many workers, and a load generator for each."""
    connections, depth = MODES[mode]
    server_cpus, load_cpus, shared = places(workers)
    with running(server, server_cpus, workers) as run:
        workload = server.cases[0][1]
        run.check(workload)
        options = ("-c", str(connections), "-d", str(depth), "-t", str(seconds), "-w", str(server.warm_up + 0.2))
        command = run.load_command(workload, *options)
        loads = [
            subprocess.Popen(["taskset", "-c", cpu, *command], stdout=subprocess.PIPE, text=True) for cpu in load_cpus
        ]
        printed = [load.communicate(timeout=seconds + 60)[0] for load in loads]
        if any(load.returncode for load in loads):
            raise UnfitError(f"{workers} workers: {printed}")
    reports = [json.loads(text) for text in printed]
    return {
        "workers": workers,
        "shared": shared,
        "answers_per_second": sum(report["answers"] / report["seconds"] for report in reports),
        "p99_us": max(report["p99_us"] for report in reports),
        "cpu_seconds": max(report["cpu_seconds"] for report in reports),
    }
