"""SIGUSR1: what the processes are about."""

import os
import re
import signal
import textwrap

import pytest

APP = """
    import asyncio, os, signal
    from vivace import Application
    app = Application()
    @app.get("/")
    def hello():
        return str(os.getpid())
    @app.get("/slow")
    async def slow():
        os.write(1, b"in\\n")
        await asyncio.sleep(60)
"""


@pytest.fixture
def shop(tmp_path, start):
    """Serves the application, with further lines, by `vivace run shop:app`."""

    def begin(*options, lines=(), **env):
        (tmp_path / "shop.py").write_text(textwrap.dedent(APP) + "\n".join(lines) + "\n")
        return start("-m", "vivace", "run", "shop:app", "--port", "0", "--timeout-graceful", "0", *options, **env)

    return begin


def state(process):
    """The next line of the log that tells a state."""
    return process.line("of memory")


class TestAlone:
    def test_the_log_tells_what_was_served_and_what_waits(self, shop):
        process = shop()
        process.ready()
        process.get("/")
        process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        process.popen.stdout.readline()
        process.signal(signal.SIGUSR1)
        told = re.fullmatch(
            r"[0-9: -]+ INFO  SIGUSR1: 2 requests in [0-9.]+ s, ([0-9]+) MiB of memory, [12] open connections?, "
            r"while 1 x GET /slow waited\n",
            state(process),
        )
        assert told
        assert int(told[1]) > 1
        assert process.get("/").status == 200

    @pytest.mark.parametrize(
        ("line", "does"),
        [
            ("signal.signal(signal.SIGUSR1, lambda *_: os.write(2, b'own\\n'))", "own"),
            ("import faulthandler; faulthandler.register(signal.SIGUSR1)", "Current thread"),
        ],
    )
    @pytest.mark.parametrize("options", [[], pytest.param(["-w", "1"], marks=pytest.mark.slow)])
    def test_whoever_deals_with_it_himself_may(self, shop, line, does, options):
        process = shop(*options, lines=[line])
        process.ready()
        pid = int(process.get("/").text)
        os.kill(pid, signal.SIGUSR1)
        assert process.popen.stderr.readline().startswith(does)
        assert int(process.get("/").text) == pid

    def test_there_is_nobody_to_replace(self, shop):
        process = shop()
        process.ready()
        process.signal(signal.SIGUSR2)
        assert "SIGUSR2 replaces workers, and there are none: nothing was done" in process.popen.stderr.readline()
        assert process.get("/").status == 200


@pytest.mark.slow
class TestWorkers:
    def test_the_supervisor_tells_of_all(self, shop):
        process = shop("--workers", "2")
        process.ready()
        process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        process.popen.stdout.readline()
        process.signal(signal.SIGUSR1)
        assert process.popen.stderr.readline().endswith("SIGUSR1: 2 workers\n")
        told = [state(process), state(process)]
        assert [re.search(r"worker (\d) \(pid \d+\): serving, ", line)[1] for line in told] == ["1", "2"]
        assert sum("while 1 x GET /slow waited" in line for line in told) == 1, told
        assert sum("while no handler was running" in line for line in told) == 1

    def test_a_worker_tells_of_itself(self, shop):
        process = shop("--workers", "1")
        process.ready()
        pid = int(process.get("/").text)
        os.kill(pid, signal.SIGUSR1)
        assert " w1 SIGUSR1: 1 request in " in state(process)
        assert int(process.get("/").text) == pid

    def test_nobody_is_hurt_while_he_starts(self, shop):
        line = (
            "os.write(1, b'importing\\n'); os.kill(os.getpid(), signal.SIGUSR1); os.kill(os.getppid(), signal.SIGUSR1)"
        )
        process = shop("--workers", "1", lines=[line])
        process.ready()
        for words in (" starting, 0 requests in ", "w1 SIGUSR1: "):
            if not any(words in text for text in process.before):
                process.line(words)
        assert process.popen.stdout.readline() == "importing\n"
        assert process.get("/").status == 200
        status, out, _ = process.stop()
        assert (status, out) == (0, "")
