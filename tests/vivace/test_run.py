"""`app.run()` and the end of a server: scripts, signals, exit statuses."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import textwrap
from contextlib import ExitStack, closing

import pytest
from waiting import eventually

# os.write: a print() of several processes into one pipe is torn.
APP = """
    import asyncio, os, sys, time
    from vivace import Application
    app = Application()
    @app.on_shutdown
    def bye():
        os.write(1, b"bye\\n")
    @app.get("/")
    def hello():
        return "Hello world!"
    @app.get("/slow")
    async def slow():
        print("in", flush=True)
        await asyncio.sleep(float(os.environ.get("SLEEP", 0.5)))
        return "slow"
    @app.get("/gate")
    async def gate():
        print("in", flush=True)
        while not os.path.exists("open"):
            await asyncio.sleep(0.01)
        return "through"
    @app.get("/block")
    def block():
        print("in", flush=True)
        time.sleep(60)
    @app.get("/exit")
    def leave():
        sys.exit(9)
    @app.get("/debug")
    def fail():
        raise KeyError("shown")
"""


@pytest.fixture
def script(tmp_path, start):
    """Starts an application in a script that ends with the given lines."""

    def begin(*lines: str, **env: str):
        (tmp_path / "shop.py").write_text(textwrap.dedent(APP) + "\n".join(lines) + "\n")
        return start("shop.py", **env)

    return begin


def io_of(loop):
    """A ring waits in our own loop only, whatever this run of the tests is for."""
    return {"VIVACE_IO": "auto"} if loop == "uvloop" else {}


def test_run_serves_and_ends_with_0(script):
    process = script("app.run(port=0)", "print('after')")
    assert process.get("/").text == "Hello world!"
    assert process.stop()[:2] == (0, "bye\nafter\n")


def test_the_line_says_where_and_how(script):
    process = script("app.run('localhost', 0)")
    line = process.ready()
    assert line.startswith("vivace 0.1.0 serving http://127.0.0.1:")
    assert "(1 worker, loop asyncio, io " in line
    assert ", simd " in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_requests_in_flight_end(script, tmp_path, number):
    process = script("app.run(port=0)")
    process.ready()
    client, idle = process.client(), process.client()
    assert idle.request("/").status == 200
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    process.signal(number)
    assert idle.at_end()
    (tmp_path / "open").touch()
    answer = client.answer()
    assert (answer.text, answer.headers["connection"]) == ("through", "close")
    assert process.end()[:2] == (0, "bye\n")


def test_the_deadline_ends_with_5_and_says_how_many(script):
    process = script("app.run(port=0, timeout_graceful=0.1)", SLEEP="30")
    process.ready()
    client = process.client()
    client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    status, out, err = process.stop()
    assert (status, out) == (5, "bye\n")
    assert "timeout_graceful of 0.1 s has passed: 1 connection was cut" in err


@pytest.mark.parametrize(("path", "loop"), [("/slow", "asyncio"), ("/block", "asyncio"), ("/slow", "uvloop")])
def test_a_second_signal_ends_at_once(script, path, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = script(f"app.run(port=0, loop={loop!r})", SLEEP="30", **io_of(loop))
    process.ready()
    process.client().send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    process.signal(signal.SIGTERM)
    assert not ended(process, 0.5)
    for _ in range(60):  # what comes within a moment of the first one is its echo, and that may have come late
        process.signal(signal.SIGINT)
        if ended(process, 0.5):
            break
    status, out, err = process.end()
    assert (status, out) == (128 + signal.SIGINT, "")
    assert "second signal (SIGINT)" in err


def test_a_signal_that_comes_twice_at_once_counts_once(script, tmp_path):
    process = script("app.run(port=0)")
    process.ready()
    client = process.client()
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):  # it finds two, and no time between
        process.signal(number)
    assert "stopping" in process.popen.stderr.readline()
    (tmp_path / "open").touch()
    assert client.answer().text == "through"
    client.close()
    assert process.end()[0] == 0


def test_sighup_without_workers_is_told_and_does_nothing(script):
    process = script("app.run(port=0)")
    process.ready()
    process.signal(signal.SIGHUP)
    assert "SIGHUP replaces workers, and there are none: nothing was done" in process.popen.stderr.readline()
    assert process.get("/").text == "Hello world!"
    assert process.stop()[:2] == (0, "bye\n")


def test_whoever_deals_with_sighup_himself_may(script):
    process = script(
        "import signal", "signal.signal(signal.SIGHUP, lambda *_: print('own', flush=True))", "app.run(port=0)"
    )
    process.ready()
    process.signal(signal.SIGHUP)
    assert process.popen.stdout.readline() == "own\n"
    assert process.stop()[0] == 0


IN_A_TERMINAL = """
import os, signal, sys
os.setsid()
os.open(sys.argv[1], os.O_RDWR)         # the first terminal that a session opens is its own
if sys.argv[2] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@pytest.fixture
def terminal():
    """A terminal's name, and what takes the terminal away."""
    with ExitStack() as stack:
        ours, its = os.openpty()
        stack.callback(os.close, its)
        away = stack.enter_context(closing(os.fdopen(ours, "rb", buffering=0)))
        yield os.ttyname(its), away.close


