"""The test client: the engine at the other end, exceptions where they help, and nothing left behind."""

import asyncio
import os
import re
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from waiting import SECONDS

from vivace import Application, HTTPError, Response
from vivace.loop import new_event_loop
from vivace.testing import AsyncTestClient, TestClient

IO = os.environ.get("VIVACE_IO", "auto")


class BugError(Exception):
    pass


def make_app(**limits):
    app = Application(**limits)
    app.state.cancelled = threading.Event()
    app.state.waiting = threading.Event()

    @app.get("/")
    def hello():
        return "Hello world!"

    @app.post("/echo")
    def echo(request):
        return {"json": request.json, "type": request.mime_type}

    @app.get("/who")
    def who(request):
        return {"remote": request.remote_addr, "host": request.hostname, "port": request.port, "scheme": request.scheme}

    @app.get("/bug/{name}")
    def bug(name):
        raise BugError(name)

    @app.get("/bug-later/{name}")
    async def bug_later(name):
        await asyncio.sleep(0.001)
        raise BugError(name)

    @app.get("/gone")
    def gone():
        raise HTTPError(410)

    @app.get("/set")
    def set_cookie():
        answer = Response("", 302, headers={"Location": "/cookie"})
        answer.set_cookie("a", "b")
        return answer

    @app.get("/cookie")
    def cookie(request):
        return request.cookies.get("a", "none")

    @app.get("/wait")
    async def wait():
        app.state.waiting.set()
        try:
            await asyncio.sleep(600)
        finally:
            app.state.cancelled.set()

    return app


@pytest.fixture
def app():
    return make_app()


@pytest.fixture
def client(app):
    with TestClient(app, io=IO) as client:
        yield client


class TestRequests:
    def test_it_is_httpx2s_client(self, client):
        assert isinstance(client, httpx2.Client)
        answer = client.get("/")
        assert (answer.status_code, answer.text, answer.http_version) == (200, "Hello world!", "HTTP/1.1")
        assert client.post("/echo", json={"a": 1}).json() == {"json": {"a": 1}, "type": "application/json"}
        assert client.get("/nowhere").status_code == 404
        assert client.head("/").headers["content-length"] == "12"

    def test_options_of_the_client(self, app):
        with TestClient(app, io=IO, follow_redirects=True, headers={"X-A": "b"}, timeout=5) as client:
            answer = client.get("/set")
            assert (answer.text, answer.url.path) == ("b", "/cookie")
            assert client.headers["x-a"] == "b"
            assert client.timeout == httpx2.Timeout(5)

    def test_what_the_application_sees(self, client, app):
        assert client.get("/who").json() == {
            "remote": "127.0.0.1",
            "host": "testserver",
            "port": None,
            "scheme": "http",
        }
        elsewhere = client.get("http://shop.example:81/who").json()
        assert (elsewhere["host"], elsewhere["port"]) == ("shop.example", 81)
        with TestClient(app, io=IO, base_url="http://other.example") as other:
            assert other.get("/who").json()["host"] == "other.example"

    def test_limits_are_the_real_ones(self):
        with TestClient(make_app(limit_body_bytes=10, limit_header_fields=20), io=IO) as client:
            assert client.post("/echo", content=b"x" * 11).status_code == 413
            assert client.get("/", headers={f"X-{number}": "" for number in range(20)}).status_code == 431

    def test_raw_bytes(self, client):
        with socket.create_connection(client.address) as raw:
            raw.sendall(b"nonsense\r\n\r\n")
            assert raw.recv(12) == b"HTTP/1.1 400"

    def test_tls_is_not_spoken(self, client):
        with pytest.raises(httpx2.UnsupportedProtocol, match="the test client speaks http"):
            client.get("https://testserver/")

    def test_proxies_of_the_environment_are_left_alone(self, app, monkeypatch):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        with TestClient(app, io=IO) as client:
            assert client.get("/").text == "Hello world!"


