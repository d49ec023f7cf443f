"""A supervisor and its workers: who serves, what becomes of those who die, and that nobody's request is lost."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from load import Load
from waiting import SECONDS, eventually

pytestmark = pytest.mark.slow

# os.write: a print() of several processes into one pipe is torn.
APP = """
    import asyncio, ctypes, os, sys, threading, time
    from vivace import Application
    app = Application()
    @app.on_shutdown
    def bye():
        os.write(1, b"bye\\n")
    @app.get("/")
    def hello():
        return str(os.getpid())
    @app.get("/slow")
    async def slow():
        os.write(1, b"in\\n")
        await asyncio.sleep(float(os.environ.get("SLEEP", 0.5)))
        return "slow"
    @app.get("/gate")
    async def gate():
        os.write(1, b"in\\n")
        while not os.path.exists("open"):
            await asyncio.sleep(0.01)
        return "through"
    @app.get("/block")
    def block():
        os.write(1, b"in\\n")
        time.sleep(60)
    @app.get("/crash")
    def crash():
        ctypes.string_at(0)
    @app.get("/later/{how}")
    async def later(how):
        await asyncio.sleep(0.01)
        ctypes.string_at(0)
    @app.get("/exit")
    def leave():
        sys.exit(9)
"""


@pytest.fixture
def shop(tmp_path, start):
    """Serves the application by `vivace run shop:app`; starts further lines with it."""

    def begin(*options, lines=(), **env):
        (tmp_path / "shop.py").write_text(textwrap.dedent(APP) + "\n".join(lines) + "\n")
        return start("-m", "vivace", "run", "shop:app", "--port", "0", *options, **env)

    return begin


@pytest.fixture
def script(tmp_path, start):
    """Starts the application in a script that ends with the given lines."""

    def begin(*lines, **env):
        (tmp_path / "shop.py").write_text(textwrap.dedent(APP) + "\n".join(lines) + "\n")
        return start("shop.py", **env)

    return begin


def workers(process):
    """The processes that serve, by number."""
    found = {}
    for pid in Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split():
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just gone
        if number := re.match(r"vivace: worker (\d+) ", title):
            found.setdefault(int(number[1]), []).append(int(pid))
    return found


def pids_that_answer(process, count, tries=200):
    found = set()
    for _ in range(tries):
        found.add(process.get("/").text)
        if len(found) == count:
            break
    return {int(pid) for pid in found}


class TestStart:
    def test_all_workers_serve_on_one_port(self, shop):
        process = shop("--workers", "3")
        assert "(3 workers, loop " in process.ready()
        assert pids_that_answer(process, 3) == {pid for pids in workers(process).values() for pid in pids}
        status, out, err = process.stop()
        assert (status, out) == (0, "bye\n" * 3)
        assert "ERROR" not in err

    def test_by_a_script(self, script):
        process = script("app.run(port=0, workers=2)", "print('after', flush=True)")
        assert "(2 workers, " in process.ready()
        assert sorted(workers(process)) == [1, 2]
        assert process.stop()[:2] == (0, "bye\nbye\nafter\n")

    def test_a_script_that_goes_elsewhere(self, tmp_path, start):
        (tmp_path / "inner").mkdir()
        end = "\nos.chdir(os.path.dirname(os.path.abspath(__file__)))\napp.run(port=0, workers=2)\n"
        (tmp_path / "inner" / "shop.py").write_text(textwrap.dedent(APP) + end)
        process = start("inner/shop.py")
        assert "(2 workers, " in process.ready()
        assert process.stop()[0] == 0

    def test_the_second_run_of_a_script(self, script):
        process = script(
            "app.run(port=0, workers=2)",
            "other = Application()",
            "other.get('/')(lambda: 'other')",
            "other.run(port=0, workers=2)",
        )
        process.ready()
        process.signal(signal.SIGTERM)
        process.ready()
        assert process.get("/").text == "other"
        assert process.stop()[:2] == (0, "bye\nbye\n")

    def test_a_module_that_asks_for_them_itself(self, shop):
        process = shop(lines=["app.run(workers=2, timeout_graceful=3)"])
        assert "(2 workers, " in process.ready()
        assert process.stop()[0] == 0

    @pytest.mark.parametrize(
        ("options", "env", "count"),
        [
            ([], {"WEB_CONCURRENCY": "2"}, 2),
            (["--workers", "3"], {"WEB_CONCURRENCY": "2"}, 3),
            ([], {"VIVACE_WORKERS": "3", "WEB_CONCURRENCY": "2"}, 3),
            (["-w", "2"], {}, 2),
            (["--worker-num=2"], {}, 2),
        ],
    )
    def test_how_many(self, shop, options, env, count):
        process = shop(*options, **env)
        assert f"({count} workers, " in process.ready()
        assert len(workers(process)) == count
        assert process.stop()[0] == 0

    def test_auto_is_one_for_each_cpu(self, shop):
        from vivace.cgroup import cpus

        process = shop("-w", "auto")
        assert f"({cpus()} worker" in process.ready()
        process.stop()

    @pytest.mark.parametrize("options", [("--loop", "uvloop"), ("--io", "epoll")])
    def test_other_loops(self, shop, options):
        if "uvloop" in options:
            pytest.importorskip("uvloop")
        process = shop("-w", "2", *options, SLEEP="0.05", VIVACE_IO="auto")
        assert (options[1] if options[1] == "epoll" else "loop uvloop") in process.ready()
        assert len(pids_that_answer(process, 2)) == 2
        assert process.get("/slow").text == "slow"
        process.client().send("GET /later/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "while GET /later/{how} was running" in process.line("was killed by SIGSEGV")
        process.line("serves in its place")
        process.signal(signal.SIGHUP)
        process.line("all workers are new")
        assert process.stop()[0] == 0

    def test_names_of_the_processes(self, shop):
        process = shop("-w", "2")
        process.ready()
        title = Path(f"/proc/{process.popen.pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        assert title == "vivace: master [shop:app]"
        assert Path(f"/proc/{process.popen.pid}/comm").read_text() == "vivace master\n"
        pid = workers(process)[2][0]
        assert Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0") == b"vivace: worker 2 [shop:app]"
        process.stop()

    def test_inside_a_thread_it_is_refused(self, script):
        process = script(
            "def work():",
            "    try:",
            "        app.run(port=0, workers=2)",
            "    except RuntimeError as error:",
            "        print(error)",
            "thread = threading.Thread(target=work)",
            "thread.start()",
            "thread.join()",
        )
        assert process.end()[1] == "several workers, and reload, need the main thread\n"

    def test_a_program_from_nowhere_is_refused(self):
        told = subprocess.run(
            [sys.executable, "-"],
            input=textwrap.dedent(APP) + "\napp.run(port=0, workers=2)\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert told.returncode == 1
        assert told.stderr.endswith("need a program that can be started again: a file or a module\n")


class TestSharing:
    def test_who_comes_while_a_worker_is_stuck_is_served_by_the_other(self, shop):
        """The kernel may have told the one that is stuck: the other one looks by itself, once a second."""
        process = shop("--workers", "2", "--timeout-graceful", "0")
        process.ready()
        process.client().send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        answered = {process.get("/").text for _ in range(6)}
        assert len(answered) == 1
        assert process.stop()[0] == 5


class TestFailingStart:
    @pytest.mark.parametrize("count", ["1", "2"])
    def test_an_application_that_cannot_be_imported(self, shop, count):
        status, _, err = shop("-w", count, lines=["import nothing_of_the_kind"]).end()
        assert status == 4
        assert err.count("nothing_of_the_kind") <= 4
        assert err.endswith("No module named 'nothing_of_the_kind'\n")

    @pytest.mark.parametrize("count", ["1", "2"])
    def test_a_start_up_hook_that_fails(self, shop, count):
        lines = ["@app.on_startup", "def fail():", "    raise RuntimeError('no database')"]
        status, out, err = shop("-w", count, lines=lines).end()
        assert (status, out) == (3, "")
        assert err.endswith("vivace: start-up failed: RuntimeError: no database\n")
        assert err.count("Traceback") == 1

    def test_only_one_of_them_fails(self, shop, tmp_path):
        lines = [
            "@app.on_startup",
            "def fail():",
            "    try:",
            "        os.close(os.open('first', os.O_CREAT | os.O_EXCL))",
            "    except FileExistsError:",
            "        raise RuntimeError('taken') from None",
        ]
        status, _, err = shop("-w", "2", lines=lines).end()
        assert status == 3
        assert "vivace: start-up failed: RuntimeError: taken\n" in err
        assert " serving " not in err

    def test_a_worker_that_is_killed_while_it_starts(self, shop):
        status, _, err = shop("-w", "2", lines=["os.kill(os.getpid(), 9)"]).end()
        assert status == 3
        assert err.count("was killed by SIGKILL") == 1
        assert err.rstrip().endswith("while it was starting")

    def test_an_address_in_use(self, shop):
        first = shop()
        first.ready()
        status, _, err = shop("-w", "2", "--port", str(first.port)).end()
        assert status == 3
        assert err.startswith(f"vivace: cannot listen on 127.0.0.1:{first.port}: address already in use")
        assert err.count("\n") == 1

    def test_a_wrong_setting_of_the_module(self, shop):
        status, _, err = shop("-w", "2", VIVACE_BACKLOG="many").end()
        assert (status, err.count("\n")) == (2, 1)


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_requests_in_flight_end(self, shop, number, tmp_path):
        process = shop("-w", "2")
        process.ready()
        client = process.client()
        client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        process.signal(number)
        assert process.popen.stdout.readline() == "bye\n"  # of the other one
        (tmp_path / "open").touch()
        answer = client.answer()
        assert (answer.text, answer.headers["connection"]) == ("through", "close")
        assert process.end()[:2] == (0, "bye\n")

    def test_of_the_whole_group_as_a_terminal_and_systemd_do_it(self, shop):
        process = shop("-w", "2", SLEEP="1")
        process.ready()
        client = process.client()
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        everybody = [process.popen.pid, *(pid for pids in workers(process).values() for pid in pids)]
        for _ in range(3):
            for pid in everybody:
                os.kill(pid, signal.SIGINT if pid != process.popen.pid else 0)
        for pid in everybody:
            os.kill(pid, signal.SIGTERM)
        assert client.answer().text == "slow"
        assert process.end()[:2] == (0, "bye\nbye\n")

    def test_the_deadline_ends_with_5(self, shop):
        process = shop("-w", "2", "--timeout-graceful", "100ms", SLEEP="30")
        process.ready()
        process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        status, out, err = process.stop()
        assert (status, out) == (5, "bye\nbye\n")
        assert "1 connection was cut" in err

    def test_a_worker_that_does_not_listen_is_killed(self, shop):
        process = shop("-w", "2", "--timeout-graceful", "100ms")
        process.ready()
        process.client().send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        status, out, err = process.stop()
        assert status == 5
        assert out in ("bye\n", "")  # of the other one, if it has ended in that time
        assert "did not end in 2.1 s and was killed" in err

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
    def test_at_once(self, shop, number):
        process = shop("-w", "2", SLEEP="30")
        process.ready()
        process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        if number == signal.SIGINT:
            process.signal(signal.SIGTERM)
            process.line("SIGTERM: stopping")
            time.sleep(0.5)
        process.signal(number)
        status, out, err = process.end()
        assert status == 128 + number
        assert out.count("bye") <= 1  # of the worker that had nothing to do, and had gone before
        assert f"signal ({signal.Signals(number).name})" in err

    def test_while_they_start(self, shop):
        process = shop("-w", "2", lines=["os.write(1, b'importing\\n')", "time.sleep(60)"])
        assert process.popen.stdout.readline() == "importing\n"
        assert process.stop()[0] == 0

    def test_workers_whose_supervisor_dies_end_in_good_order(self, shop):
        process = shop("-w", "2", SLEEP="1")
        process.ready()
        client = process.client()
        client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        process.signal(signal.SIGKILL)
        assert client.answer().text == "slow"
        assert process.end()[1] == "bye\nbye\n"  # that is the end of stdout: they have gone

    def test_workers_whose_supervisor_dies_while_they_start_serve_nobody(self, script, tmp_path):
        process = script(
            "os.write(1, b'importing\\n')",
            "while '_VIVACE_WORKER' in os.environ and not os.path.exists('killed'):",
            "    time.sleep(0.01)",
            "app.run(port=0, workers=2)",
        )
        assert process.popen.stdout.readline() == "importing\n"  # the supervisor's own
        assert process.popen.stdout.readline() == "importing\n"
        process.signal(signal.SIGKILL)
        process.popen.wait()
        (tmp_path / "killed").touch()
        assert process.end()[1:] == ("", "")  # the end of stdout: the worker has gone


class TestDeath:
    def test_of_a_worker_under_load_costs_only_what_it_was_doing(self, shop):
        process = shop("-w", "3")
        process.ready()
        victim = workers(process)[2][0]
        with Load(process.port, fresh=2, kept=2) as load:
            eventually(lambda: sum(load.answers.values()) > 100)
            os.kill(victim, signal.SIGKILL)
            killed = time.monotonic()
            eventually(lambda: workers(process).get(2, [victim]) != [victim])
            eventually(lambda: str(workers(process).get(2, [0])[0]) in load.answers)
            replaced = time.monotonic() - killed
            before = sum(load.answers.values())
            eventually(lambda: sum(load.answers.values()) > before + 100)
        assert len(load.failures) <= 4  # one for each client at most
        assert replaced < SECONDS
        log = process.line("was killed by SIGKILL")
        assert f"worker 2 (pid {victim})" in log
        assert re.search(r" after \d+\.\d s and [1-9]\d* requests, with at most [1-9]\d* MiB of memory, ", log)
        assert "serves in its place" in process.line("worker 2 ")
        assert process.stop()[0] == 0

    def test_the_log_names_the_route_that_was_running(self, shop):
        process = shop("-w", "2")
        process.ready()
        process.client().send("GET /crash HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "was killed by SIGSEGV" in (log := process.line("was killed by"))
        assert "while GET /crash was running; 1 open connection" in log
        process.stop()

    def test_and_a_route_that_went_on_later(self, shop):
        process = shop("-w", "2")
        process.ready()
        process.client().send("GET /later/x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "while GET /later/{how} was running" in process.line("was killed by SIGSEGV")
        process.stop()

    def test_and_those_that_waited(self, shop):
        process = shop("-w", "2", "--max-requests", "1000000", SLEEP="30")
        process.ready()
        clients = [process.client() for _ in range(3)]
        for client in clients:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        for _ in range(6):
            assert process.popen.stdout.readline() == "in\n"
        pids_that_answer(process, 2)  # both have come round since
        for pids in workers(process).values():
            os.kill(pids[0], signal.SIGABRT)
        told = [process.line("was killed by SIGABRT") for _ in range(2)]
        counts = [int(found[1]) for log in told if (found := re.search(r"while (\d) x GET /slow waited", log))]
        assert sum(counts) == 6
        process.stop()

    def test_an_idle_worker_was_running_nothing(self, shop):
        process = shop("-w", "2")
        process.ready()
        pids_that_answer(process, 2)
        assert process.get("/").status == 200
        os.kill(workers(process)[1][0], signal.SIGABRT)
        assert "while no handler was running" in process.line("was killed by SIGABRT")
        process.stop()

    def test_a_handler_that_exits_ends_its_worker_only(self, shop):
        process = shop("-w", "2")
        process.ready()
        process.client().send("GET /exit HTTP/1.1\r\nHost: a\r\n\r\n")
        assert "exited with status 9" in process.line("exited with")
        process.line("serves in its place")
        assert process.stop()[0] == 0

    def test_who_cannot_be_started_again_is_not_tried_in_a_hot_loop(self, shop, tmp_path):
        process = shop("-w", "1", "--max-requests", "1000000")
        process.ready()
        count = tmp_path / "count"
        with (tmp_path / "shop.py").open("a") as file:
            file.write("open('count', 'a').write('x')\nraise RuntimeError('broken meanwhile')\n")
        os.kill(workers(process)[1][0], signal.SIGKILL)
        status, _, err = process.end()
        assert status == 4
        assert "no worker serves, and none can be started" in err
        assert 2 <= len(count.read_text()) <= 6


class TestReplacing:
    def test_sighup_rolls_to_the_new_code_and_loses_nothing(self, shop, tmp_path):
        process = shop("-w", "3")
        process.ready()
        before = {pid for pids in workers(process).values() for pid in pids}
        with Load(process.port) as load:
            eventually(lambda: len(load.answers) == 3)
            text = (tmp_path / "shop.py").read_text()
            (tmp_path / "shop.py").write_text(text.replace("str(os.getpid())", "'new'"))
            process.signal(signal.SIGHUP)
            process.line("all workers are new")
            eventually(lambda: load.answers["new"] > 100)
            eventually(lambda: not before & {pid for pids in workers(process).values() for pid in pids})
            load.answers.clear()
            eventually(lambda: load.answers["new"] > 100)
        assert load.failures[:5] == []
        assert set(load.answers) == {"new"}
        assert process.stop()[0] == 0

    def test_nothing_is_left_of_those_that_were_replaced(self, shop):
        process = shop("-w", "2")
        process.ready()

        def held():
            return len(list(Path(f"/proc/{process.popen.pid}/fd").iterdir()))

        def children():
            return Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()

        before = held()
        for _ in range(3):
            process.signal(signal.SIGHUP)
            process.line("all workers are new")
            eventually(lambda: len(children()) == 2)
        eventually(lambda: held() == before)
        assert process.stop()[0] == 0

    def test_sighup_with_broken_code_leaves_the_old(self, shop, tmp_path):
        process = shop("-w", "2")
        process.ready()
        before = workers(process)
        (tmp_path / "shop.py").write_text("def broken(:\n")
        process.signal(signal.SIGHUP)
        process.line("the old workers go on")
        assert workers(process) == before
        assert process.get("/").status == 200
        assert process.stop()[0] == 0

    def test_max_requests(self, shop):
        process = shop("-w", "2", "--max-requests", "300", "--max-requests-jitter", "50")
        process.ready()
        before = {pid for pids in workers(process).values() for pid in pids}
        with Load(process.port) as load:
            eventually(lambda: len(set(load.answers)) >= 5)
        assert load.failures[:5] == []
        assert re.search(
            r"worker \d \(pid \d+\) has served \d{3,} requests: a new one takes over", process.line("has served")
        )
        assert {str(pid) for pid in before} < set(load.answers)
        assert process.stop()[0] == 0

    def test_max_rss(self, shop):
        lines = [
            "kept = []",
            "@app.get('/more')",
            "def more():",
            "    kept.append(b'x' * 80_000_000)",
            "    return 'ok'",
        ]
        process = shop("--max-rss", "90MiB", lines=lines)
        process.ready()
        first = workers(process)[1]
        assert process.get("/").text == str(first[0])
        time.sleep(1.2)
        assert workers(process)[1] == first
        assert process.get("/more").text == "ok"
        assert "MiB of memory: a new one takes over" in process.line("takes over")
        eventually(lambda: workers(process)[1] != first and len(workers(process)[1]) == 1)
        assert process.stop()[0] == 0

    def test_one_more_and_one_less(self, shop):
        process = shop("-w", "1", "--max-requests", "1000000")
        process.ready()
        process.signal(signal.SIGTTIN)
        process.line("worker 2 ", "serves in its place")
        assert len(workers(process)) == len(pids_that_answer(process, 2)) == 2
        process.signal(signal.SIGTTOU)
        eventually(lambda: len(workers(process)) == 1)
        process.signal(signal.SIGTTOU)
        process.line("SIGTTOU: 1 worker")
        assert process.get("/").status == 200
        assert process.stop()[0] == 0

    def test_a_worker_that_cannot_be_recycled_does_not_hold_up_the_mended_code(self, script, tmp_path):
        process = script(
            "import vivace.supervisor",
            "vivace.supervisor._PAUSE = 3600",
            "app.run(port=0, workers=1, max_requests=5)",
        )
        process.ready()
        text = (tmp_path / "shop.py").read_text()
        (tmp_path / "shop.py").write_text("raise RuntimeError('broken meanwhile')\n")
        for _ in range(5):
            assert process.get("/").status == 200
        process.line("a new one takes over")
        process.line("broken meanwhile")
        (tmp_path / "shop.py").write_text(text.replace("str(os.getpid())", "'new'"))
        process.signal(signal.SIGHUP)
        process.line("all workers are new")
        eventually(lambda: process.get("/").text == "new")
        assert process.stop()[0] == 0
