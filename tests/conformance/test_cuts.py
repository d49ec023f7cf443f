"""Whatever the packets, the answers are the same: every request is cut in two at each of its bytes, sent byte by byte,
and in random parts.
"""

import random
import time
from contextlib import ExitStack
from functools import partial

import pytest
from wire import CLOSE, CONTINUE, LINGERS, SECONDS, Wire, chunked, get, in_time, post, sending_on, split, undated, whole

AT_ONCE = 64  # connections; fewer where the server may have answered, and reads on for a while only
AT_ONCE_BAD = 8

GOOD = {
    "a GET with headers": get("/dump/a%20b?c=d", "Accept: */*", "Cookie: a=b; c=d", "X-Odd: \t spaced \t", "X-Empty:"),
    "a GET that closes": get("/dump", "Connection: close"),
    "a POST with a length": post("/dump", b"hello, \r\n\r\nGET / HTTP/1.1\r\n"),
    "an empty POST": post("/dump", b""),
    "a POST to a coroutine": post("/later/x", b"a body that is kept", "X-Kept: yes"),
    "chunks with extensions and trailers": (
        get("/dump", "Transfer-Encoding: chunked")
        + b'5;name=value;quoted="a b"\r\nhello\r\n00A \r\n0123456789\r\n1;x\r\n\n\r\n0;last\r\n'
        + b"X-Trailer: ignored\r\nX-Other: too\r\n\r\n"
    ).replace(b"GET", b"POST", 1),
    "no chunks": chunked("/dump"),
    "chunks to a coroutine": chunked("/later/y", b"one", b"two" * 10),
    "HEAD": get("/dump", method="HEAD"),
    "HTTP/1.0": get("/dump", version="1.0"),
    "HTTP/1.0 that stays": get("/dump", "Connection: Keep-Alive", version="1.0"),
    "an empty line before": b"\r\n" + get("/dump"),
    "absolute form": get("http://other:80/dump?x"),
    "OPTIONS *": get("*", method="OPTIONS"),
    "not found": get("/nowhere"),
    "not allowed": get("/dump", method="PATCH"),
    "a failing handler": get("/fail"),
    "an answer that closes": get("/closing"),
    "a coroutine's answer that closes": get("/closing-later"),
    "pipelined, sync": get("/dump/1") + get("/dump/2") + get("/dump/3"),
    "pipelined, mixed": get("/dump/1") + get("/later/2") + post("/dump/3", b"3") + get("/fail-later") + get("/dump/4"),
    "pipelined bodies": post("/later/1", b"11") + chunked("/dump/2", b"2", b"22") + post("/dump/3", b"333") + get("/"),
    "pipelined chunks": chunked("/later/1", b"1") + chunked("/later/2", b"2") + chunked("/dump/3", b"3"),
    "pipelined behind the last": get("/later/1", "Connection: close") + get("/dump/never"),
}
EXPECTING = {
    "an expectation": post("/dump", b"asked for", "Expect: 100-continue"),
    "an expectation of chunks": chunked("/later/x", b"asked", b"for", lines=["Expect: 100-continue"]),
    "an expectation, pipelined": get("/dump/1") + post("/dump/2", b"asked", "Expect: 100-continue") + get("/dump/3"),
}
BAD = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a bad request line": b"GET  / HTTP/1.1\r\nHost: test\r\n\r\n",
    "a bad version": b"GET / HTTP/2.0\r\nHost: test\r\n\r\n",
    "a bad field": get("/", "Bad Name: x"),
    "a bare LF": b"GET / HTTP/1.1\nHost: test\n\n",
    "a bare CR": get("/", "X: a\rb"),
    "no host": b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "a folded field": get("/", "X: a\r\n b"),
    "two lengths": post("/dump", b"abc", "Content-Length: 4"),
    "a length and chunks": post("/dump", b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "another coding": get("/", "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a bad chunk size": chunked("/dump", b"ok", b"")[:-5] + b"x\r\n",
    "a chunk without its end": chunked("/dump", b"ok", b"")[:-10] + b"5\r\nhelloX\r\n0\r\n\r\n",
    "another expectation": post("/dump", b"abc", "Expect: 200-ok"),
    "CONNECT": b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n",
    "an invalid escape": get("/dump/%zz"),
    "invalid UTF-8": get("/dump/%ff"),
    "a body that is too large": get("/dump", "Content-Length: 99999999999", method="POST"),
    "bad behind good": get("/dump/1") + post("/later/2", b"abc") + get("/dump/3") + b"\0" + get("/dump/never"),
}
LAST = ("a GET that closes", "HTTP/1.0", "pipelined behind the last")  # their first is the last, says the client
CASES = {**GOOD, **EXPECTING, **BAD}


class Pace:
    """A second connection: when it is answered, the server has read what was sent on the others before."""

    def __init__(self, port):
        self.wire = Wire(port)

    def __call__(self):
        self.wire.send(get("/at-once/ping"))
        assert self.wire.answer().text == "ping"


@pytest.fixture
def pace(server):
    pace = Pace(server.port)
    yield pace
    pace.wire.close()


def all_of(name):
    return CASES[name] + CLOSE


def places_to_cut(name):
    """Where. What a client sends after its last was answered and closed finds nobody (RFC 9112 section 9.6), and may
    be answered by a reset that destroys the answer: it goes with that request's last byte.
    """
    return range(1, CASES[name].index(b"\r\n\r\n") + 4 if name in LAST else len(CASES[name]) + 1)


def expected(port, name):
    """What comes back from the same bytes in one packet."""
    answer = undated(whole(port, all_of(name)))
    assert split(answer.replace(CONTINUE, b""), ["HEAD"] if name == "HEAD" else ())
    return answer.replace(CONTINUE, b"")


def ends_of_expecting_heads(name):
    """Where the server answers 100 if nothing has come behind."""
    data, ends = CASES[name], []
    at = data.find(b"Expect: 100-continue")
    while at >= 0:
        ends.append(data.index(b"\r\n\r\n", at) + 4)
        at = data.find(b"Expect: 100-continue", ends[-1])
    return ends


@pytest.mark.parametrize("name", CASES)
def test_cut_in_two_at_each_byte(server, pace, name):
    data, want = all_of(name), expected(server.port, name)
    asked_for = ends_of_expecting_heads(name)
    places = places_to_cut(name)
    at_once = AT_ONCE_BAD if name in BAD else AT_ONCE
    for first in range(0, len(places), at_once):
        cuts = places[first : first + at_once]
        for cut, came in zip(cuts, in_time(partial(cut_in_two, server.port, pace, data, cuts)), strict=True):
            got = undated(came)
            if cut in asked_for:
                assert got.count(CONTINUE) == 1
                got = got.replace(CONTINUE, b"")
            assert got == want, f"cut at {cut}: {data[:cut]!r} | {data[cut:]!r}"


def cut_in_two(port, pace, data, cuts):
    """What comes back on a connection for each of the cuts, and whether all was sent in time."""
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(port)) for _ in cuts]
        began = time.monotonic()
        try:
            for cut, wire in zip(cuts, wires, strict=True):
                wire.send(data[:cut])
            pace()
            for cut, wire in zip(cuts, wires, strict=True):
                wire.send(data[cut:])
            return True, [wire.until_closed() for wire in wires]
        except ConnectionError:
            if time.monotonic() - began < LINGERS:
                raise
            return False, []