@pytest.mark.parametrize("workers", [[], ["-w", "2"]])
def test_a_server_ends_with_its_terminal(start, tmp_path, terminal, workers):
    (tmp_path / "shop.py").write_text(textwrap.dedent(APP))
    name, hang_up = terminal
    process = start("-c", IN_A_TERMINAL, name, "", "-m", "vivace", "run", "shop:app", "--port", "0", *workers)
    process.ready()
    hang_up()
    status, out, err = process.end()
    assert (status, set(out.split())) == (0, {"bye"})
    assert "SIGHUP: stopping" in err


@pytest.mark.parametrize("workers", [[], ["-w", "1"]])
def test_with_nohup_it_outlives_its_terminal(start, tmp_path, terminal, workers):
    (tmp_path / "shop.py").write_text(textwrap.dedent(APP))
    name, hang_up = terminal
    process = start("-c", IN_A_TERMINAL, name, "nohup", "-m", "vivace", "run", "shop:app", "--port", "0", *workers)
    process.ready()
    hang_up()
    if workers:
        process.line("all workers are new")
    assert process.get("/").text == "Hello world!"
    status, _, err = process.stop()
    assert (status, "SIGHUP: stopping" in err) == (0, False)


def ended(process, seconds):
    try:
        process.popen.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_signal_during_start_up_ends_it(script):
    process = script(
        "@app.on_startup",
        "async def connect():",
        "    print('connecting', flush=True)",
        "    await asyncio.sleep(60)",
        "app.run(port=0)",
    )
    assert process.popen.stdout.readline() == "connecting\n"
    assert process.stop()[0] == 0


def test_a_port_in_use_ends_with_3_in_one_line(script):
    first = script("app.run(port=0)")
    first.ready()
    status, _, err = script(f"app.run(port={first.port})").end()
    assert status == 3
    assert err.startswith(f"vivace: cannot listen on 127.0.0.1:{first.port}: address already in use")
    assert err.count("\n") == 1


def test_a_failing_start_up_hook_ends_with_3(script):
    process = script("@app.on_startup", "def fail():", "    raise RuntimeError('no database')", "app.run(port=0)")
    status, _, err = process.end()
    assert status == 3
    assert "Traceback" in err
    assert err.endswith("vivace: start-up failed: RuntimeError: no database\n")


def test_a_failing_shutdown_hook_ends_with_1(script):
    process = script("@app.on_shutdown", "def fail():", "    raise RuntimeError('no')", "app.run(port=0)")
    process.ready()
    status, out, err = process.stop()
    assert (status, out) == (1, "bye\n")
    assert err.endswith("vivace: 1 shutdown hook failed\n")


