"""What is refused gets its answer, in its turn, and ends the connection: nothing behind it is ever a request."""

import tomllib
from itertools import count
from pathlib import Path

import pytest
from wire import Wire, chunked, eventually, get, post, sending_on, split, whole

BEHIND = get("/dump/smuggled")


def corpus():
    cases = tomllib.loads((Path(__file__).parent / "smuggling.toml").read_text())["case"]
    for case in cases:
        sent = case["sent"].replace("{x}", "x" * case.get("repeat", 0)).encode("latin-1")
        yield pytest.param(sent, case.get("status", 400), id=case["name"])


@pytest.mark.parametrize(("sent", "status"), list(corpus()))
def test_smuggling(server, sent, status):
    for before, statuses in [
        (b"", []),
        (get("/echo/a") * 2, [200, 200]),
        (get("/sleep/2/b") + get("/echo/c"), [200, 200]),
    ]:
        answers = split(whole(server.port, before + sent + BEHIND))
        assert [answer.status for answer in answers] == [*statuses, status]
        assert [answer.headers.get("connection") for answer in answers] == [*[None] * len(statuses), "close"]
    assert server.app.served == 0


REFUSED = {
    "a head": (b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", 400),
    "an escape": (get("/dump/%zz"), 400),
    "a chunk": (chunked("/dump", b"abc")[:-5] + b"zz\r\n", 400),
    "a length": (get("/", "Content-Length: 99999999999", method="POST"), 413),
    "chunks that are too large": (get("/dump", "Transfer-Encoding: chunked", method="POST") + b"fffffff\r\n", 413),
    "an expectation": (post("/dump", b"abc", "Expect: x"), 417),
    "a version": (get("/", version="3.0"), 505),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_waits_for_the_slow_answers_before_it(server, wire, name):
    data, status = REFUSED[name]
    connection, other = wire(), wire()
    connection.send(get("/wait/a") + get("/fail") + get("/wait/b") + data + BEHIND)
    other.send(get("/open/b"))
    other.answer()
    assert connection.silent()
    other.send(get("/open/a"))
    answers = split(connection.until_closed())
    assert [answer.status for answer in answers] == [200, 500, 200, status]
    assert [answer.headers.get("connection") for answer in answers] == [None, None, None, "close"]
    assert server.app.served == 0


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("slow", [False, True])
def test_a_refusal_is_not_lost_when_the_client_sends_on(server, wire, name, slow):
    """Bytes that nobody reads would make the close a reset, and a reset destroys what the client has not read."""
    data, status = REFUSED[name]
    other, gates = wire(), (f"gate{number}" for number in count())

    def talk(connection):
        gate = next(gates)
        connection.send((get(f"/wait/{gate}") if slow else b"") + data)
        for _ in range(20):
            connection.send(BEHIND * 500)
            other.send(get("/at-once/x"))
            other.answer()
        assert connection.silent() or not slow
        other.send(get(f"/open/{gate}"))
        other.answer()
        connection.send(BEHIND * 500)
        return split(connection.until_closed())

    answers = sending_on(server.port, talk)
    assert [answer.status for answer in answers] == ([200] if slow else []) + [status]
    assert server.app.served == 0


def test_a_refused_upload_is_answered_before_it_is_read(server):
    def talk(connection):
        connection.send(get("/dump", "Content-Length: 99999999999", method="POST"))
        answer = connection.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        for _ in range(20):
            connection.send(b"x" * 65536)
        connection.end()
        return connection.until_closed()

    assert sending_on(server.port, talk) == b""


def test_a_refusal_with_an_expectation_is_not_told_to_go_on(wire):
    connection = wire()
    connection.send(get("/dump", "Content-Length: 99999999999", "Expect: 100-continue", method="POST"))
    assert [answer.status for answer in split(connection.until_closed())] == [413]


def test_a_client_that_never_ends_is_cut_all_the_same(server):
    """After a refusal the server reads on for a while, but not for ever."""
    with Wire(server.port) as wire:
        wire.send(b"\0")
        assert wire.answer().status == 400
        eventually(lambda: server.running.server.connections == 0)


def test_refusals_are_counted(server):
    for _ in range(3):
        whole(server.port, b"\0")
    assert server.app.refusals.count == 3


def test_a_refusal_ends_only_its_own_connection(wire):
    good, bad = wire(), wire()
    good.send(get("/wait/it"))
    for _ in range(3):
        bad.send(b"\0")
        assert bad.answer().status == 400
        bad = wire()
    other = wire()
    other.send(get("/open/it"))
    assert good.answer().text == "waited for it"
    assert good.alive()