class TestExceptions:
    @pytest.mark.parametrize("path", ["/bug/x", "/bug-later/x"])
    def test_a_bug_is_raised_with_its_traceback(self, client, path):
        with pytest.raises(BugError, match="x") as raised:
            client.get(path)
        assert raised.traceback[-1].name.startswith("bug")
        assert client.get("/").text == "Hello world!"

    def test_or_answered(self, app):
        with TestClient(app, io=IO, raise_server_exceptions=False) as client:
            assert client.get("/bug/x").status_code == 500

    def test_what_is_an_answer_is_not_raised(self, client):
        assert client.get("/gone").status_code == 410
        assert client.post("/echo", content=b"{").status_code == 400

    def test_what_an_error_handler_takes_is_not_raised(self, app):
        app.add_error_handler(BugError, lambda request, exception: Response(str(exception), 503))
        with TestClient(app, io=IO) as client:
            answer = client.get("/bug/taken")
            assert (answer.status_code, answer.text) == (503, "taken")

    def test_each_request_raises_its_own(self, client):
        def ask(number):
            try:
                client.get(f"/{'bug' if number % 2 else 'bug-later'}/{number}")
            except BugError as error:
                return int(str(error))

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(200))) == list(range(200))

    def test_a_500_that_is_meant_is_no_exception(self, app):
        app.get("/meant")(lambda: Response("", 500))
        with TestClient(app, io=IO) as client:
            with pytest.raises(BugError):
                client.get("/bug/x")
            assert client.get("/meant").status_code == 500


class TestLife:
    def test_hooks_run_and_the_loop_is_the_applications(self, app):
        told = []

        @app.on_startup
        async def start():
            app.state.loop = asyncio.get_running_loop()
            told.append("start")

        app.on_shutdown(lambda: told.append("stop"))
        with TestClient(app, io=IO) as client:
            assert told == ["start"]

            async def running_loop():
                return asyncio.get_running_loop()

            assert client.run(running_loop()) is app.state.loop
        assert told == ["start", "stop"]

    def test_what_a_startup_hook_raises_is_raised_here(self, app):
        app.on_startup(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError), TestClient(app, io=IO):
            pytest.fail("it has started")

    def test_what_a_shutdown_hook_raises_is_raised_here(self, app):
        app.on_shutdown(lambda: 1 / 0)
        with pytest.raises(Exception, match="1 shutdown hook failed"), TestClient(app, io=IO) as client:
            assert client.get("/").text == "Hello world!"

    def test_what_the_test_raises_stays(self, app):
        with pytest.raises(KeyError, match="mine"), TestClient(app, io=IO):
            raise KeyError("mine")

    def test_requests_outside_of_the_context(self, app):
        client = TestClient(app, io=IO)
        with pytest.raises(RuntimeError, match=r"write `with TestClient\(app\) as client:` around its requests"):
            client.get("/")
        with pytest.raises(RuntimeError, match="not served"):
            _ = client.address
        client.close()
        with TestClient(app, io=IO) as entered:
            pass
        with pytest.raises(RuntimeError, match="has been closed"):
            entered.get("/")
        with pytest.raises(RuntimeError, match="not served"):
            entered.run(asyncio.sleep(0))

    def test_several_at_once(self, app):
        other = make_app()
        with TestClient(app, io=IO) as one, TestClient(app, io=IO) as two, TestClient(other, io=IO) as three:
            assert len({one.address, two.address, three.address}) == 3
            assert [client.get("/").text for client in (one, two, three)] == 3 * ["Hello world!"]
            with pytest.raises(BugError):
                two.get("/bug/x")
            assert one.get("/").status_code == 200

    def test_again_and_again(self, app):
        for _ in range(5):
            with TestClient(app, io=IO) as client:
                assert client.get("/").text == "Hello world!"

    def test_a_request_in_flight_is_cut_at_the_end(self, app):
        with TestClient(app, io=IO, graceful=0.05) as client:
            with pytest.raises(httpx2.ReadTimeout):
                client.get("/wait", timeout=0.05)
            assert app.state.waiting.wait(SECONDS)
        assert app.state.cancelled.wait(SECONDS)

    def test_an_application_that_does_not_stop(self, app, monkeypatch):
        monkeypatch.setattr("vivace.testing._PATIENCE", 0.05)
        let_go = threading.Event()
        app.on_shutdown(lambda: let_go.wait(SECONDS))
        with pytest.raises(RuntimeError, match="the application does not stop"), TestClient(app, io=IO, graceful=0):
            pass
        let_go.set()
        for thread in threading.enumerate():
            if thread.name == "vivace test server":
                thread.join(SECONDS)

    def test_a_coroutine_that_takes_too_long(self, client):
        with pytest.raises(TimeoutError):
            client.run(asyncio.sleep(600), timeout=0.01)


