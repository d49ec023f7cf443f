"""Watching files: what must have changed for a reload, by watchfiles where it is installed, else by looking often."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.util import cache_from_source
from pathlib import Path

from vivace.program import Program
from vivace.settings import Settings

__all__ = ["Watch"]

_log = logging.getLogger("vivace")

_INCLUDED = ("*.py",)
_EXCLUDED = (".*", "__pycache__", "node_modules", "site-packages", "*.py[co]", "*.sw?", "*~")
_LOOK = 0.3  # seconds between two looks, where nobody tells

Stamp = tuple[int, int, int]  # of a file: when it changed (ns), its size, its inode


@dataclass(frozen=True, slots=True)
class Watch:
    """Which files count.

    folders  are looked through, with all that is in them
    include  patterns of names, or of paths within a folder, that count
    exclude  those that do not, whatever else says; a folder that does not count is not looked through
    delay    seconds without another change, before a change is told
    """

    folders: tuple[Path, ...]
    include: tuple[str, ...] = _INCLUDED
    exclude: tuple[str, ...] = _EXCLUDED
    delay: float = 0.25

    @classmethod
    def of(cls, settings: Settings, program: Program) -> "Watch":
        """Make what the settings ask for."""
        chosen = settings.reload_dir or (program.directory, program.code)
        folders = {Path(folder).resolve() for folder in chosen}
        outer = {folder for folder in folders if not any(above in folders for above in folder.parents)}
        return cls(
            tuple(sorted(folder for folder in outer if folder.is_dir())),
            (*_INCLUDED, *settings.reload_include),
            (*_EXCLUDED, *settings.reload_exclude),
            settings.reload_delay,
        )

    def counts(self, path: str | Path) -> bool:
        """Whether a change of this file is one.

        >>> Watch((Path("/shop"),)).counts("/shop/web/app.py")
        True
        """
        for folder in self.folders:
            with suppress(ValueError):
                inner = Path(path).relative_to(folder)
                walked = [Path(*inner.parts[: n + 1]) for n in range(len(inner.parts))]
                if not any(_fits(part, self.exclude) for part in walked):
                    return _fits(inner, self.include)
        return False

    async def changes(self) -> AsyncIterator[str]:
        """Tell of changes, for ever: the name of a file, and how many more."""
        async for changed in self._batches():
            if wanted := sorted(path for path in changed if self.counts(path)):
                _forget_compiled(wanted)
                more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
                yield f"{_shown(wanted[0])}{more} changed"

    async def _batches(self) -> AsyncIterator[set[str]]:
        try:
            from watchfiles import awatch  # noqa: PLC0415 - optional
        except ImportError:
            pass
        else:
            try:
                # watchfiles gathers changes for as long as they come within a step of each other.
                step = max(int(self.delay * 1000), 1)
                async for changes in awatch(
                    *self.folders, watch_filter=lambda _, path: self.counts(path), step=step, debounce=max(1600, step)
                ):
                    yield {path for _, path in changes}
            except Exception as error:  # noqa: BLE001 - no inotify watches left, for instance: its own error type
                _log.warning("watchfiles failed (%s): looking at the files every %g s instead", error, _LOOK)
            else:
                return
        async for changed in self._looks():
            yield changed

    async def _looks(self) -> AsyncIterator[set[str]]:
        """Look at all files again and again."""
        known = await asyncio.to_thread(self.look)
        while True:
            await asyncio.sleep(_LOOK)
            now = await asyncio.to_thread(self.look)
            if now == known:
                continue
            changed = {path for path, _ in known.items() ^ now.items()}
            while True:
                await asyncio.sleep(self.delay)
                later = await asyncio.to_thread(self.look)
                if later == now:
                    break
                changed |= {path for path, _ in now.items() ^ later.items()}
                now = later
            known = now
            yield changed

    def look(self) -> dict[str, Stamp]:
        """Look at every file that counts."""
        found: dict[str, Stamp] = {}
        for path in self._files():
            with suppress(OSError):  # it has just gone
                stat = os.stat(path)  # noqa: PTH116 - a Path for each file takes longer than all the rest
                found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        return found

    def _files(self) -> Iterator[str]:
        for folder in self.folders:
            for where, inner, names in os.walk(folder):
                within = Path(where).relative_to(folder)
                inner[:] = [name for name in inner if not _fits(within / name, self.exclude)]
                for name in names:
                    if _fits(within / name, self.include) and not _fits(within / name, self.exclude):
                        yield os.path.join(where, name)  # noqa: PTH118


def _forget_compiled(paths: Iterable[str]) -> None:
    """Have changed files compiled anew. Python would take an older byte code for a save of the same second and size."""
    for path in paths:
        if path.endswith(".py"):
            with suppress(OSError, NotImplementedError):
                os.unlink(cache_from_source(path))  # noqa: PTH108


def _fits(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path.name, pattern) or fnmatch(path.as_posix(), pattern.rstrip("/")) for pattern in patterns)


def _shown(path: str) -> str:
    with suppress(ValueError):
        return str(Path(path).relative_to(Path.cwd()))
    return path
