"""The engine as asyncio's selector: waiting, waking, and what else runs on the loop beside it."""

import asyncio
import contextlib
import gc
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from waiting import SECONDS

from vivace import Application, _engine, serving
from vivace.settings import LIMITS
from vivace.sockets import Tcp, open_listeners


def limits(**given):
    own = {name: setting.default for name, setting in LIMITS.items()} | given
    own.pop("timeout_graceful")
    return own


class TestWaiting:
    def test_handlers_that_a_full_pipeline_had_kept_waiting_do_not_wait_for_the_next_event(self, serve):
        app = Application()

        @app.get("/")
        async def slow(request):
            await asyncio.sleep(0.01)
            return "late"

        client = serve(app, limits=limits(limit_pipeline=2)).client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 9)
        assert [client.answer().text for _ in range(9)] == ["late"] * 9

    def test_nothing_keeps_a_signal_from_a_loop_that_serves_without_python(self, start):
        served = start(
            "-c",
            "import signal, vivace, asyncio\n"
            "from vivace import serving\nfrom vivace.loop import new_event_loop\n"
            "from vivace.sockets import Tcp, open_listeners\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "async def main():\n"
            "    (listener,) = open_listeners([Tcp('127.0.0.1', 0)])\n"
            "    async with serving.running(vivace.Application(), [listener]):\n"
            "        print('x serving http://127.0.0.1:%d (x)' % listener.socket.getsockname()[1], file=sys.stderr)\n"
            "        await asyncio.Event().wait()\n"
            "import sys\n"
            "loop = new_event_loop()\n"
            "signal.set_wakeup_fd(-1)\n"
            "loop.run_until_complete(main())\n",
        )
        client = served.client()
        stop = threading.Event()

        def flood():
            with contextlib.suppress(OSError, EOFError):
                while not stop.is_set():
                    client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
                    for _ in range(50):
                        client.answer()

        thread = threading.Thread(target=flood)
        thread.start()
        time.sleep(0.2)
        served.signal(signal.SIGINT)
        status, _, err = served.end()
        stop.set()
        thread.join()
        assert status in (1, -signal.SIGINT, 130)
        assert "KeyboardInterrupt" in err


class Flood:
    """Load from a thread, for as long as the context lasts."""

    def __init__(self, served, path):
        self._client = served.client()
        self._request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" * 20
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop:
            self._client.send(self._request)
            for _ in range(20):
                self._client.answer()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop = True
        self._thread.join()


@pytest.fixture(params=["idle", "sync", "async", "nowhere"])
def loaded(request, serve):
    """`loaded(app)`: a client of an application that others keep busy."""
    with contextlib.ExitStack() as stack:

        def begin(app):
            app.get("/load/sync")(lambda: "sync")

            @app.get("/load/async")
            async def suspends(request):
                await asyncio.sleep(0)
                return "async"

            served = serve(app)
            if request.param != "idle":
                stack.enter_context(Flood(served, f"/load/{request.param}"))
            return served.client()

        yield begin