class TestAsync:
    @pytest.mark.parametrize("factory", [None, lambda: new_event_loop(IO)])
    def test_on_the_running_loop(self, app, factory):
        async def main():
            async with AsyncTestClient(app) as client:
                assert isinstance(client, httpx2.AsyncClient)
                assert app.loop is asyncio.get_running_loop()
                answers = await asyncio.gather(*(client.get("/who") for _ in range(20)))
                assert {answer.json()["host"] for answer in answers} == {"testserver"}
                with pytest.raises(BugError, match="x"):
                    await client.get("/bug-later/x")
                with pytest.raises(httpx2.UnsupportedProtocol):
                    await client.get("https://testserver/")
            with pytest.raises(RuntimeError, match="has been closed"):
                await client.get("/")

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    def test_requests_outside_of_the_context(self, app):
        async def main():
            client = AsyncTestClient(app)
            with pytest.raises(RuntimeError, match=r"write `async with AsyncTestClient\(app\) as client:`"):
                await client.get("/")
            await client.aclose()

        asyncio.run(main())

    def test_errors_of_hooks(self, app):
        app.on_startup(lambda: 1 / 0)

        async def main():
            async with AsyncTestClient(app):
                pytest.fail("it has started")

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())


def python(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=280, check=False
    )


LEAKS = """
import gc, os, sys, threading
sys.path[:0] = {here!r}
from test_testing import AsyncTestClient, BugError, TestClient, make_app, asyncio

def once():
    app = make_app()
    with TestClient(app, io={io!r}) as client:
        client.get("/")
        try:
            client.get("/bug/x")
        except BugError:
            pass
        with client.stream("GET", "/"):
            pass
    async def main():
        async with AsyncTestClient(app) as client:
            await client.get("/")
    asyncio.run(main())

once()
gc.collect()
before = len(os.listdir("/proc/self/fd")), threading.active_count()
for _ in range(3):
    once()
gc.collect()
assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
print("nothing left")
"""


def test_no_threads_sockets_or_warnings_are_left():
    script = LEAKS.format(here=[str(folder) for folder in Path(__file__).parents[:2]], io=IO)
    done = python("-X", "dev", "-W", "error", "-c", script)
    assert (done.returncode, done.stdout) == (0, "nothing left\n"), done.stderr
    assert "Warning" not in done.stderr


def test_without_httpx2_one_line_says_what_to_do():
    script = "import sys; sys.modules['httpx2'] = None; import vivace.testing"
    done = python("-c", script)
    assert done.stderr.splitlines()[-1] == ("ModuleNotFoundError: vivace.testing needs httpx2: `pip install httpx2`")


def test_vivace_itself_does_not_import_httpx2():
    script = "import sys, vivace, vivace.cli; assert 'httpx2' not in sys.modules"
    assert python("-c", script).returncode == 0


GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "testing.md"


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not here")
@pytest.mark.timeout(300)
def test_the_guides_tests_pass(tmp_path):
    application, *tests = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text(application)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    for number, text in enumerate(tests):
        (tmp_path / f"test_{number}.py").write_text(text)
    done = python("-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^{'|'.join(tests).count('def test_')} passed", done.stdout, re.MULTILINE)
