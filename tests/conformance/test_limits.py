"""The limits of a server: what is beyond them is answered as promised, and what is within them is served."""

import asyncio
import json
import os
import socket
import sys
import time
from threading import Thread

import pytest
from wire import CLOSE, SECONDS, Wire, chunked, eventually, get, in_time, post, sending_on, split, whole

from vivace import Application

# Heads


def head_of(size, target="/dump/", field="X: "):
    """A request whose request line and fields have this many bytes with the empty line, grown in the field."""
    bare = len(get(target, field))
    return get(target, field + "x" * (size - bare))


@pytest.mark.parametrize("target", ["/at-once/x", "/later/x"])
def test_a_head_as_long_as_allowed_is_served_and_a_longer_one_is_431(serve, limited, target):
    port = serve(limited(limit_head_bytes=2_000)).port
    for size, status in [(1_000, 200), (1_990, 200), (2_010, 431), (3_000, 431), (200_000, 431)]:
        answers = split(whole(port, head_of(size, target) + get("/", "Connection: close")))
        assert [answer.status for answer in answers] == ([200, 200] if status == 200 else [status]), size


@pytest.mark.parametrize("size", [2_100, 5_000, 200_000])
def test_a_target_that_is_too_long_alone_is_414(serve, limited, size):
    answers = split(whole(serve(limited(limit_head_bytes=2_000)).port, get("/" + "x" * size)))
    assert [answer.status for answer in answers] == [414]


@pytest.mark.parametrize(("start", "status"), [(b"GET / HTTP/1.1\r\nHost: test\r\nX: ", 431), (b"GET /", 414)])
def test_a_head_without_an_end_is_refused_once_it_is_too_long(serve, limited, start, status):
    def talk(wire):
        wire.send(start)
        for _ in range(25):
            wire.try_send(b"x" * 100)
        return wire.answer().status

    assert sending_on(serve(limited(limit_head_bytes=2_000)).port, talk) == status


def test_fields_as_many_as_allowed_are_served_and_one_more_is_431(serve, limited):
    port = serve(limited(limit_header_fields=10)).port
    for count, statuses in [(9, [200, 200]), (10, [431]), (100, [431])]:
        data = get("/dump", *[f"X-{number}: x" for number in range(count)]) + CLOSE  # and Host
        assert [answer.status for answer in split(whole(port, data))] == statuses


def test_the_defaults_take_what_clients_send(server):
    fields = [f"X-{number}: {'x' * 300}" for number in range(99)]
    answers = split(whole(server.port, get("/dump", *fields) + get("/dump/" + "x" * 32_000) + CLOSE))
    assert [answer.status for answer in answers] == [200, 200, 200]


# Bodies


@pytest.mark.parametrize("target", ["/echo/x", "/sleep/0/x"])
def test_a_body_as_long_as_allowed_is_served_and_a_longer_one_is_413(serve, limited, target):
    port = serve(limited(limit_body_bytes=1_000)).port
    for size, status in [(0, 200), (999, 200), (1_000, 200), (1_001, 413), (5_000, 413), (10**15, 413)]:
        sent = min(size, 5_000)
        by_length = get(target, f"Content-Length: {size}", method="POST") + b"x" * sent
        statuses = [answer.status for answer in split(whole(port, by_length + CLOSE))]
        assert statuses == ([200, 200] if status == 200 else [413]), size
        half = sent // 2
        by_chunks = chunked(target, *[part for part in (b"x" * half, b"x" * (sent - half)) if part])
        statuses = [answer.status for answer in split(whole(port, by_chunks + CLOSE))]
        assert statuses == ([200, 200] if status == 200 else [413]), size


def test_a_body_that_is_too_long_is_refused_before_it_is_sent(serve, limited):
    port = serve(limited(limit_body_bytes=1_000)).port
    for data in (
        get("/dump", "Content-Length: 1001", method="POST"),
        get("/dump", "Transfer-Encoding: chunked", method="POST") + b"3e9",
    ):
        with Wire(port) as wire:
            wire.send(data)
            assert wire.answer().status == 413