class TestBesides:
    """What asyncio does is done beside the serving of requests, idle or busy."""

    def test_timers(self, loaded):
        app = Application()

        @app.get("/")
        async def handler(request):
            loop = asyncio.get_running_loop()
            began, late = loop.time(), []
            for n in range(1, 6):
                loop.call_later(n * 0.01, lambda due: late.append(loop.time() - due), began + n * 0.01)
            await asyncio.sleep(0.08)
            return " ".join(f"{seconds:.4f}" for seconds in late)

        late = [float(seconds) for seconds in loaded(app).request("/").text.split()]
        assert len(late) == 5
        assert min(late) > -0.001

    def test_a_timer_set_by_a_handler_that_does_not_wait_for_it(self, loaded):
        app = Application()
        rung = threading.Event()

        @app.get("/")
        def handler(request):
            asyncio.get_running_loop().call_later(0.01, rung.set)
            return "set"

        assert loaded(app).request("/").text == "set"
        assert rung.wait(SECONDS)

    def test_threads(self, loaded):
        app = Application()

        @app.get("/")
        async def handler(request):
            loop = asyncio.get_running_loop()
            found = await asyncio.gather(*(loop.run_in_executor(None, time.sleep, 0.001) for _ in range(5)))
            future = loop.create_future()
            thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(future.set_result, "called"))
            thread.start()
            text = await future
            thread.join()
            return f"{found} {text}"

        assert loaded(app).request("/").text == "[None, None, None, None, None] called"

    def test_subprocesses(self, loaded):
        app = Application()

        @app.get("/")
        async def handler(request):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "print(input())", stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            out, _ = await process.communicate(b"hello\n")
            return f"{out.decode().strip()} {process.returncode}"

        assert loaded(app).request("/").text == "hello 0"

    def test_streams(self, loaded):
        app = Application()

        async def echo(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        @app.get("/")
        async def handler(request):
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            async with server:
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"x" * 60_000 + b"\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
            return str(len(line))

        assert loaded(app).request("/").text == "60001"

    @pytest.mark.parametrize("number", [False, True], ids=["socket", "int"])
    def test_readers_and_writers(self, loaded, number):
        app = Application()

        @app.get("/")
        async def handler(request):
            loop = asyncio.get_running_loop()
            left, right = socket.socketpair()
            with left, right:
                seen = []
                readable = loop.create_future()
                what = left.fileno() if number else left
                loop.add_writer(what, seen.append, "writable")
                await asyncio.sleep(0.002)
                assert loop.remove_writer(what)
                loop.add_reader(what, lambda: readable.done() or readable.set_result(left.recv(9)))
                right.send(b"readable")
                data = await readable
                assert loop.remove_reader(what)
                assert not loop.remove_reader(what)
                return f"{seen[0]} {data.decode()}"

        assert loaded(app).request("/").text == "writable readable"


class TestClosing:
    """What done callbacks may not close, as the engine that calls them is at work outside of select() too."""

    @pytest.fixture
    def held(self, serve):
        """`held(cut)`: `cut(server, request)` is called in a task while a request waits; what its callback was told."""

        def serving_held(cut):
            app = Application()
            said, called = [], threading.Event()

            def close_all(request):
                for what in (served.running.server, asyncio.get_running_loop().selector):
                    try:
                        what.close()
                    except RuntimeError as error:
                        said.append(str(error))
                called.set()

            @app.get("/held")
            async def handler(request):
                request.add_done_callback(close_all)
                waiting.set_result(request)
                await asyncio.sleep(60)

            @app.get("/cut")
            async def cut_later(request):
                await asyncio.create_task(do_cut(await waiting))
                return "cut"

            async def do_cut(request):
                cut(served.running.server, request)

            @app.on_startup
            async def begin():
                nonlocal waiting
                waiting = asyncio.get_running_loop().create_future()

            app.get("/other")(lambda: "other")
            waiting = None
            served = serve(app)
            for path in ("/held", "/cut"):
                served.client().send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert called.wait(10)
            return served, said

        return serving_held

    SERVER = "the server is serving: a handler cannot close it"
    SELECTOR = "the selector is serving: stop the loop first"

    def test_a_callback_of_a_server_that_is_aborted(self, held):
        served, said = held(lambda server, request: server.abort())
        assert said == [self.SERVER, self.SELECTOR]
        assert served.get("/other").text == "other"

    def test_a_callback_of_a_connection_that_is_aborted(self, held):
        served, said = held(lambda server, request: request.transport.abort())
        assert said == [self.SERVER, self.SELECTOR]
        assert served.get("/other").text == "other"

    def test_a_callback_of_a_server_that_is_closed(self, held):
        served, said = held(lambda server, request: server.close())
        assert said == [self.SELECTOR]
        assert served.running.server.connections == 0

    def test_whoever_takes_the_last_lines_of_the_access_log(self, serve):
        app = Application()
        lines, said, taken = [], [], threading.Event()

        class Log:
            def begin(self, server):
                server.log_access("common", take=self.take)

            def take(self, text):
                lines.append(text)
                try:
                    asyncio.get_running_loop().selector.close()
                except RuntimeError as error:
                    said.append(str(error))
                taken.set()

        @app.get("/")
        async def handler(request):
            asyncio.get_running_loop().call_soon(served.running.server.close)
            await asyncio.sleep(60)

        served = serve(app, access_log=Log())
        served.client().send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert taken.wait(10)
        assert said == [self.SELECTOR]
        assert b'"GET / HTTP/1.1" 499' in lines[0]


class TestDescriptors:
    """What registers descriptors may run Python, and that may do anything."""

    class Odd:
        """A file object that does something when it is asked for its number."""

        def __init__(self, sock, does=lambda: None):
            self._socket = sock
            self._does = does
            self.asked = 0

        def fileno(self):
            self.asked += 1
            self._does()
            return self._socket.fileno()

    @pytest.fixture
    def pair(self):
        left, right = socket.socketpair()
        with left, right:
            yield left, right

    @pytest.mark.parametrize("how", ["register", "modify", "unregister"])
    def test_one_that_closes_the_selector(self, pair, how):
        selector = _engine.Selector("epoll")
        selector.register(pair[0], selectors.EVENT_READ)
        odd = self.Odd(pair[1] if how == "register" else pair[0], selector.close)
        arguments = () if how == "unregister" else (selectors.EVENT_READ,)
        with pytest.raises(RuntimeError if how == "register" else KeyError):
            getattr(selector, how)(odd, *arguments)
        with pytest.raises(RuntimeError, match="the selector is closed"):
            selector.register(pair[0], selectors.EVENT_READ)

    def test_one_is_asked_once(self, pair):
        with _engine.Selector("epoll") as selector:
            odd = self.Odd(pair[0])
            selector.register(odd, selectors.EVENT_READ)
            assert odd.asked == 1
            selector.unregister(odd)
            assert odd.asked == 2

    def test_the_collector_may_unregister_what_is_ready(self, pair):
        left, right = pair
        selector = _engine.Selector("epoll")

        class Unregisters:
            def __init__(self):
                self.itself = self

            def __del__(self):
                with contextlib.suppress(KeyError):
                    selector.unregister(left)

        with selector:
            right.send(b"readable")
            threshold = gc.get_threshold()
            try:
                for count in range(1, 12):  # until the collector runs: at each of the objects that select() makes
                    selector.register(left, selectors.EVENT_READ, data=["of this one only"])
                    gc.collect()
                    Unregisters()
                    gc.set_threshold(count)
                    ready = selector.select(0)
                    gc.set_threshold(*threshold)
                    for key, events in ready:
                        assert (key.fileobj, events, key.data) == (left, selectors.EVENT_READ, ["of this one only"])
                    gc.collect()
            finally:
                gc.set_threshold(*threshold)


class TestOtherLoops:
    """The engine under a loop that is not its own."""

    @pytest.mark.parametrize("name", ["uvloop", "asyncio"])
    def test_answers_given_outside_of_the_engine_leave_at_once(self, name, monkeypatch):
        monkeypatch.setattr(serving, "_POLL", 600)  # so that what waits for the next tick is never answered
        uvloop = pytest.importorskip("uvloop") if name == "uvloop" else None
        factory = uvloop.new_event_loop if uvloop else asyncio.SelectorEventLoop
        app = Application()

        @app.get("/now")
        def now(request):
            return "now"

        @app.get("/later")
        async def later(request):
            first = asyncio.current_task()
            await asyncio.sleep(0.001)
            return str(first is asyncio.current_task() is not None)

        @app.get("/timeout")
        async def timeout(request):
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(5)
            except TimeoutError:
                return "late"

        @app.get("/callback")
        async def callback(request):
            await asyncio.sleep(0.001)
            request.add_done_callback(lambda request: request.transport.close())
            request.transport.close()
            return "closing"

        @app.get("/abort")
        async def abort(request):
            await asyncio.sleep(0.001)
            request.transport.abort()
            return "nobody"

        async def ask(port, path):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                return (await reader.readexactly(length)).decode()
            finally:
                writer.close()

        async def main():
            with contextlib.closing(open_listeners([Tcp("127.0.0.1", 0)])[0]) as listener:
                async with serving.running(app, [listener]) as served:
                    port = listener.socket.getsockname()[1]
                    for _ in range(20):
                        assert await ask(port, "/now") == "now"
                        assert await ask(port, "/later") == "True"
                        assert await ask(port, "/timeout") == "late"
                        assert await ask(port, "/callback") == "closing"
                        with pytest.raises((EOFError, ConnectionResetError)):
                            await ask(port, "/abort")
                    assert served.server.requests == 100

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main())

    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
    def test_an_async_error_handler_that_is_wanted_after_the_engine_has_left(self, caplog):
        app = Application()

        @app.get("/")
        async def handler(request):
            try:
                waiting.set()
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise ValueError("cleaning up failed") from None

        @app.exception_handler(ValueError)
        async def answer(request, error):
            await asyncio.sleep(0)
            return "nobody hears it"

        async def main():
            with contextlib.closing(open_listeners([Tcp("127.0.0.1", 0)])[0]) as listener:
                async with serving.running(app, [listener], graceful=0):
                    _, writer = await asyncio.open_connection(*listener.socket.getsockname())
                    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    await waiting.wait()
            await cancelled.wait()
            writer.close()

        waiting, cancelled = asyncio.Event(), asyncio.Event()
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(main())
        assert "the event loop is gone" in caplog.text

    def test_the_engines_own_timers_run_there(self):
        uvloop = pytest.importorskip("uvloop")
        app = Application()

        async def main():
            with contextlib.closing(open_listeners([Tcp("127.0.0.1", 0)])[0]) as listener:
                async with serving.running(app, [listener], limits=limits(timeout_head=0.3)):
                    port = listener.socket.getsockname()[1]
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"GET / HTT")
                    answer = await reader.read()
                    writer.close()
                    return answer.split(b"\r\n")[0]

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(main()) == b"HTTP/1.1 408 Request Timeout"
