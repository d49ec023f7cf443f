"""SIGUSR2: a server makes room for a new one, started from what is on disk, and nobody's request is lost."""

import os
import re
import signal
import socket
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from load import Load
from waiting import SECONDS, eventually

pytestmark = pytest.mark.slow

APP = """
    import asyncio, os, time
    from vivace import Application
    app = Application()
    @app.get("/")
    def hello():
        return "old"
    @app.get("/who")
    def who():
        return str(os.getppid())
    @app.get("/slow")
    async def slow():
        os.write(1, b"in\\n")
        while not os.path.exists("go"):
            await asyncio.sleep(0.01)
        return "slow"
"""


class Shop:
    """A server of two workers, and those that follow it."""

    def __init__(self, process, folder):
        self.process = process
        self.heirs = []
        self._code = folder / "shop.py"

    def edit(self, old, new):
        self._code.write_text(self._code.read_text().replace(old, new))

    def upgrade(self, pid=None):
        """Ask for a new server; its pid."""
        os.kill(pid or self.process.popen.pid, signal.SIGUSR2)
        found = re.search(r"SIGUSR2: starting the new server \(pid (\d+)\)", self.process.line("SIGUSR2: starting"))
        self.heirs.append(int(found[1]))
        return self.heirs[-1]

    def kill(self):
        for pid in self.heirs:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def is_there(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def shop(tmp_path, start):
    shops = []

    def begin(*options, lines=(), **env):
        (tmp_path / "shop.py").write_text(textwrap.dedent(APP) + "\n".join(lines) + "\n")
        options = options or ("--port", "0")
        process = start("-m", "vivace", "run", "shop:app", "--workers", "2", *options, **env)
        shops.append(Shop(process, tmp_path))
        return shops[-1]

    yield begin
    for each in shops:
        each.kill()


def test_no_request_is_lost(shop, tmp_path):
    path = tmp_path / "shop.sock"
    one = shop("--bind", "127.0.0.1:0", "--bind", f"unix:{path}")
    process = one.process
    process.ready()
    waiting = process.client()
    waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    with Load(process.port) as load:
        eventually(lambda: load.answers["old"] > 100)
        one.edit('"old"', '"new"')
        heir = one.upgrade()
        one.process.line(f"the new server (pid {heir}) serves: this one ends")
        (tmp_path / "go").touch()  # what was in flight is answered by the old one
        assert waiting.answer().text == "slow"
        assert process.popen.wait(SECONDS) == 0
        load.answers.clear()
        eventually(lambda: load.answers["new"] > 100)
        assert process.get("/who").text == str(heir)

        another = one.upgrade(heir)
        one.process.line(f"the new server (pid {another}) serves: this one ends")
        eventually(lambda: not is_there(heir))
        assert process.get("/who").text == str(another)
    assert load.failures[:5] == []
    assert set(load.answers) == {"new"}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))  # the path has outlived two servers
    os.kill(another, signal.SIGTERM)
    eventually(lambda: not is_there(another))
    assert not path.exists()


def test_who_does_not_come_to_serve_changes_nothing(shop):
    one = shop()
    one.process.ready()
    one.edit("import asyncio", "import asyncoi")
    heir = one.upgrade()
    assert "No module named 'asyncoi'" in one.process.line("vivace: ")
    assert f"the new server (pid {heir}) has not come to serve: this one goes on" in one.process.line(
        "has not come to serve"
    )
    eventually(lambda: not is_there(heir))
    assert one.process.get("/who").text == str(one.process.popen.pid)
    one.edit("import asyncoi", "import asyncio")
    heir = one.upgrade()
    one.process.line("serves: this one ends")
    assert one.process.popen.wait(SECONDS) == 0
    assert one.process.get("/who").text == str(heir)


def test_who_is_stopped_takes_the_one_that_starts_with_it(shop):
    one = shop()
    one.process.ready()
    one.edit("import asyncio, os, time", "import asyncio, os, time; os.write(1, b'importing\\n'); time.sleep(60)")
    heir = one.upgrade()
    assert one.process.popen.stdout.readline() == "importing\n"
    one.process.signal(signal.SIGUSR2)
    assert f"SIGUSR2: the new server (pid {heir}) is still starting: nothing was done" in one.process.line("SIGUSR2")
    assert one.process.stop()[0] == 0
    eventually(lambda: not is_there(heir))


def test_systemd_is_told_whom_to_look_at(shop, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(SECONDS)
        manager.bind(str(tmp_path / "notify"))
        one = shop(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(4096).decode().endswith(f"MAINPID={one.process.popen.pid}")
        one.process.ready()
        heir = one.upgrade()
        assert manager.recv(4096).decode().endswith(f"\nMAINPID={heir}")
        assert manager.recv(4096) == f"MAINPID={heir}".encode()
        assert one.process.popen.wait(SECONDS) == 0
        os.kill(heir, signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"


def test_workers_leave_it_to_their_supervisor(shop):
    one = shop()
    one.process.ready()
    children = Path(f"/proc/{one.process.popen.pid}/task/{one.process.popen.pid}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), signal.SIGUSR2)
    for _ in range(20):
        assert one.process.get("/").text == "old"
    status, _, err = one.process.stop()
    assert status == 0
    assert "ERROR" not in err
