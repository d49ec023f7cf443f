"""The supervisor's bookkeeping, where two things meet or something fails half-way: with workers that are made up."""

import asyncio
import os
import signal
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from vivace import supervisor
from vivace.child import Child, Phase
from vivace.program import Program
from vivace.settings import resolve
from vivace.sockets import Tcp, open_listeners

PROGRAM = Program(("true",), ".", {}, "shop:app", ".")


class Worker:
    """As much of a Child as the bookkeeping knows. It serves as soon as it is started."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = os.getpid()
        self.phase = Phase.SERVING
        self.io = "epoll"
        self.settings = None
        self.dismissed = self.left = False
        self.known, self.ready = asyncio.Event(), asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.max_requests: int | None = None
        self.served = 0
        self.looks = 0
        self.known.set()
        self.ready.set()

    @property
    def requests(self) -> int:
        self.looks += 1
        return self.served

    def leave(self, how) -> None:
        del how
        self.dismissed = True
        self.phase = Phase.ENDED
        if not self.ended.done():
            self.ended.set_result(None)


class Bench(supervisor._Supervisor):
    """A supervisor whose workers are made up: the first of `kinds`. The start of the n-th fails once: `fails`."""

    def __init__(self, *kinds: type[Worker], fails: int = 0, **settings: object) -> None:
        super().__init__(PROGRAM, resolve([settings], {}, {}))
        self.started: list[Worker] = []
        self._kinds = list(kinds)
        self._fails = fails

    def _start(self, number: int):
        if len(self.started) + 1 == self._fails:
            self._fails = 0
            raise OSError(11, "Resource temporarily unavailable")
        self.started.append((self._kinds.pop(0) if self._kinds else Worker)(number))
        return self.started[-1]

    def places(self, count: int) -> list[supervisor._Slot]:
        self._slots = [supervisor._Slot(n, Worker(n)) for n in range(1, count + 1)]
        return self._slots

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks)


async def until(condition) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_who_was_replaced_while_the_recycling_waited_is_not_replaced_again(monkeypatch):
    monkeypatch.setattr(supervisor, "_LOOK", 0.0)

    async def run() -> None:
        bench = Bench(max_requests=10)
        (slot,) = bench.places(1)
        old, new = slot.current, Worker(1)
        old.max_requests, old.served, new.max_requests = 10, 10, 10
        await bench._change.acquire()  # a roll
        bench._go(bench._recycle())
        await until(lambda: old.looks)
        slot.current = new
        bench._change.release()
        await until(lambda: new.looks > 1)
        assert (slot.current, bench.started) == (new, [])
        new.served = 10
        await until(lambda: slot.current is not new)
        assert [worker.number for worker in bench.started] == [1]
        await bench.end()

    asyncio.run(run())


def test_when_one_of_several_cannot_be_started_the_others_are_given_up():
    async def run() -> None:
        bench = Bench(fails=3)
        slots = bench.places(3)
        old = [slot.current for slot in slots]
        with pytest.raises(OSError, match="temporarily unavailable"):
            await bench._fill()
        assert [worker.dismissed for worker in bench.started] == [True, True]
        assert [(slot.current, slot.successor) for slot in slots] == [(worker, None) for worker in old]
        await bench._fill()
        assert [slot.current for slot in slots] == bench.started[2:]
        assert all(worker.dismissed for worker in old)
        await bench.end()

    asyncio.run(run())


# In a process of its own: it waits for any child.
AS_PID_1 = """
import asyncio, os, signal, subprocess, sys
from pathlib import Path
from vivace import supervisor
from vivace.child import Child
from vivace.program import Program
from vivace.settings import resolve

ENDED = os.WEXITED | os.WNOWAIT

async def main():
    master = supervisor._Supervisor(Program((sys.executable, "-c", "import time; time.sleep(60)"), ".", {}, "", "."),
                                    resolve([], {}, {}))
    worker = master._start(1)
    reap, looks = Child.reap, []

    def reap_and_die(self):  # the first look comes just too early
        reap(self)
        if not looks:
            os.kill(self.pid, signal.SIGKILL)
            os.waitid(os.P_PID, self.pid, ENDED)
        looks.append(self)

    Child.reap = reap_and_die
    orphan = subprocess.Popen(["true"])
    os.waitid(os.P_PID, orphan.pid, ENDED)
    os.getpid = lambda: 1
    for _ in range(2):
        master._reap()
    print((await worker.ended).status, Path(f"/proc/{orphan.pid}").exists())

asyncio.run(main())
"""


def test_as_the_first_process_of_a_container_it_reaps_orphans_and_knows_how_its_workers_ended(start):
    status, out, err = start("-c", AS_PID_1).end()
    assert (status, out, err) == (0, "-9 False\n", "")


@pytest.mark.parametrize("what", ["blackbox.create", "subprocess.Popen"])
def test_a_worker_that_cannot_be_started_leaves_no_descriptor(monkeypatch, what):
    def fail(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    def held() -> set[Path]:
        return set(Path("/proc/self/fd").iterdir())

    async def run() -> None:
        before = held()
        with pytest.raises(OSError, match="Too many"):
            Child.start(PROGRAM, 1)
        assert held() == before

    monkeypatch.setattr(f"vivace.child.{what}", fail)
    asyncio.run(run())


def test_a_worker_that_cannot_be_given_the_sockets_is_followed_by_one_that_can(monkeypatch, capsys):
    monkeypatch.setattr(supervisor, "_PAUSE", 0.0)

    class Deaf(Worker):
        def __init__(self, number: int) -> None:
            super().__init__(number)
            self.phase, self.settings = Phase.STARTING, resolve([], {}, {})

        def give(self, listeners) -> None:
            raise OSError(109, "Too many references: cannot splice")

    async def run() -> None:
        bench = Bench(Deaf)
        bench._told = True
        (slot,) = bench.places(1)
        slot.current.phase = Phase.ENDED
        bench._revive(slot)
        await until(lambda: slot.current.phase is Phase.SERVING)
        deaf, heard = bench.started
        assert (deaf.dismissed, slot.current, slot.successor) == (True, heard, None)
        await bench.end()

    asyncio.run(run())
    assert capsys.readouterr().err == "vivace: Too many references: cannot splice\n"


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def test_a_worker_that_has_gone_needs_no_sockets_but_who_is_there_cannot_do_without():
    async def run() -> None:
        (listener,) = open_listeners([Tcp("127.0.0.1", 0)])
        with closing(listener):
            worker = Child.start(replace(PROGRAM, arguments=("sleep", "60")), 1)
            with pytest.raises(OSError, match="Invalid argument"):
                worker.give([listener] * 254)
            kill(worker.pid)
            worker.give([listener])
            worker.reap()
            await worker.ended

    asyncio.run(run())


@pytest.mark.slow
def test_no_more_addresses_than_workers_can_share(start, tmp_path):
    (tmp_path / "shop.py").write_text("from vivace import Application\napp = Application()\n")
    bind = ",".join(["127.0.0.1:0"] * 251)
    status, _, err = start("-m", "vivace", "run", "shop:app", "-w", "2", VIVACE_BIND=bind).end()
    advice = "give fewer addresses, or serve without workers"
    assert (status, err) == (3, f"vivace: workers can share 250 listening sockets, not 251: {advice}\n")
    process = start("-m", "vivace", "run", "shop:app", "-w", "2", VIVACE_BIND=bind.partition(",")[2])
    assert process.ready().count("http://") == 250
    assert process.get("/").status == 404
    assert process.stop()[0] == 0
