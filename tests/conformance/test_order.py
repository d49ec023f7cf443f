"""Answers leave in the order of their requests, whatever finished first; and nobody waits for somebody else."""

import random
from threading import Thread

import pytest
from wire import CLOSE, SECONDS, Wire, chunked, eventually, get, post, split, whole

KINDS = {
    "sync": lambda chance, name: (get(f"/echo/{name}"), 200, f"{name} "),
    "at once": lambda chance, name: (get(f"/at-once/{name}"), 200, name),
    "sleeping": lambda chance, name: (get(f"/sleep/{chance.randint(0, 20)}/{name}"), 200, f"{name} "),
    "failing": lambda chance, name: (get("/fail"), 500, None),
    "failing later": lambda chance, name: (get("/fail-later"), 500, None),
    "not found": lambda chance, name: (get(f"/nowhere/{name}"), 404, None),
    "not allowed": lambda chance, name: (get(f"/echo/{name}", method="PATCH"), 405, None),
    "no content": lambda chance, name: (get("/status/204"), 204, ""),
    "HEAD": lambda chance, name: (get(f"/echo/{name}", method="HEAD"), 200, ""),
    "HEAD later": lambda chance, name: (get(f"/sleep/{chance.randint(0, 5)}/{name}", method="HEAD"), 200, ""),
    "a body": lambda chance, name: (post(f"/echo/{name}", b"b" * chance.randint(0, 300)), 200, None),
    "a body to a coroutine": lambda chance, name: (
        post(f"/sleep/{chance.randint(0, 9)}/{name}", b"abc"),
        200,
        f"{name} abc",
    ),
    "chunks": lambda chance, name: (chunked(f"/echo/{name}", b"ab", b"c" * 20), 200, f"{name} ab" + "c" * 20),
    "chunks to a coroutine": lambda chance, name: (chunked(f"/sleep/3/{name}", b"ab", b"c"), 200, f"{name} abc"),
    "a large answer": lambda chance, name: (get("/big/20000"), 200, "x" * 20_000),
    "a large answer later": lambda chance, name: (get("/big-later/20000"), 200, "x" * 20_000),
}


def mixed(chance, kinds, count):
    """Requests, and their methods, statuses and texts (None: any)."""
    made = [KINDS[chance.choice(kinds)](chance, f"n{number}") for number in range(count)]
    return made, ["HEAD" if request.startswith(b"HEAD") else "GET" for request, _, _ in made]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limits", [{}, {"limit_pipeline": 3, "limit_output_bytes": 3_000}, {"limit_pipeline": 1}])
def test_random_mixes(serve, limited, seed, limits):
    server = serve(limited(**limits))
    chance = random.Random(seed)
    kinds = list(KINDS) if seed % 3 else chance.sample(list(KINDS), 3)
    made, methods = mixed(chance, kinds, chance.choice([2, 10, 130, 300]))
    data = b"".join(request for request, _, _ in made) + CLOSE
    with Wire(server.port, receive_bytes=4096 if limits else 0) as wire:
        sender = Thread(target=send_in_parts, args=[wire, data, chance])
        sender.start()
        answers = split(wire.until_closed(), methods)
        sender.join(SECONDS)
    assert [answer.status for answer in answers] == [*(status for _, status, _ in made), 200]
    for answer, (_, _, text), method in zip(answers, made, methods, strict=False):
        if text is not None and method != "HEAD":
            assert answer.text == text


def send_in_parts(wire, data, chance):
    while data:
        count = chance.choice([1, 30, 400, 5_000, 50_000])
        wire.send(data[:count])
        data = data[count:]


def test_random_mixes_on_many_connections_at_once(server):
    def talk(seed):
        chance = random.Random(seed)
        with Wire(server.port) as wire:
            for _ in range(10):
                made, methods = mixed(chance, list(KINDS), chance.randint(1, 12))
                wire.send(b"".join(request for request, _, _ in made))
                for (_, status, text), method in zip(made, methods, strict=True):
                    answer = wire.answer(method)
                    assert answer.status == status
                    assert text is None or method == "HEAD" or answer.text == text
        done.append(seed)

    done = []
    threads = [Thread(target=talk, args=[seed]) for seed in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert sorted(done) == list(range(20))


def test_the_second_may_finish_first(wire):
    connection = wire()
    connection.send(get("/wait/a") + get("/wait/b") + get("/open/b") + get("/echo/x") + get("/open/a"))
    texts = [answer.text for answer in connection.answers(5)]
    assert texts == ["waited for a", "waited for b", "opened b", "x ", "opened a"]


def test_answers_come_one_by_one_as_the_first_ones_finish(wire):
    connection, other = wire(), wire()
    connection.send(b"".join(get(f"/wait/{number}") for number in range(5)))
    for number in (4, 1, 3):
        other.send(get(f"/open/{number}"))
        other.answer()
    assert connection.silent()
    other.send(get("/open/0"))
    assert [answer.text for answer in connection.answers(2)] == ["waited for 0", "waited for 1"]
    other.answer()
    assert connection.silent()
    other.send(get("/open/2"))
    assert [answer.text for answer in connection.answers(3)] == [f"waited for {number}" for number in (2, 3, 4)]


def test_a_slow_answer_blocks_no_other_connection(wire):
    slow, other = wire(), wire()
    slow.send(get("/wait/it"))
    for number in range(100):
        other.send(get(f"/echo/{number}") + get(f"/sleep/0/{number}"))
        assert [answer.text for answer in other.answers(2)] == [f"{number} "] * 2
    assert slow.silent()
    other.send(get("/open/it"))
    assert slow.answer().text == "waited for it"


def test_an_error_does_not_overtake(wire):
    connection, other = wire(), wire()
    connection.send(get("/wait/it") + get("/fail") + get("/nowhere") + get("/fail-later"))
    other.send(get("/echo/x"))
    other.answer()
    assert connection.silent()
    other.send(get("/open/it"))
    assert [answer.status for answer in connection.answers(4)] == [200, 500, 404, 500]


def test_two_that_end_in_the_same_turn(wire):
    connection, other = wire(), wire()
    for number in range(50):
        connection.send(get(f"/wait/{number}") * 7)
        other.send(get(f"/open/{number}"))
        assert {answer.text for answer in connection.answers(7)} == {f"waited for {number}"}
        other.answer()


def test_an_answer_that_closes_is_the_last_whatever_was_finished_behind_it(server, wire):
    connection, other = wire(), wire()
    connection.send(get("/wait/it") + get("/closing-later") + get("/echo/never") + get("/wait/never"))
    eventually(lambda: server.app.gates.waiting == 2)
    other.send(get("/open/it"))
    answers = split(connection.until_closed())
    assert [answer.text for answer in answers] == ["waited for it", "closing"]
    assert [answer.headers.get("connection") for answer in answers] == [None, "close"]
    eventually(lambda: server.app.gates.cancelled == 1)


@pytest.mark.parametrize("seed", range(3))
def test_what_a_pipeline_answers_is_what_single_requests_answer(server, seed):
    chance = random.Random(seed)
    made, methods = mixed(chance, list(KINDS), 40)
    together = split(whole(server.port, b"".join(request for request, _, _ in made) + CLOSE), methods)
    for (request, _, _), method, answer in zip(made, methods, together, strict=False):
        with Wire(server.port) as wire:
            wire.send(request)
            alone = wire.answer(method)
        assert (alone.status, alone.body) == (answer.status, answer.body)
