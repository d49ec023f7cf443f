"""The access log: its options, where it goes, and that it never holds a request up. Its lines: tests/core/server."""

import asyncio
import json
import logging
import os
import pty
import re
import socket
import subprocess
import sys
from contextlib import suppress
from random import Random
from urllib.request import urlopen

import pytest
from waiting import SECONDS, eventually

from vivace import Application
from vivace.access import AccessLog

APP = """
import asyncio
from vivace import Application, HTTPError

app = Application(limit_body_bytes=100)

@app.get("/")
def hello():
    return "Hello world!"

@app.get("/later/{name}")
async def later(name):
    await asyncio.sleep(0)
    return name

@app.get("/fail")
def fail():
    raise KeyError("on purpose")

@app.get("/gone")
def gone():
    raise HTTPError(410)

@app.post("/echo")
def echo(request):
    return request.body

@app.get("/called-back")
def called_back(request):
    request.add_done_callback(lambda request: None)
    return "called"

@app.get("/aborted")
def aborted(request):
    request.transport.abort()
    return "nobody hears this"

@app.get("/aborted-later")
async def aborted_later(request):
    await asyncio.sleep(0.001)
    request.transport.abort()
    return "nobody hears this"

@app.get("/aborted-and-late")
async def aborted_and_late(request):
    request.transport.abort()
    await asyncio.sleep(0)
    return "nobody hears this"

@app.get("/aborted-and-called-back")
def aborted_and_called_back(request):
    request.add_done_callback(lambda request: None)
    request.transport.abort()
    return "nobody hears this"

@app.get("/blocking", blocking=True)
def blocking():
    return "in a thread"

@app.exception_handler(OSError)
async def answer_later(request, exception):
    await asyncio.sleep(0.001)
    return request.Response("handled", 418)

@app.get("/handled")
def handled():
    raise OSError
"""

COMBINED = re.compile(
    r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
    r'"GET / HTTP/1\.1" 200 12 "-" "-" \d\.\d{6}',
)
SHORT = re.compile(r'\d\d:\d\d:\d\d INFO  127\.0\.0\.1 "GET /" 200 12B \d+\.\d\dms')


@pytest.fixture
def serving(start, tmp_path):
    """Serves the application with these options; ready."""
    (tmp_path / "hello.py").write_text(APP)

    def begin(*options, **env):
        process = start("-m", "vivace", "run", "hello:app", "--port", "0", *options, **env)
        process.ready()
        return process

    return begin


def lines(process):
    """What it has logged until its end."""
    return [line for line in process.stop()[2].splitlines() if " serving " not in line and "stopping" not in line]


class TestOptions:
    """Each fails when its option is ignored."""

    def test_off_unless_asked_for(self, serving):
        process = serving()
        process.get("/")
        assert lines(process) == []
        process = serving("--no-access-log", VIVACE_ACCESS_LOG="1")
        process.get("/")
        assert lines(process) == []

    @pytest.mark.parametrize(
        ("options", "env", "pattern"),
        [
            (["--access-log"], {}, COMBINED),
            ([], {"VIVACE_ACCESS_LOG": "yes"}, COMBINED),
            (["--access-log", "--access-log-format", "combined"], {}, COMBINED),
            (["--access-log", "--access-log-format", "short"], {}, SHORT),
            (["--access-log"], {"VIVACE_ACCESS_LOG_FORMAT": "short"}, SHORT),
            (["--access-log", "--access-log-format", "common"], {}, re.compile(r'127\..* "GET / HTTP/1\.1" 200 12')),
        ],
    )
    def test_format(self, serving, options, env, pattern):
        process = serving(*options, **env)
        process.get("/")
        (line,) = lines(process)
        assert pattern.fullmatch(line)

    @pytest.mark.parametrize(
        "options",
        [["--access-log-format", "json"], ["--log-format", "json"], ["--log-format=json", "--log-level=error"]],
    )
    def test_json(self, serving, options):
        process = serving("--access-log", *options)
        process.client().request("/later/x?a=%22b", User_Agent="me \\ you", Connection="close")
        line = json.loads(lines(process)[0])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
        assert 0 <= line.pop("duration_ms") < 60_000
        assert line == {
            "level": "info",
            "event": "request",
            "method": "GET",
            "path": "/later/x",
            "query": "a=%22b",
            "route": "/later/{name}",
            "status": 200,
            "bytes_out": 1,
            "client": "127.0.0.1",
            "http": "1.1",
            "user_agent": r"me \x5C you",
        }

    def test_file(self, serving, tmp_path):
        process = serving("--access-log", "--access-log-file", "access.log")
        process.get("/")
        assert lines(process) == []
        assert COMBINED.fullmatch((tmp_path / "access.log").read_text().rstrip("\n"))

    def test_stdout(self, serving, tmp_path):
        process = serving("--access-log", "--access-log-file", "-")
        process.get("/")
        _, out, err = process.stop()
        assert COMBINED.fullmatch(out.rstrip("\n"))
        assert '"GET /' not in err
        assert not (tmp_path / "-").exists()

    def test_a_file_that_cannot_be_written(self, run, tmp_path):
        (tmp_path / "hello.py").write_text(APP)
        status, _, err = run("run", "hello:app", "--access-log", "--access-log-file", "no/such/folder/log")
        assert status == 3
        assert err == (
            "vivace: cannot write the access log to no/such/folder/log: no such file or directory; "
            "give access_log_file another path\n"
        )

    def test_arguments_of_run(self, start, tmp_path):
        (tmp_path / "main.py").write_text(APP + "app.run(port=0, access_log=True, access_log_format='short')\n")
        process = start("main.py")
        process.ready()
        process.get("/")
        (line,) = lines(process)
        assert SHORT.fullmatch(line)

    def test_an_unknown_format_is_one_line(self, run, tmp_path):
        (tmp_path / "hello.py").write_text(APP)
        status, _, err = run("run", "hello:app", "--access-log-format", "long")
        assert status == 2
        assert "takes one of short, common, combined, json, not 'long'" in err