@pytest.mark.parametrize("name", CASES)
def test_byte_by_byte(server, pace, name):
    data, want = all_of(name), expected(server.port, name)
    last = places_to_cut(name)[-1] if name in LAST else len(data) - 1

    def talk(wire):
        for at in range(last):
            wire.send(data[at : at + 1])
            pace()
            wire.silent()  # the time runs from when it no longer is
        wire.send(data[last:])
        return undated(wire.until_closed())

    got = sending_on(server.port, talk)
    assert got.count(CONTINUE) == len(ends_of_expecting_heads(name))
    assert got.replace(CONTINUE, b"") == want


def parts_of(data, chance):
    cuts = sorted(chance.sample(range(1, len(data)), chance.randint(1, 12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_long_ones_in_random_parts(server, pace, seed):
    """Bodies and pipelines longer than what is received at once."""
    chance = random.Random(seed)
    body = bytes(chance.choices(b"abc\r\n0123", k=150_000))
    chunks = [body[start : start + 7_000] for start in range(0, len(body), 7_000)]
    data = (
        b"".join(get(f"/dump/{number}") for number in range(300))
        + post("/later/body", body)
        + chunked("/dump/chunks", *chunks)
        + b"".join(post(f"/later/{number}", b"x" * number) for number in range(300))
        + chunked("/later/chunks", *chunks)
        + CLOSE
    )
    want = undated(whole_while_reading(server.port, [data]))
    assert len(split(want)) == 604
    assert undated(whole_while_reading(server.port, parts_of(data, chance), pace)) == want


def whole_while_reading(port, parts, between=lambda: None):
    """What comes back, read while it is sent: neither side may have to wait for the other."""
    from threading import Thread

    with Wire(port) as wire:

        def send():
            for part in parts:
                wire.send(part)
                between()

        sender = Thread(target=send)
        sender.start()
        try:
            return wire.until_closed()
        finally:
            sender.join(SECONDS)