def test_chunks_whose_extensions_are_endless_are_refused(server):
    data = get("/dump", "Transfer-Encoding: chunked", method="POST") + b"1;x=y\r\nz\r\n" * 2_000
    assert [answer.status for answer in split(whole(server.port, data))] == [400]


def test_trailers_that_are_endless_are_refused(server):
    data = get("/dump", "Transfer-Encoding: chunked", method="POST") + b"0\r\n" + b"X: y\r\n" * 20_000
    assert [answer.status for answer in split(whole(server.port, data))] == [400]


def test_a_large_body_arrives_whole(wire):
    body = os.urandom(5_000_000)
    for data in (
        post("/dump", body),
        chunked("/later/x", *[body[at : at + 9_999] for at in range(0, len(body), 9_999)]),
    ):
        connection = wire()
        connection.send(data)
        assert json.loads(connection.answer().text)["body"] == body.decode("latin-1")
        assert connection.alive()


# Pipelines


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_no_more_requests_of_a_connection_are_in_flight_than_allowed(serve, limited, limit):
    app = limited(limit_pipeline=limit)
    server = serve(app)
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire.send(b"".join(get(f"/wait/{number // limit}") for number in range(70)) + CLOSE)
        for number in range(70):
            other.send(get(f"/open/{number}"))
            other.answer()
        answers = split(wire.until_closed())
    assert [answer.text for answer in answers[:-1]] == [f"waited for {number // limit}" for number in range(70)]
    assert app.gates.most == limit


def test_other_connections_go_on_beside_a_full_pipeline(serve, limited):
    server = serve(limited(limit_pipeline=2))
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire.send(get("/wait/it") * 1_000)
        for _ in range(20):
            other.send(get("/sleep/1/x") * 5)
            assert len(other.answers(5)) == 5
        other.send(get("/open/it"))
        assert len(wire.answers(1_000)) == 1_000


# Output


@pytest.mark.parametrize("target", ["/big/65536", "/big-later/65536"])
@pytest.mark.parametrize("count", [1_500])
def test_a_client_that_does_not_read_is_not_served_on(serve, limited, target, count):
    app = limited(limit_output_bytes=256 * 1024)
    server = serve(app)
    data = get(target) * count
    with Wire(server.port, receive_bytes=4096) as wire, Wire(server.port) as other:
        sender = Thread(target=wire.try_send, args=[data])
        sender.start()
        sender.join(SECONDS)
        for _ in range(100):
            other.send(get("/sleep/1/x"))
            other.answer()
        # What the kernel takes (some MB at most), what may wait unsent, and 128 in flight: far from all.
        assert app.served < 600
        for _ in range(count):
            assert len(wire.answer().body) == 65536
    assert app.served == count


def test_answers_that_wait_for_a_slow_one_are_bounded_too(serve, limited):
    app = limited(limit_output_bytes=256 * 1024)
    server = serve(app)
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire.send(get("/wait/it") + get("/big/65536") * 1_000)
        for _ in range(50):
            other.send(get("/at-once/x"))
            other.answer()
        assert app.served <= 8
        other.send(get("/open/it"))
        assert wire.answer().text == "waited for it"
        assert sum(len(wire.answer().body) for _ in range(1_000)) == 65_536_000


def test_one_answer_may_be_larger_than_the_limit(serve, limited):
    server = serve(limited(limit_output_bytes=1_000))
    with Wire(server.port) as wire:
        wire.send(get("/big/3000000") + get("/big-later/3000000") + get("/echo/behind"))
        assert [len(answer.body) for answer in wire.answers(3)] == [3_000_000, 3_000_000, 7]