@pytest.mark.parametrize(
    ("env", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "dumb", "FORCE_COLOR": "1"}, True)],
)
def test_short_and_coloured_on_a_terminal(tmp_path, env, colored):
    (tmp_path / "hello.py").write_text(APP)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "vivace", "run", "hello:app", "--port", "0", "--access-log"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=theirs, env={**os.environ, "TERM": "xterm", **env}, stdin=subprocess.DEVNULL
    ) as popen:
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            try:
                port = int(re.search(rb":(\d+) ", terminal.readline())[1])
                with urlopen(f"http://127.0.0.1:{port}/", timeout=SECONDS) as answer:
                    assert answer.read() == b"Hello world!"
                line = terminal.readline().decode().rstrip("\r\n")
            finally:
                popen.terminate()
                popen.wait(SECONDS)
    status = "\033[32m200\033[0m" if colored else "200"
    assert status in line
    assert SHORT.fullmatch(line.replace(status, "200"))


def test_every_kind_of_answer_has_one_line(serving):
    process = serving("--access-log", "--access-log-format", "short")
    client = process.client()
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /later/x HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /gone HTTP/1.1\r\nHost: a\r\n\r\n"
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n"
        "GET /fail HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert [client.answer().status for _ in range(7)] == [200, 200, 404, 410, 405, 204, 500]
    client.request("/", "HEAD")
    client.request("/echo", "POST", b"x" * 101)
    process.client().send("nonsense\r\n\r\n")
    assert process.get("/").status == 200
    logged = sorted(re.findall(r'"([^"]*)" (\d+) (\d+)B', "\n".join(lines(process))))
    assert logged == sorted(
        [
            ("GET /", "200", "12"),
            ("GET /", "200", "12"),
            ("GET /later/x", "200", "1"),
            ("GET /nowhere", "404", "9"),
            ("GET /gone", "410", "4"),
            ("POST /", "405", "18"),
            ("OPTIONS /", "204", "0"),
            ("GET /fail", "500", "21"),
            ("HEAD /", "200", "0"),
            ("POST /echo", "413", "17"),
            ("nonsense", "400", "11"),
        ]
    )


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/called-back", "200 6B"),
        ("/aborted", "499 0B"),
        ("/aborted-later", "499 0B"),
        ("/aborted-and-late", "499 0B"),
        ("/aborted-and-called-back", "499 0B"),
        ("/blocking", "200 11B"),
        ("/handled", "418 7B"),
    ],
)
def test_whatever_way_an_answer_takes(serving, path, line, loop):
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = serving("--access-log", "--access-log-format", "short", "--loop", loop, VIVACE_IO="epoll")
    client = process.client()
    client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
    if "499" in line:
        assert client.at_end()
    else:
        assert client.answer().status == int(line[:3])
    (only,) = lines(process)
    assert f'"GET {path}" {line} ' in only


def test_a_refusal_is_told_with_its_reason_beside_its_line(serving):
    process = serving("--access-log", "--access-log-format", "short")
    assert process.client().request("/echo", "POST", b"x" * 101).status == 413
    reason, line = lines(process)
    assert reason.endswith(" INFO  refused a request from 127.0.0.1 with 413: request body exceeds limit_body_bytes")
    assert line.endswith("ms")
    assert '127.0.0.1 "POST /echo" 413 17B ' in line