def test_a_handler_that_exits_ends_the_process_after_the_shutdown_hooks(script):
    process = script("app.run(port=0)")
    process.ready()
    process.client().send("GET /exit HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.end()[:2] == (9, "bye\n")


def test_run_again_after_the_end(script):
    process = script("app.run(port=0)", "app.run(port=0)")
    process.ready()
    process.signal(signal.SIGTERM)
    process.ready()
    assert process.get("/").text == "Hello world!"
    assert process.stop()[:2] == (0, "bye\nbye\n")


def test_the_loop_touched_before_is_the_one_that_runs(script):
    process = script(
        "before = app.loop",
        "@app.on_startup",
        "def same():",
        "    print(before is app.loop is asyncio.get_running_loop(), flush=True)",
        "app.run(port=0)",
    )
    process.ready()
    assert process.stop()[1] == "True\nbye\n"


def test_uvloop(script):
    pytest.importorskip("uvloop")
    process = script("app.run(port=0, loop='uvloop')", SLEEP="0.05", **io_of("uvloop"))
    assert "loop uvloop" in process.ready()
    assert process.get("/slow").text == "slow"
    assert process.stop()[0] == 0


def test_debug_of_run(script):
    process = script("app.run(port=0, debug=True)")
    assert "KeyError: 'shown'" in process.get("/debug").text
    process.stop()


def test_the_environment_counts_for_scripts_too(script):
    process = script("app.run()", VIVACE_HOST="localhost", PORT="0")
    assert "http://127.0.0.1:" in process.ready()
    assert process.get("/").status == 200
    process.stop()


def test_in_a_thread_no_signal_is_caught(script):
    process = script(
        "import threading, signal",
        "threading.Thread(target=app.run, kwargs={'port': 0}, daemon=True).start()",
        "signal.pause()",
    )
    assert process.get("/").text == "Hello world!"
    assert process.stop()[0] == -signal.SIGTERM


def test_logs_of_the_programs_own_choice_are_left_alone(script):
    process = script(
        "import logging",
        "logging.basicConfig(format='MINE %(name)s %(message)s', level='INFO')",
        "app.run(port=0)",
    )
    process.ready()
    _, _, err = process.stop()
    assert err == "MINE vivace SIGTERM: stopping\n"


def unread(stream):
    """How many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(stream, termios.FIONREAD, b"\0" * 4), sys.byteorder)


def test_a_second_signal_ends_at_once_who_is_writing_to_stderr(script):
    process = script(
        "@app.get('/flood')",
        "def flood():",
        "    import signal",
        "    conductor = signal.getsignal(signal.SIGTERM).__self__",
        "    print('in', flush=True)",
        "    while not conductor.asked:",
        "        time.sleep(0.01)",
        "    time.sleep(0.5)",  # from then on another signal is the second one
        "    print('caught', flush=True)",
        "    while True:",
        "        sys.stderr.write('x' * 4095 + '\\n')",
        "app.run(port=0)",
        PYTHONUNBUFFERED="",
    )
    process.ready()
    process.client().send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    process.signal(signal.SIGTERM)
    assert process.popen.stdout.readline() == "caught\n"
    full = fcntl.fcntl(process.popen.stderr, fcntl.F_GETPIPE_SZ)
    eventually(lambda: unread(process.popen.stderr) >= full)
    process.signal(signal.SIGTERM)
    assert process.end()[0] == 128 + signal.SIGTERM


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_at_once_who_has_nobody_to_tell(script, workers):
    process = script(f"app.run(port=0, workers={workers})", SLEEP="60")
    process.ready()
    process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    process.signal(signal.SIGTERM)
    assert "stopping" in process.popen.stderr.readline()
    process.popen.stderr.close()
    assert not ended(process, 0.5)
    process.signal(signal.SIGTERM)
    assert process.popen.wait(30) == 128 + signal.SIGTERM
