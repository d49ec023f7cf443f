"""The command line: how an application is named, what each option does, and what mistakes are told."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from waiting import SECONDS, eventually

from vivace import __version__
from vivace.settings import ALL

HELLO = """
from vivace import Application

app = Application()


@app.get("/")
def hello(request):
    return "Hello world!"


@app.route("/echo/{name}", methods=["POST", "PUT"], name="echo")
def echo(request, name):
    return request.body or b""


@app.get("/big/{size:int}")
def big(size):
    return "x" * size


@app.get("/fail")
def fail():
    raise KeyError("shown")


def make():
    return app


class Holder:
    inner = app
"""


SPOOLED = """

import os


@app.post("/spooled")
def spooled():
    paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
    links = [os.readlink(path) for path in paths if os.path.lexists(path)]
    return str(sum("(deleted)" in link for link in links if not link.startswith("/memfd")))


@app.post("/form")
def form(request):
    return str(len(request.form))
"""


@pytest.fixture(autouse=True)
def hello(tmp_path):
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "web.py").write_text(HELLO)


@pytest.fixture
def module(tmp_path):
    """Writes a module."""
    return lambda name, text: (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))


@pytest.fixture
def serving(start):
    """Serves hello:app with these options."""

    def begin(*options, **env):
        process = start("-m", "vivace", "run", "hello:app", "--port", "0", *options, **env)
        process.ready()
        return process

    return begin


@pytest.mark.parametrize(
    "app",
    [
        "hello:app",
        "hello:make()",
        "hello.py",
        "./hello.py",
        "hello.py:app",
        "hello.py:make()",
        "hello.app",
        "hello",
        "hello:Holder.inner",
        "shop.web:app",
        "shop.web.app",
        "shop.web",
        "shop/web.py",
    ],
)
def test_names_of_an_application(run, app):
    assert run("check", app) == (0, f"{app}: fine, 4 routes\n", "")


def test_factory_and_app_dir(run, tmp_path):
    assert run("check", "hello:make", "--factory")[0] == 0
    assert run("check", "hello:make", VIVACE_FACTORY="1")[0] == 0
    assert run("check", "web:app", "--app-dir", "shop")[0] == 0
    assert run("check", "web:app", VIVACE_APP_DIR=str(tmp_path / "shop"))[0] == 0


@pytest.mark.parametrize(
    ("app", "line"),
    [
        ("helo:app", 'no module "helo" in '),
        ("helo:app", ': did you mean "hello"?'),
        ("shop.wbe:app", 'no module "shop.wbe"'),
        ("helo.py", 'no file "helo.py": did you mean "hello.py"?'),
        ("hello:ap", '"hello" has no attribute "ap": did you mean "app"?'),
        ("hello.ap", '"hello" has no attribute "ap": did you mean "app"?'),
        ("hello:make", '"hello:make" is no Application but a function; call it with --factory, or write it with ()'),
        ("hello:__name__", '"hello:__name__" is no Application but a str'),
        ("hello:__name__()", "cannot be called: it is a str"),
        ("shop", '"shop" has no Application: write `app = Application()` there, or name a factory, as in shop:make()'),
        (".", '"." names no application: write module:attribute'),
        (":app", "names no application: write module:attribute"),
        ("hello:", "names no application: write module:attribute"),
    ],
)
def test_an_application_that_is_not_there_is_one_line_and_4(run, app, line):
    status, out, err = run("run", app)
    assert (status, out) == (4, "")
    assert err.startswith("vivace: ")
    assert line in err
    assert err.count("\n") == 1


def test_of_several_applications_one_must_be_named(run, module):
    module("several", "from vivace import Application\none, two = Application(), Application()\n")
    line = 'vivace: "several" has several Applications (one, two): name one, as in several:one\n'
    assert run("run", "several") == (4, "", line)


def test_a_folder_that_is_not_there_is_told(run):
    line = 'vivace: no folder "nowhere", where the application should be\n'
    assert run("run", "hello:app", "--app-dir", "nowhere") == (4, "", line)


@pytest.mark.parametrize("app", ["broken:app", "broken.py", "broken.app"])
def test_an_exception_in_the_module_shows_the_users_frames_only(run, module, app):
    module("broken", "def f():\n    return unknown\nf()\n")
    status, _, err = run("run", app)
    assert status == 4
    assert err.startswith("Traceback")
    assert err.count("File ") == 2
    assert "importlib" not in err
    assert err.splitlines()[-1].startswith('vivace: cannot import "broken')
    assert "NameError: name 'unknown' is not defined" in err.splitlines()[-1]


def test_a_module_that_the_module_misses_is_not_taken_for_the_module(run, module):
    module("broken", "import no_such_library\n")
    status, _, err = run("run", "broken:app")
    assert status == 4
    assert "ModuleNotFoundError: No module named 'no_such_library'" in err.splitlines()[-1]


def test_a_module_that_exits_is_told(run, module):
    module("broken", "raise SystemExit(0)\n")
    status, _, err = run("check", "broken:app")
    assert status == 4
    assert 'cannot import "broken": SystemExit: 0' in err


def test_a_wrong_route_shows_where_and_what_to_do(run, module):
    module(
        "broken",
        """
        from vivace import Application
        app = Application()
        @app.get("/users/{id}")
        def user(request, idd):
            return ""
        """,
    )
    status, _, err = run("check", "broken:app")
    assert status == 4
    assert 'File "' in err
    assert 'handler "user" of "/users/{id}" wants "idd"' in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("rnu",), "No such command 'rnu'"),
        (("run",), "run takes an application: module:attribute, or a file, as in `vivace run hello:app`"),
        (("check", "hello:app", "--limit-pipeline", "0"), "--limit-pipeline takes a whole number"),
        (("check", "hello:app", "--uds", "x", "--port", "1"), "uds and port both say where to listen"),
        (("run", "hello:app", "--access-log-file", "x"), "access_log_file does nothing without access_log"),
        (("run", "hello:app", "--access-log-format", "json"), "access_log_format does nothing without access_log"),
        (("run", "hello:app", "--max-requests-jitter", "3"), "max_requests_jitter does nothing without max_requests"),
        (("run", "hello:app", "--reload-dir", "x"), "reload_dir does nothing without reload: give that too"),
        (("run", "hello:app", "--reload", "--reload-dir", "x"), 'reload_dir "x" is no folder'),
        (("run", "hello:app", "--prot", "1"), "--port"),
        (("run", "hello:app", "--port", "web"), "--port takes a port, 0 to 65535, not 'web'"),
        (("run", "hello:app", "--bind", "web"), "--bind takes addresses"),
        (("run", "hello:app", "--loop", "gevent"), "--loop takes one of auto, asyncio, uvloop, not 'gevent'"),
        (("run", "hello:app", "--uds", "x", "--port", "1"), "uds and port both say where to listen"),
        (("run", "hello:app", "--workers", "many"), "--workers takes a number of processes from 1 to 1024, or auto"),
        (("run", "hello:app", "--worker-num", "0"), "--workers takes a number of processes"),
        (("run", "hello:app", "--relaod"), "--reload"),
        (("dev", "hello:app", "--uds-mode", "9"), "--uds-mode takes a mode in octal digits"),
        (("run", "hello:app", "--env-file", "nowhere"), 'cannot read --env-file "nowhere": No such file'),
    ],
)
def test_mistakes_are_one_line_and_2(run, arguments, line):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("vivace: ")
    assert line in err
    assert err.count("\n") == 1


def test_a_wrong_variable_is_one_line_and_2(run):
    expected = "vivace: VIVACE_PORT takes a port, 0 to 65535, not 'web'\n"
    assert run("run", "hello:app", VIVACE_PORT="web") == (2, "", expected)
    assert run("check", "hello:app", VIVACE_PORT="web") == (2, "", expected)


@pytest.mark.parametrize("workers", ["1", ""])
def test_a_variable_that_is_none_of_ours_is_told(start, workers):
    process = start("-m", "vivace", "run", "hello:app", "--port", "0", VIVACE_LIMIT_BODY="1KiB", VIVACE_WORKERS=workers)
    process.ready()
    line = 'VIVACE_LIMIT_BODY is no setting and does nothing: did you mean "VIVACE_LIMIT_BODY_BYTES"?'
    assert process.stop()[2].count(line) == 1


def test_no_command_shows_the_help(run):
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "run " in err
    assert run("--help")[0] == 0


def test_version(run):
    assert run("--version")[1] == f"vivace {__version__}\n"
    status, out, _ = run("version")
    assert status == 0
    assert out.startswith(f"vivace {__version__}, CPython 3.")
    assert ", simd " in out
    assert ", io " in out


def test_routes(run):
    assert run("routes", "hello:app")[1].splitlines() == [
        "GET        /                hello  hello:hello",
        "POST, PUT  /echo/{name}     echo   hello:echo",
        "GET        /big/{size:int}  big    hello:big",
        "GET        /fail            fail   hello:fail",
    ]


def test_a_module_that_calls_run_unguarded_is_served_with_its_arguments(start, tmp_path):
    (tmp_path / "script.py").write_text(HELLO + "\napp.run(host='localhost', port=1, timeout_graceful=0.25)\n")
    process = start("-m", "vivace", "run", "script", "--port", "0")
    assert "http://127.0.0.1:" in process.ready()
    assert process.get("/").text == "Hello world!"
    assert process.stop()[0] == 0


class TestBinding:
    def test_host_and_port(self, start):
        process = start("-m", "vivace", "run", "hello:app", "--host", "127.0.0.2", "--port", "0")
        assert "serving http://127.0.0.2:" in process.ready()
        process.stop()

    def test_variables(self, start):
        process = start("-m", "vivace", "run", "hello:app", VIVACE_HOST="127.0.0.2", VIVACE_PORT="0")
        assert "serving http://127.0.0.2:" in process.ready()
        process.stop()

    def test_port_alone_means_every_address(self, start):
        process = start("-m", "vivace", "run", "hello:app", PORT="0")
        assert "serving http://0.0.0.0:" in process.ready()
        process.stop()

    def test_bind_may_be_repeated(self, start, tmp_path):
        process = start("-m", "vivace", "run", "hello:app", "-b", "127.0.0.1:0", "--bind", "unix:a.sock")
        assert ", unix:a.sock (" in process.ready()
        assert process.get("/").status == 200
        assert over_unix(tmp_path / "a.sock").startswith(b"HTTP/1.1 200")
        process.stop()
        assert not (tmp_path / "a.sock").exists()

    def test_uds(self, start, tmp_path):
        process = start("-m", "vivace", "run", "hello:app", "--uds", "a.sock")
        assert "serving unix:a.sock (" in process.ready()
        assert over_unix(tmp_path / "a.sock").endswith(b"Hello world!")
        process.stop()

    def test_fd(self, tmp_path, start):
        with socket.create_server(("127.0.0.1", 0)) as parent:
            os.set_inheritable(parent.fileno(), True)
            popen = subprocess.Popen(
                [sys.executable, "-m", "vivace", "run", "hello:app", "--fd", str(parent.fileno())],
                cwd=tmp_path,
                pass_fds=[parent.fileno()],
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                port = parent.getsockname()[1]
                assert f"serving http://127.0.0.1:{port} (" in popen.stderr.readline()
                with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
                    client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert client.recv(4096).startswith(b"HTTP/1.1 200")
            finally:
                popen.terminate()
                popen.communicate(timeout=SECONDS)

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")])
    def test_sockets_that_systemd_has_opened(self, tmp_path, start, workers):
        """As systemd passes them: from descriptor 3 on, and told by variables that name the process."""
        with socket.create_server(("127.0.0.1", 0)) as first, socket.socket(socket.AF_UNIX) as second:
            second.bind(str(tmp_path / "a.sock"))
            second.listen()
            begin = (
                "import os, sys\n"
                f"first, second = os.dup2({first.fileno()}, 100), os.dup2({second.fileno()}, 101)\n"
                "os.dup2(first, 3)\nos.dup2(second, 4)\n"
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n"
                f"os.execv(sys.executable, [sys.executable, '-m', 'vivace', 'run', 'hello:app', *{workers}])\n"
            )
            popen = subprocess.Popen(
                [sys.executable, "-c", begin],
                cwd=tmp_path,
                pass_fds=[first.fileno(), second.fileno()],
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                port = first.getsockname()[1]
                line = popen.stderr.readline()
                assert f"serving http://127.0.0.1:{port}, unix:{tmp_path / 'a.sock'} (" in line
                assert over_unix(tmp_path / "a.sock").endswith(b"Hello world!")
            finally:
                popen.terminate()
                popen.communicate(timeout=SECONDS)
            assert (tmp_path / "a.sock").exists()  # it is systemd's

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")])
    def test_port_0_gives_all_addresses_one_port(self, start, workers):
        process = start("-m", "vivace", "run", "hello:app", "--host", "localhost", "--port", "0", *workers)
        ports = set(re.findall(r":(\d+)[ ,]", process.ready()))
        assert len(ports) == 1
        assert {process.get("/").status for _ in range(4)} == {200}
        process.stop()

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
    @pytest.mark.parametrize("workers", [(), ("--workers", "2")])
    def test_two_colons_serve_both_families(self, start, workers):
        process = start("-m", "vivace", "run", "hello:app", "--host", "::", "--port", "0", *workers)
        port = int(re.search(r"\[::\]:(\d+)", process.ready())[1])
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), SECONDS) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
        process.stop()

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")])
    def test_uds_mode(self, start, tmp_path, workers):
        process = start("-m", "vivace", "run", "hello:app", "--uds", "a.sock", "--uds-mode", "640", *workers)
        process.ready()
        assert (tmp_path / "a.sock").stat().st_mode & 0o777 == 0o640
        assert over_unix(tmp_path / "a.sock").endswith(b"Hello world!")
        process.stop()
        assert not (tmp_path / "a.sock").exists()


class TestEnvFile:
    @pytest.fixture(autouse=True)
    def dotenv(self):
        pytest.importorskip("dotenv")

    def test_it_may_hold_settings_and_the_applications_own(self, start, tmp_path):
        (tmp_path / ".env").write_text(
            "VIVACE_HOST=127.0.0.2\nVIVACE_PORT=0\nVIVACE_APP_DIR=inner\nGREETING='Hi you'\n"
        )
        (tmp_path / "inner").mkdir()
        greet = HELLO.replace('"Hello world!"', "os.environ['GREETING']").replace(
            "from vivace", "import os\nfrom vivace", 1
        )
        (tmp_path / "inner" / "greet.py").write_text(greet)
        process = start("-m", "vivace", "run", "greet:app", "--env-file", ".env")
        assert "serving http://127.0.0.2:" in process.ready()
        with socket.create_connection(("127.0.0.2", process.port), SECONDS) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(4096).endswith(b"Hi you")
        process.stop()

    def test_a_variable_may_name_it(self, start, tmp_path):
        (tmp_path / "a b").write_text("VIVACE_HOST=127.0.0.2\n")
        process = start("-m", "vivace", "run", "hello:app", "--port", "0", VIVACE_ENV_FILE="a b")
        assert "serving http://127.0.0.2:" in process.ready()
        process.stop()

    def test_what_is_set_already_stays(self, start, tmp_path):
        (tmp_path / ".env").write_text("VIVACE_HOST=127.0.0.2\nVIVACE_PORT=1\n")
        process = start(
            "-m", "vivace", "run", "hello:app", "--env-file", ".env", "--port", "0", VIVACE_HOST="127.0.0.3"
        )
        assert "serving http://127.0.0.3:" in process.ready()
        process.stop()

    def test_new_workers_read_it_anew(self, start, tmp_path):
        (tmp_path / ".env").write_text("GREETING=before\n")
        greet = HELLO.replace('"Hello world!"', "os.environ['GREETING']").replace(
            "from vivace", "import os\nfrom vivace", 1
        )
        (tmp_path / "greet.py").write_text(greet)
        process = start("-m", "vivace", "run", "greet:app", "--env-file", ".env", "--port", "0", "-w", "2")
        assert process.get("/").text == "before"
        (tmp_path / ".env").write_text("GREETING=after\n")
        process.signal(signal.SIGHUP)
        process.line("all workers are new")
        eventually(lambda: process.get("/").text == "after")
        process.stop()


@pytest.mark.parametrize("options", [(), ("-w", "2")])
def test_systemd_is_told_when_it_serves_and_when_it_stops(start, tmp_path, options):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(SECONDS)
        manager.bind(str(tmp_path / "notify"))
        address = str(tmp_path / "notify")
        process = start("-m", "vivace", "run", "hello:app", "--port", "0", *options, NOTIFY_SOCKET=address)
        told = manager.recv(4096).decode().splitlines()
        assert told[0] == "READY=1"
        assert told[1].startswith("STATUS=serving http://127.0.0.1:")
        assert told[2] == f"MAINPID={process.popen.pid}"
        process.ready()
        process.signal(signal.SIGTERM)
        assert manager.recv(4096) == b"STOPPING=1"
        assert process.end()[0] == 0


def test_the_help_is_in_groups(run):
    for command in ("run", "dev"):
        out = run(command, "--help")[1]
        headings = re.findall(r"^([A-Z]\w+):$", out, re.MULTILINE)
        assert headings[:7] == ["Binding", "Application", "Workers", "Timeouts", "Limits", "Logs", "Reload"]
        binding, workers = (
            out.split("Binding:")[1].split("Application:")[0],
            out.split("Workers:")[1].split("Timeouts:")[0],
        )
        assert "--uds-mode MODE" in binding
        assert "-w, --workers N" in workers
        assert "--max-rss SIZE" in workers
        assert "--reload-dir DIR" in out.split("Reload:")[1]
        assert "--env-file FILE" in out.split("Application:")[1].split("Workers:")[0]


def over_unix(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return client.makefile("rb").read()


class TestOptions:
    """Each fails when its option is ignored."""

    @pytest.mark.parametrize("workers", [(), ("--workers", "2")])
    def test_backlog(self, start, tmp_path, workers):
        (tmp_path / "own.py").write_text(
            HELLO + "\nimport os, socket\n@app.get('/backlog')\ndef backlog():\n    found = []\n"
            "    for fd in map(int, os.listdir('/proc/self/fd')):\n        try:\n"
            "            with socket.socket(fileno=os.dup(fd)) as sock:\n"
            "                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):\n"
            "                    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)\n"
            "                    found.append(int.from_bytes(info[28:32], 'little'))\n"  # tcpi_sacked: the backlog
            "        except OSError:\n            pass\n    return found\n",
        )
        process = start("-m", "vivace", "run", "own:app", "--port", "0", "--backlog", "7", *workers)
        assert process.get("/backlog").text == "[7]"
        process.stop()

    def test_loop(self, serving):
        pytest.importorskip("uvloop")
        assert "loop uvloop" in serving("--loop", "uvloop", VIVACE_IO="auto").announced
        assert "loop asyncio" in serving("--loop", "asyncio").announced

    def test_io(self, serving, run):
        assert "io epoll" in serving("--io", "epoll").announced
        from vivace._engine import IO_BACKENDS

        if "uring" not in IO_BACKENDS:
            status, _, err = run("run", "hello:app", "--port", "0", "--io", "uring")
            assert (status, err.count("\n")) == (3, 1)

    def test_debug(self, serving):
        assert "KeyError: 'shown'" in serving("--debug").get("/fail").text
        assert "KeyError" not in serving("--no-debug", VIVACE_DEBUG="1").get("/fail").text
        assert "KeyError: 'shown'" in serving(VIVACE_DEBUG="1").get("/fail").text

    def test_log_level(self, serving):
        assert "stopping" in serving("--log-level", "info").stop()[2]
        assert "stopping" not in serving("--log-level", "warning").stop()[2]

    def test_limit_head_bytes(self, serving):
        process = serving("--limit-head-bytes", "1KiB")
        assert process.client().request("/", X_Filler="x" * 800).status == 200
        assert process.client().request("/", X_Filler="x" * 2000).status == 431

    def test_limit_header_fields(self, serving):
        process = serving("--limit-header-fields", "3")
        assert process.client().request("/", A="1", B="2").status == 200
        assert process.client().request("/", A="1", B="2", C="3").status == 431

    def test_limit_body_bytes(self, serving):
        process = serving("--limit-body-bytes", "10")
        assert process.client().request("/echo/x", "POST", b"x" * 10).body == b"x" * 10
        assert process.client().request("/echo/x", "POST", b"x" * 11).status == 413

    def test_limit_body_memory_bytes(self, serving, tmp_path):
        (tmp_path / "hello.py").write_text(HELLO + SPOOLED)
        body = b"x" * 200_000
        assert serving().client().request("/spooled", "POST", body).text == "0"
        assert serving("--limit-body-memory-bytes", "150KiB").client().request("/spooled", "POST", body).text == "1"

    @pytest.mark.parametrize(
        "option", ["--limit-form-parts=2", "--limit-form-text-bytes=20", "--limit-form-head-bytes=64"]
    )
    def test_limits_of_forms(self, serving, tmp_path, option):
        (tmp_path / "hello.py").write_text(HELLO + SPOOLED)
        head = b'--b\r\nContent-Disposition: form-data; name="a"'
        body = (
            head
            + b"\r\n\r\n1\r\n"
            + head
            + b"\r\nX: "
            + b"x" * 20
            + b"\r\n\r\n22\r\n"
            + head
            + b"\r\n\r\n1"
            + b"3" * 40
            + b"\r\n--b--"
        )
        for options, status in [((), 200), ((option,), 413)]:
            answer = (
                serving(*options)
                .client()
                .request("/form", "POST", body, Content_Type="multipart/form-data; boundary=b")
            )
            assert answer.status == status
            assert status == 200 or option.removeprefix("--").partition("=")[0].replace("-", "_") in answer.text

    def test_another_servers_name_of_an_option(self, serving):
        assert serving("--limit-body=10").client().request("/echo/x", "POST", b"x" * 11).status == 413

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("--access-logfile", "--access-log-file"),
            ("--limit-max-requests", "--max-requests"),
            ("--limit-max-requests-jitter", "--max-requests-jitter"),
            ("--limit-request-fields", "--limit-header-fields"),
            ("--timeout-header", "--timeout-head"),
            ("--timeout-graceful-shutdown", "--timeout-graceful"),
            ("--graceful-timeout", "--timeout-graceful"),
            ("--keep-alive", "--timeout-keep-alive"),
            ("--worker-num", "--workers"),
        ],
    )
    def test_other_servers_names_are_ours(self, theirs, ours):
        from vivace.cli import _ALIASES

        assert _ALIASES[theirs] == ours
        assert ours[2:].replace("-", "_") in ALL

    def test_limit_connections(self, serving):
        process = serving("--limit-connections", "1")
        first, second = process.client(), process.client()
        assert first.request("/").status == 200
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        second.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            second.socket.recv(1)
        first.close()
        second.socket.settimeout(SECONDS)
        assert second.socket.recv(12) == b"HTTP/1.1 200"

    def test_timeout_head(self, serving):
        client = serving("--timeout-head", "300ms").client()
        begin = time.monotonic()
        client.send("GET / HT")
        assert client.answer().status == 408
        assert 0.2 < time.monotonic() - begin < 9  # of 10 where nothing is said
        assert client.at_end()

    def test_timeout_body(self, serving):
        client = serving("--timeout-body", "300ms").client()
        begin = time.monotonic()
        client.send("POST /echo/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nx")
        assert client.answer().status == 408
        assert 0.2 < time.monotonic() - begin < 25  # of 30
        assert client.at_end()

    def test_timeout_keep_alive(self, serving):
        client = serving("--timeout-keep-alive", "300ms").client()
        begin = time.monotonic()
        assert client.request("/").status == 200
        assert client.at_end()
        assert time.monotonic() - begin > 0.2  # and less than the 75 that a client here does not wait

    def test_timeout_write(self, serving):
        process = serving("--timeout-write", "300ms")

        def descriptors():
            return len(list(Path(f"/proc/{process.popen.pid}/fd").iterdir()))

        before = descriptors()
        client = process.client()
        begin = time.monotonic()
        client.send("GET /big/50000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        received = len(client.socket.recv(1))
        eventually(lambda: descriptors() == before)
        assert 0.2 < time.monotonic() - begin < 25  # of 30
        with pytest.raises((EOFError, ConnectionResetError)):  # noqa: PT012
            while received < 50_000_000:
                chunk = client.socket.recv(1 << 20)
                received += len(chunk)
                if not chunk:
                    raise EOFError

    def test_timeout_graceful(self, start, tmp_path):
        (tmp_path / "slow.py").write_text(
            HELLO + "\n@app.get('/slow')\nasync def slow():\n    import asyncio\n    print('in', flush=True)\n"
            "    await asyncio.sleep(30)\n",
        )
        process = start("-m", "vivace", "run", "slow", "--port", "0", "--timeout-graceful", "100ms")
        process.ready()
        process.client().send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert process.popen.stdout.readline() == "in\n"
        assert process.stop()[0] == 5

    def test_limit_pipeline(self, start, tmp_path):
        (tmp_path / "gate.py").write_text(
            HELLO + "\nimport asyncio\nentered = 0\n@app.get('/wait')\nasync def wait():\n    global entered\n"
            "    entered += 1\n    await asyncio.sleep(0.5)\n    return str(entered)\n",
        )
        process = start("-m", "vivace", "run", "gate", "--port", "0", "--limit-pipeline", "2")
        client = process.client()
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" * 4)
        assert client.answer().text == "2"
        assert [client.answer().status for _ in range(3)] == [200, 200, 200]

    def test_limit_output_bytes(self, start, tmp_path):
        (tmp_path / "flood.py").write_text(
            HELLO + "\nimport asyncio\nhandled, gate = 0, asyncio.Event()\n@app.get('/wait')\nasync def wait():\n"
            "    await gate.wait()\n    return 'waited'\n@app.get('/open')\ndef open_gate():\n    gate.set()\n"
            "    return 'opened'\n@app.get('/more')\ndef more():\n    global handled\n    handled += 1\n"
            "    return 'x' * 10_000\n@app.get('/count')\ndef count():\n    return str(handled)\n",
        )
        for options, least, most in [((), 20, 30), (("--limit-output-bytes", "1KiB"), 1, 2)]:
            process = start("-m", "vivace", "run", "flood", "--port", "0", *options)
            client = process.client()
            # What waits behind the first one is nowhere but in the server: no kernel takes it.
            client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /more HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
            eventually(lambda process=process: process.get("/count").text != "0")
            assert least <= int(process.get("/count").text) <= most
            assert process.get("/open").text == "opened"
            assert client.answer().text == "waited"
            assert sum(len(client.answer().body) for _ in range(100)) == 1_000_000
