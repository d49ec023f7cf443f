"""What the kernel grants this process: CPUs, memory. Containers are told by control groups."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["cpus", "memory_of", "oom_kills"]

_ROOT = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpus(root: Path = _ROOT) -> int:
    """How many CPUs this process may use: those it may run on, and no more than its group's quota, rounded up."""
    count = len(os.sched_getaffinity(0))
    for folder in _groups(root):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            if quota != "max":
                count = min(count, math.ceil(int(quota) / int(period)))
    with suppress(OSError, ValueError):  # version 1
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        if quota_us > 0:
            count = min(count, math.ceil(quota_us / int((root / "cpu" / "cpu.cfs_period_us").read_text())))
    return max(count, 1)


def oom_kills(root: Path = _ROOT) -> int:
    """How many processes the kernel has killed for want of memory so far: in this group, and on the machine."""
    told = [folder / "memory.events" for folder in _groups(root)][:1]
    return sum(_counter(path, "oom_kill") for path in [*told, root / "memory" / "memory.oom_control", _VMSTAT])


_VMSTAT = Path("/proc/vmstat")


def memory_of(pid: int) -> int:
    """Bytes of memory that a process has in use now; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _groups(root: Path) -> Iterator[Path]:
    """Give the folder of this process's group, and those above it."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                folder = root / line[len("0::") :].lstrip("/")
                yield folder
                yield from (above for above in folder.parents if above.is_relative_to(root))


def _counter(path: Path, name: str) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith(name + " "):
                return int(line.split()[1])
    return 0
