"""The examples do what they say."""

import json
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(start):
    def begin(name: str):
        process = start("-m", "vivace", "run", str(EXAMPLES / f"{name}.py"), "--port", "0")
        process.ready()
        return process

    return begin


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_example_can_be_imported(run, path):
    assert run("check", str(path))[0] == 0


def test_hello(example):
    process = example("hello")
    assert process.get("/").text == "Hello world!"
    assert json.loads(process.get("/users/3").body) == {"id": 3}


def test_todo(example):
    process = example("todo")
    added = process.client().request("/todos", "POST", b'{"title": "learn"}')
    assert (added.status, added.headers["location"]) == (201, "/todos/1")
    assert json.loads(process.get("/todos/1").body) == {"id": 1, "title": "learn"}
    assert process.get("/todos/2").text == "there is no todo 2"
    assert process.client().request("/todos", "POST", b"{}").status == 422
    assert process.client().request("/todos", "POST", b"{").status == 400
    assert process.client().request("/todos/1", "DELETE").status == 204
    assert process.get("/todos").text == "[]"


def test_lifespan(example):
    process = example("lifespan")
    assert json.loads(process.get("/").body)["ticks"] >= 0
    assert process.stop()[1].startswith("ready for the first request\nticked ")


def test_waiting(example):
    assert example("waiting").get("/sleep/0.1").text == "after 0.1 s"


def test_blocking(example):
    process = example("blocking")
    added = process.client().request("/notes", "POST", b"learn")
    assert (added.status, added.text) == (201, '{"id":1}')
    assert json.loads(process.get("/notes").body) == [{"id": 1, "text": "learn"}]
    assert process.get("/notes/1").text == "learn"
    assert process.get("/notes/2").text == "there is no note 2"


def test_japronto(example):
    process = example("japronto")
    assert process.get("/").text == "Hello world!"
    assert json.loads(process.get("/params/1/2").body) == {"p1": "1", "p2": "2"}
    assert process.get("/cat").text == "Just a kitty, meow"
    lost = process.get("/nowhere")
    assert (lost.status, lost.text) == (404, "Are you lost, pal?")


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_uploads(example, size):
    process = example("uploads")
    picture = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    head = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
    body = head % (b"title", b"") + b"A cat\r\n" + head % (b"picture", b'; filename="../cat"') + picture + b"\r\n--b--"
    multipart = "multipart/form-data; boundary=b"
    added = process.client().request("/pictures", "POST", body, Content_Type=multipart)
    assert (added.status, added.headers["location"]) == (201, "/pictures/1")
    assert json.loads(added.body) == {"title": "A cat", "size": size}
    client = process.client()
    client.send("GET /pictures/1 HTTP/1.0\r\n\r\n")
    assert client._file.read().partition(b"\r\n\r\n")[2] == picture
    assert process.client().request("/pictures", "POST", b"--b--", Content_Type=multipart).status == 422
    assert process.get("/pictures/2").text == "there is no picture 2"
