"""Uploads that are larger than memory should be: they arrive whole, and the server stays small.

VIVACE_UPLOAD_BYTES says how large; 1 GiB where it does not.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
from wire import Wire, eventually, get

pytestmark = pytest.mark.slow

BYTES = int(os.environ.get("VIVACE_UPLOAD_BYTES", str(1 << 30)))
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")  # it keeps what was freed, for a while
ABOVE_IDLE = 64 << 20 if not SANITIZED else 1 << 30  # that a server may need for it
PIECE = 1 << 20

APP = """
import hashlib, sys
from vivace import Application

app = Application(timeout_body="10s")


def digest(file):
    found = hashlib.sha256()
    while piece := file.read(1 << 20):
        found.update(piece)
    return found.hexdigest()


@app.get("/")
def hello(request):
    return "hello"


@app.post("/upload", limit_body_bytes="2GiB")
def upload(request):
    file = request.files["file"]
    return {
        "name": file.name, "size": file.size, "read": digest(file), "opened": digest(file.file),
        "fields": request.form.multi_items(),
    }


@app.post("/save", limit_body_bytes="2GiB")
def save(request):
    request.files["file"].save("saved")
    return "saved"


app.run(port=0)
"""


class Upload:
    """A form with one large file, never in memory as a whole."""

    def __init__(self, size):
        self.size = size
        self.head = (
            b'--edge\r\nContent-Disposition: form-data; name="before"\r\n\r\n1\r\n'
            b'--edge\r\nContent-Disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
        )
        self.tail = b'\r\n--edge\r\nContent-Disposition: form-data; name="after"\r\n\r\n2\r\n--edge--\r\n'
        self._block = os.urandom(PIECE - 8)
        found = hashlib.sha256()
        for piece in self.pieces():
            found.update(piece)
        self.digest = found.hexdigest()

    def pieces(self):
        left = self.size
        while left > 0:
            piece = (left.to_bytes(8, "big") + self._block)[:left]  # no two are the same
            yield piece
            left -= len(piece)

    def by_length(self, target):
        length = len(self.head) + self.size + len(self.tail)
        yield self._first(target, f"Content-Length: {length}") + self.head
        yield from self.pieces()
        yield self.tail

    def by_chunks(self, target):
        yield self._first(target, "Transfer-Encoding: chunked")
        for piece in (self.head, *self.pieces(), self.tail):
            yield b"%x\r\n" % len(piece)
            yield piece
            yield b"\r\n"
        yield b"0\r\n\r\n"

    def _first(self, target, line):
        return get(target, line, "Content-Type: multipart/form-data; boundary=edge", method="POST")


def memory(process, what):
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) << 10


@pytest.fixture
def process(start, tmp_path):
    (tmp_path / "page.py").write_text(APP)
    (tmp_path / "spools").mkdir()
    process = start("page.py", TMPDIR=str(tmp_path / "spools"))
    with Wire(process.port) as wire:
        for _ in range(100):
            wire.send(get("/"))
            assert wire.answer().text == "hello"
    return process


def spools(process, tmp_path):
    links = Path(f"/proc/{process.popen.pid}/fd").iterdir()
    count = 0
    for link in links:
        with suppress(FileNotFoundError):  # closed in the meantime
            count += str(link.readlink()).startswith(str(tmp_path / "spools"))
    return count


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("way", "size"), [("by_length", BYTES), ("by_chunks", min(BYTES, 64 << 20))])
def test_a_large_file_arrives_whole_in_little_memory(process, tmp_path, way, size):
    sent, idle = Upload(size), memory(process, "VmRSS")
    with Wire(process.port) as wire, Wire(process.port) as other:
        wire.socket.settimeout(300)
        for number, piece in enumerate(getattr(sent, way)("/upload")):
            wire.send(piece)
            if number % 50 == 10:  # others are served meanwhile
                other.send(get("/"))
                assert other.answer().text == "hello"
        answer = wire.answer()
        assert answer.status == 200, answer.text
        assert json.loads(answer.text) == {
            "name": "big.bin",
            "size": size,
            "read": sent.digest,
            "opened": sent.digest,
            "fields": [["before", "1"], ["after", "2"]],
        }
        wire.send(get("/"))
        assert wire.answer().text == "hello"
    assert memory(process, "VmHWM") - idle < ABOVE_IDLE
    assert spools(process, tmp_path) == 0


def test_a_large_file_is_saved(process, tmp_path):
    sent = Upload(32 << 20)
    with Wire(process.port) as wire:
        for piece in sent.by_length("/save"):
            wire.send(piece)
        assert wire.answer().text == "saved"
    with (tmp_path / "saved").open("rb") as saved:
        assert hashlib.file_digest(saved, "sha256").hexdigest() == sent.digest


def test_a_client_that_goes_in_the_middle_leaves_nothing(process, tmp_path):
    sent, idle = Upload(16 << 20), memory(process, "VmRSS")
    for number in range(6):
        with Wire(process.port) as wire:
            for count, piece in enumerate((sent.by_length if number % 2 else sent.by_chunks)("/upload")):
                if count > 8:
                    break
                wire.send(piece)
            if number % 3:
                wire.reset()
    eventually(lambda: spools(process, tmp_path) == 0)
    assert memory(process, "VmHWM") - idle < ABOVE_IDLE
    assert process.stop()[0] == 0