MEMORY = """
from vivace import Application

app = Application()

@app.get("/big")
def big(request):
    return b"x" * 1_000_000

@app.get("/memory")
def memory(request):
    return [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")]

app.run(port=0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures itself in /proc")
def test_memory_stays_bounded_while_nobody_reads(start, tmp_path):
    (tmp_path / "page.py").write_text(MEMORY)
    process = start("page.py")
    with Wire(process.port) as other:

        def memory():
            other.send(get("/memory"))
            return json.loads(other.answer().text)[0]

        before = memory()
        wires = [Wire(process.port, receive_bytes=4096) for _ in range(10)]
        for wire in wires:
            wire.send(get("/big") * 100)
        for _ in range(100):
            memory()
        assert memory() - before < 100_000  # KiB, of 1 GB
        wires[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        assert sum(len(answer.body) for answer in wires[0].answers(100)) == 100_000_000
        for wire in wires:
            wire.close()
    assert process.stop()[0] == 0


# Connections


def test_more_connections_than_allowed_wait_and_are_not_dropped(serve, limited):
    server = serve(limited(limit_connections=3))
    wires = [Wire(server.port) for _ in range(10)]
    for number, wire in enumerate(wires):
        wire.send(get(f"/echo/{number}"))
    # Whichever three were accepted are served; the others only when one of those has gone.
    waiting, served = dict(enumerate(wires)), []

    def some():
        return [number for number, wire in waiting.items() if not wire.silent()]

    while waiting:
        eventually(some)
        for number in some():
            wire = waiting.pop(number)
            assert wire.answer().text == f"{number} "
            served.append(wire)
            assert server.running.server.connections <= 3
        assert len(served) <= 3
        served.pop(0).close()
    for wire in served:
        assert wire.alive()
        wire.close()
    eventually(lambda: server.running.server.connections == 0)
    assert server.get("/echo/after").text == "after "


def test_idle_connections_beyond_the_limit_keep_the_queue_waiting_only_while_they_stay(serve, limited):
    server = serve(limited(limit_connections=1))
    with Wire(server.port) as first:
        assert first.alive()
        second = Wire(server.port)
        second.send(get("/echo/second"))
        assert all(first.alive() for _ in range(20))
        assert second.silent()
    assert second.answer().text == "second "
    second.close()


# Times: no test may fail because something took long, so each waits for what must come


@pytest.fixture
def hurried(serve, limited):
    return lambda **times: serve(limited(**{f"timeout_{name}": seconds for name, seconds in times.items()}))


@pytest.mark.parametrize(
    "data", [b"G", b"\r\n", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: test\r\n", get("/") + b"G"]
)
def test_a_head_that_does_not_end_is_408(hurried, data):
    with Wire(hurried(head=0.1).port) as wire:
        wire.send(data)
        answers = split(wire.until_closed())
    assert [answer.status for answer in answers] == ([200] if data.startswith(get("/")) else []) + [408]
    assert answers[-1].headers["connection"] == "close"


def test_a_head_that_trickles_is_408(hurried):
    """Time counts from its first byte: one byte now and then does not keep a connection for ever."""

    def talk(wire):
        for byte in get("/", "X: " + "x" * 10_000):
            wire.try_send(bytes([byte]))
            if not wire.silent():
                break
            time.sleep(0.01)
        return wire.answer().status

    assert sending_on(hurried(head=0.3).port, talk) == 408


@pytest.mark.parametrize(
    "data",
    [
        get("/dump", "Content-Length: 5", method="POST"),
        get("/dump", "Content-Length: 5", method="POST") + b"hell",
        chunked("/dump", b"hello")[:-1],
        chunked("/dump", b"hello")[:-12],
        get("/dump", "Transfer-Encoding: chunked", method="POST"),
    ],
)
def test_a_body_that_does_not_come_is_408(hurried, data):
    with Wire(hurried(body=0.1).port) as wire:
        wire.send(data)
        answers = split(wire.until_closed())
    assert [answer.status for answer in answers] == [408]


def test_a_client_that_was_told_to_go_on_and_does_not_is_408(hurried):
    with Wire(hurried(body=0.1).port) as wire:
        wire.send(get("/dump", "Content-Length: 5", "Expect: 100-continue", method="POST"))
        assert [answer.status for answer in split(wire.until_closed())] == [100, 408]


@pytest.mark.parametrize("before", [b"", get("/"), post("/later/x", b"abc"), chunked("/dump", b"abc")])
def test_an_idle_connection_is_closed_without_an_answer(hurried, before):
    port = hurried(keep_alive=0.4).port

    def attempt():
        began, kept_up = time.monotonic(), False
        with Wire(port) as wire:
            try:
                wire.send(before)
                kept_up = time.monotonic() - began < 0.2
                came = wire.until_closed()
                return kept_up or bool(came) == bool(before), came
            except ConnectionError:
                if kept_up:
                    raise
                return False, b""

    assert [answer.status for answer in split(in_time(attempt))] == ([200] if before else [])


def test_a_handler_may_take_longer_than_every_time_out(hurried):
    server = hurried(head=0.05, body=0.05, write=0.05)
    with Wire(server.port) as wire:
        wire.send(get("/sleep/400/x") + get("/sleep/400/y") + get("/", "Connection: close"))
        assert [answer.status for answer in split(wire.until_closed())] == [200, 200, 200]


def test_who_takes_nothing_of_an_answer_is_cut(hurried):
    server = hurried(write=0.2)
    with Wire(server.port, receive_bytes=4096) as wire:
        wire.send(get("/big/30000000"))
        eventually(lambda: server.running.server.requests == 1)
        eventually(lambda: server.running.server.connections == 0)


async def _paced(port, parts, pause, limit):
    """Send parts with a pause between. What came back, and whether it counts: a 408 does if each came in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    loop, kept_up, last = asyncio.get_running_loop(), True, None
    for part in parts:
        writer.write(part)
        now = loop.time()
        kept_up = kept_up and (last is None or now - last < limit)
        last = now
        await asyncio.sleep(pause)
    try:
        writer.write_eof()
        answers = await reader.read()
    except ConnectionError:
        if kept_up:
            raise
        return False, b""
    finally:
        writer.close()
    return kept_up or b" 408 " not in answers, answers