def test_none_of_many_is_missing(serving, tmp_path):
    process = serving("--access-log", "--access-log-file", "log", "--access-log-format", "json")
    client = process.client()
    for _ in range(10):
        client.send("".join(f"GET /later/{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(100)))
        assert [client.answer().text for _ in range(100)] == [str(number) for number in range(100)]
    process.stop()
    paths = [json.loads(line)["path"] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(paths) == sorted(10 * [f"/later/{number}" for number in range(100)])


def test_nobody_waits_for_whoever_reads_the_log(start, tmp_path):
    """Nobody reads stderr: a pipe that takes 64 KiB."""
    (tmp_path / "hello.py").write_text(APP)
    process = start("-m", "vivace", "run", "hello:app", "--port", "0", "--access-log")
    process.ready()
    client = process.client()
    for _ in range(40):
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {'x' * 1000}\r\n\r\n" * 50)
        assert {client.answer().status for _ in range(50)} == {200}
    status, _, err = process.stop()  # reads what was kept
    assert status == 0
    logged = err.count('"GET / HTTP/1.1" 200 12 ')
    assert 64 < logged <= 2000
    lost = [int(count) for count in re.findall(r"access log: (\d+) lines", err)]
    assert logged + sum(lost) == 2000


def test_started_without_stderr_it_serves_and_logs_nowhere(tmp_path):
    (tmp_path / "hello.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        command = f"exec {sys.executable} -m vivace run hello:app --fd {fd} --access-log 2>&-"
        with subprocess.Popen(command, cwd=tmp_path, shell=True, pass_fds=[fd]) as popen:
            try:
                assert [body_at(port), body_at(port)] == [b"Hello world!", b"Hello world!"]
            finally:
                popen.terminate()
                assert popen.wait(SECONDS) == 0


def body_at(port):
    with socket.create_connection(("127.0.0.1", port), SECONDS) as raw:
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return raw.makefile("rb").read().partition(b"\r\n\r\n")[2]


def test_whatever_is_sent_every_answer_has_one_line_of_json(serve, app, tmp_path):
    """Random bytes, in random places of requests that are nearly right."""
    random = Random(7)
    log = tmp_path / "log"
    served = serve(app, access_log=AccessLog("json", str(log)))
    answers = 0
    for _ in range(300):
        junk = bytes(random.choices(b'\r\n"\\\x00\x1b\x7f\xff\xc3\xa9 /?%:ab', k=random.randrange(30)))
        request = bytearray(b"GET /say/x HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nConnection: close\r\n\r\n")
        at = random.randrange(len(request))
        request[at : at + random.randrange(3)] = junk
        with socket.create_connection(("127.0.0.1", served.port)) as raw:
            raw.settimeout(SECONDS)
            raw.sendall(request + b"\r\n\r\n")
            raw.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                answers += raw.makefile("rb").read().count(b"HTTP/1.1 ")
    served.stop()
    text = log.read_bytes()
    assert not re.search(rb"[^ -~\n]", text)
    told = [json.loads(line) for line in text.splitlines()]
    assert len(told) == answers
    assert {line["status"] for line in told} >= {200, 400}
    assert all("method" in line or "raw" in line or line["status"] == 400 for line in told)


def test_a_file_that_is_moved_away_is_followed(serving, tmp_path):
    process = serving("--access-log", "--access-log-file", "log")
    process.get("/?first")
    eventually(lambda: "first" in (tmp_path / "log").read_text())  # the client may be faster than the log
    (tmp_path / "log").rename(tmp_path / "log.1")
    eventually(lambda: process.get("/?second") and (tmp_path / "log").exists())
    process.stop()
    assert "first" in (tmp_path / "log.1").read_text()
    assert "second" in (tmp_path / "log").read_text()


def test_workers_write_to_one_file_and_say_which_they_are(serving, tmp_path):
    process = serving("--access-log", "--access-log-format", "json", "--access-log-file", "log", "--workers", "3")
    for _ in range(60):
        assert process.get("/").status == 200
    assert process.stop()[0] == 0
    told = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert len(told) == 60
    assert {line["worker"] for line in told} <= {1, 2, 3}
    assert len({line["worker"] for line in told}) > 1


def test_workers_write_to_one_pipe_and_tear_no_line(serving):
    process = serving("--access-log", "--workers", "2")
    clients = [process.client() for _ in range(6)]
    for client in clients:
        client.send(f"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: {'x' * 500}\r\n\r\n" * 200)
    for client in clients:
        assert {client.answer().status for _ in range(200)} == {200}
    kept = [line for line in lines(process) if "lines were lost" not in line]
    assert len(kept) > 64
    assert {re.sub(r"\[.*\]|\d\.\d{6}$", "-", line) for line in kept} == {
        f'127.0.0.1 - - - "GET / HTTP/1.1" 200 12 "-" "{"x" * 500}" -',
    }


def test_dev_logs_requests(start, tmp_path):
    (tmp_path / "hello.py").write_text(APP)
    process = start("-m", "vivace", "dev", "hello:app", "--port", "0")
    process.get("/")
    assert any(COMBINED.fullmatch(line) for line in lines(process))


# Python's logging instead


@pytest.fixture
def app():
    app = Application(limit_body_bytes=100)

    @app.get("/say/{text}")
    def say(request, text):
        return text

    @app.get("/wait")
    async def wait(request):
        await asyncio.sleep(0)
        return "waited"

    return app


@pytest.fixture
def records():
    """What a handler of the program's own on `vivace.access` gets."""

    class Kept(logging.Handler):
        def emit(self, record):
            kept.append(record)

    kept = []
    logger = logging.getLogger("vivace.access")
    handler = Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_handler_of_the_programs_own_gets_records(serve, app, records, tmp_path):
    served = serve(app, access_log=AccessLog("short", str(tmp_path / "log"), worker=3))
    served.get("/say/hello?a=b", User_Agent="me")
    served.get("/wait")
    served.client().request("/say/x", "POST", b"x" * 101)
    served.client().send("nonsense\r\n\r\n")
    served.stop()
    first, second, third, fourth = records
    assert re.fullmatch(r'127\.0\.0\.1 "GET /say/hello\?a=b" 200 5B \d+\.\d\dms', first.getMessage())
    assert (first.levelname, first.name) == ("INFO", "vivace.access")
    assert (first.status, first.route, first.user_agent, first.referer, first.worker, first.bytes_out) == (
        200, "/say/{text}", "me", "-", 3, 5,
    )  # fmt: skip
    assert re.fullmatch(r'127\.0\.0\.1 "GET /wait" 200 6B \d+\.\d\dms', second.getMessage())
    assert (third.status, third.event, third.reason) == (413, "refused", "request body exceeds limit_body_bytes")
    assert fourth.getMessage() == '127.0.0.1 "nonsense" 400 11B -'
    assert not (tmp_path / "log").exists()


def test_a_handler_that_fails_costs_no_answer(serve, app, records, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    monkeypatch.setattr("vivace.access.json.loads", lambda line: 1 / 0)
    served = serve(app, access_log=AccessLog())
    assert served.get("/say/hello").text == "hello"
    assert served.get("/say/again").text == "again"
    served.stop()
    assert {failure.exc_type for failure in unraisable} == {ZeroDivisionError}


@pytest.mark.parametrize("quiet", [{"level": logging.WARNING}, {"disabled": True}])
def test_a_logger_that_is_turned_down_logs_nothing(serve, app, tmp_path, quiet, monkeypatch):
    for name, value in quiet.items():
        monkeypatch.setattr(logging.getLogger("vivace.access"), name, value)
    served = serve(app, access_log=AccessLog(path=str(tmp_path / "log")))
    served.get("/say/hello")
    served.stop()
    assert not (tmp_path / "log").exists()


def test_log_access_of_the_engine():
    from vivace._engine import Selector, Server

    app = Application()
    with Selector() as selector:
        server = Server(selector, app, app.router.table)
        with pytest.raises(ValueError, match='unknown format "long": use short, common, combined or json'):
            server.log_access("long")
        with pytest.raises(OSError, match="No such file"):
            server.log_access("short", path="/no/such/folder/log")
        with pytest.raises(OSError, match="Bad file"):
            server.log_access("short", fd=9999)
        server.log_access("short", take=print)
        with pytest.raises(TypeError):
            server.log_access("short", path=1)
        server.close()
        with pytest.raises(RuntimeError, match="the server is closed"):
            server.log_access("short")


def test_log_access_without_a_path_and_a_taker(serve):
    class Log:
        def begin(self, server):
            server.log_access("short", fd=write, path=None, color=False, worker=0, take=None)

    app = Application()
    app.get("/")(lambda: "hello")
    read, write = os.pipe()
    try:
        served = serve(app, access_log=Log())
        assert served.get("/").text == "hello"
        assert b'"GET /" 200 5B' in os.read(read, 4096)
        served.stop()
    finally:
        os.close(read)
        os.close(write)