def paced(port, parts, pause, limit):
    return in_time(lambda: asyncio.run(_paced(port, parts, pause, limit)))


def test_a_body_that_makes_progress_has_all_the_time_it_needs(hurried):
    port = hurried(body=0.4, head=0.4, keep_alive=0.4).port
    data = get("/dump", "Content-Length: 20", method="POST")
    answers = paced(port, [data, *[b"x"] * 20], 0.04, 0.2)
    assert [answer.status for answer in split(answers)] == [200]


def test_each_head_has_its_own_time(hurried):
    """Pipelines cut within their heads, again and again: no head takes long, all together do."""
    port = hurried(head=0.4).port
    one = get("/")
    parts = [one[:10], *[one[10:] + one[:10]] * 20, one[10:]]
    answers = paced(port, parts, 0.04, 0.1)
    assert [answer.status for answer in split(answers)] == [200] * 21


def test_a_slow_reader_that_reads_on_is_not_cut(hurried):
    server = hurried(write=0.8)

    def attempt():
        received, last, kept_up = 0, time.monotonic(), True
        with Wire(server.port, receive_bytes=65536) as wire:
            wire.send(get("/big/4000000") + get("/", "Connection: close"))
            try:
                while part := wire.socket.recv(150_000):
                    received += len(part)
                    kept_up = kept_up and time.monotonic() - last < 0.3
                    last = time.monotonic()
                    time.sleep(0.05)
            except ConnectionError:
                kept_up = kept_up and time.monotonic() - last < 0.3
        return kept_up or received > 4_000_000, received

    assert in_time(attempt) > 4_000_000


def test_limits_are_checked():
    for wrong in ({"limit_pipeline": 0}, {"limit_connections": 0}, {"limit_head_bytes": 1}, {"timeout_head": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Application(**wrong)
