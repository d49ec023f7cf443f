"""Forms and files of requests: what they say, how long they live, and what is wrong with the odd ones."""

import csv
import gc
import io
import os
import threading
import weakref
from contextlib import suppress
from pathlib import Path

import pytest

from vivace import Application, FormError, MultiDict, UploadedFile

LONG = 100_000  # beyond limit_body_memory_bytes of these tests


def part(name, text, *lines, filename=None):
    said = f'form-data; name="{name}"' + ("" if filename is None else f'; filename="{filename}"')
    head = "\r\n".join([f"Content-Disposition: {said}", *lines]).encode()
    return b"--b\r\n" + head + b"\r\n\r\n" + (text.encode() if isinstance(text, str) else text) + b"\r\n"


def multipart(*parts):
    return b"".join(parts) + b"--b--\r\n"


MULTIPART = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"


class Uploads:
    """An application that keeps what the latest request made of it."""

    def __init__(self, serve, **limits):
        self.app = Application(limit_body_memory_bytes=LONG // 2, **limits)
        self.look = lambda request: None
        self.seen = None

        @self.app.post("/")
        def handler(request):
            try:
                self.seen = self.look(request)
            except FormError as error:
                self.seen = None
                return request.Response(str(error), error.status)
            return "seen"

        @self.app.post("/raise")
        def careless(request):
            return str(len(request.form) + len(request.files))

        self.client = serve(self.app).client()

    def post(self, body, content_type=MULTIPART, target="/"):
        return self.client.request(target, "POST", body, Content_Type=content_type)

    def ask(self, look, body, content_type=MULTIPART):
        """What `look(request)` gives for a request with that body."""
        self.look = look
        answer = self.post(body, content_type)
        assert answer.text == "seen", answer.text
        return self.seen


@pytest.fixture
def uploads(serve):
    return Uploads(serve)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Temporary files of a test lie where no other's do."""
    path = tmp_path / "spools"
    path.mkdir()
    monkeypatch.setenv("TMPDIR", str(path))
    return path


def spools():
    """Temporary files that are open, and have no name."""
    count = 0
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            count += str(link.readlink()).startswith(os.environ["TMPDIR"])
    assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
    return count


class TestFields:
    def test_a_urlencoded_form(self, uploads):
        form = uploads.ask(lambda request: request.form, b"a=1&b=%C3%A4+%2B&a=2&&c&=x", URLENCODED)
        assert form.multi_items() == [("a", "1"), ("b", "ä +"), ("a", "2"), ("c", ""), ("", "x")]
        assert form["a"] == "1"
        assert form.getall("a") == ["1", "2"]
        assert isinstance(form, MultiDict)

    def test_a_urlencoded_form_has_no_files(self, uploads):
        assert uploads.ask(lambda request: request.files, b"a=1", URLENCODED).multi_items() == []

    def test_the_charset_of_a_urlencoded_form(self, uploads):
        form = uploads.ask(lambda request: request.form, b"a=%E4\xf6", URLENCODED + "; charset=iso-8859-1")
        assert form["a"] == "äö"
        form = uploads.ask(lambda request: request.form, b"a=%93%fa", URLENCODED + "; charset=Shift_JIS")
        assert form["a"] == "日"

    def test_fields_of_several_parts(self, uploads):
        body = multipart(part("a", "1"), part("ä", "zwei\r\n"), part("a", "", "X-More: ignored"))
        form = uploads.ask(lambda request: request.form, body)
        assert form.multi_items() == [("a", "1"), ("ä", "zwei\r\n"), ("a", "")]

    def test_a_part_may_have_a_charset_of_its_own_and_the_form_one_for_all(self, uploads):
        body = multipart(
            part("_charset_", "cp1251"),
            part("a", "Ж".encode("cp1251")),
            part("b", "ä".encode(), "Content-Type: text/plain; charset=utf-8"),
        )
        form = uploads.ask(lambda request: request.form, body)
        assert form.multi_items() == [("_charset_", "cp1251"), ("a", "Ж"), ("b", "ä")]

    @pytest.mark.parametrize("content_type", ["text/plain", "multipart/mixed; boundary=b", "application/json", ""])
    def test_what_is_no_form_has_no_fields(self, uploads, content_type):
        both = uploads.ask(lambda request: (request.form, request.files), b"a=1", content_type)
        assert [len(half) for half in both] == [0, 0]

    def test_a_request_without_a_body_has_no_fields(self, serve):
        app = Application()
        app.get("/")(lambda request: {"form": request.form.multi_items(), "files": request.files.multi_items()})
        assert serve(app).get("/").text == '{"form":[],"files":[]}'

    def test_it_is_made_once(self, uploads):
        look = lambda request: (request.form, request.files, request.form, request.files)  # noqa: E731
        form, files, again, files_again = uploads.ask(look, multipart(part("a", "1")))
        assert form is again
        assert files is files_again


class TestFiles:
    # Short bodies are kept in memory, long ones in a file.
    SIZES = pytest.mark.parametrize("size", [0, 1, 1000, LONG])

    @staticmethod
    def content(size):
        return (bytes(range(251)) * (size // 251 + 1))[:size]

    def upload(self, uploads, size, **changes):
        given = {"filename": "a.bin", **changes}
        body = multipart(part("a", "1"), part("f", self.content(size), "Content-Type: Image/PNG; x=y", **given))
        return uploads.ask(lambda request: request.files["f"], body)

    @SIZES
    def test_what_a_file_is(self, uploads, size):
        file = self.upload(uploads, size)
        assert isinstance(file, UploadedFile)
        assert (file.name, file.filename, file.field) == ("a.bin", "a.bin", "f")
        assert (file.type, file.content_type, file.size) == ("image/png", "Image/PNG; x=y", size)
        assert file.body == bytes(file) == self.content(size)
        assert repr(file) == f"<UploadedFile 'a.bin' of field 'f', {size} bytes>"

    @SIZES
    def test_it_is_read_in_pieces(self, uploads, size):
        file, content = self.upload(uploads, size), self.content(size)
        assert file.read(7) == content[:7]
        assert file.tell() == min(7, size)
        assert file.read() == content[7:]
        assert file.read() == file.read(5) == b""
        assert file.seek(3) == 3
        assert file.read(None) == content[3:]
        assert file.seek(-min(4, size), os.SEEK_END) == max(0, size - 4)
        assert file.read(100) == content[-4:]
        assert file.seek(0) == 0
        assert file.seek(5, os.SEEK_CUR) == 5
        assert file.seek(10, os.SEEK_CUR) == 15
        assert file.read(1) == content[15:16]
        assert file.seek(size + 10) == size + 10
        assert file.read() == b""
        for wrong in [(-1,), (0, 3), (2**63 - 1, os.SEEK_CUR), (-(10**9), os.SEEK_END)]:
            with pytest.raises(ValueError, match=r"seek\(\)"):
                file.seek(*wrong)

    @SIZES
    def test_it_is_a_file_object(self, uploads, size):
        file, content = self.upload(uploads, size), self.content(size)
        with file.file as opened:
            assert opened.read(3) == content[:3]
            assert opened.seek(-min(2, size), os.SEEK_END) == max(0, size - 2)
            assert opened.read() == content[-2:]
            opened.seek(0)
            assert list(opened) == list(io.BytesIO(content))
            with pytest.raises((OSError, ValueError)):
                opened.seek(-1)
            if size == LONG:
                with pytest.raises(io.UnsupportedOperation):
                    opened.write(b"x")
        assert file.body == content

    def test_the_standard_library_reads_it(self, uploads):
        rows = [["a", "b"], ["1", "ä"]]
        text = "".join(",".join(row) + "\r\n" for row in rows).encode()
        for filler in ("", "x" * LONG):
            body = multipart(part("x", filler, filename="x"), part("f", text, filename="a.csv"))
            file = uploads.ask(lambda request: request.files["f"], body)
            assert list(csv.reader(io.TextIOWrapper(file.file, "utf-8"))) == rows

    @SIZES
    def test_it_is_saved_where_the_handler_says(self, uploads, size, tmp_path):
        file, content = self.upload(uploads, size), self.content(size)
        path = tmp_path / "saved"
        path.write_bytes(b"longer than what comes" * 100)
        file.read(3)
        for way in (str(path), path, os.fsencode(path)):
            assert file.save(way) is None
            assert path.read_bytes() == content
        with pytest.raises(FileNotFoundError):
            file.save(tmp_path / "nowhere" / "file")
        with pytest.raises(IsADirectoryError):
            file.save(tmp_path)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
    def test_a_full_disk_is_told(self, uploads):
        for size in (1000, LONG):
            with pytest.raises(OSError, match="No space"):
                self.upload(uploads, size).save("/dev/full")

    @pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\dir\\a.txt", "", ".", "a%22b", "ä €"])
    def test_the_name_is_what_was_sent(self, uploads, name):
        assert self.upload(uploads, 3, filename=name).name == name

    def test_a_type_that_was_not_sent_is_none(self, uploads):
        file = uploads.ask(lambda request: request.files["f"], multipart(part("f", "x", filename="a")))
        assert (file.type, file.content_type) == (None, None)

    def test_several_files_of_a_field(self, uploads):
        parts = [part("f", str(number) * 10, filename=f"{number}") for number in range(20)]
        for filler in (b"", b"x" * LONG):
            body = multipart(*parts, part("filler", filler, filename="x"))
            files = uploads.ask(lambda request: request.files.getall("f"), body)
            assert [(file.name, file.body) for file in files] == [(str(n), b"%d" % n * 10) for n in range(20)]

    def test_it_cannot_be_made_otherwise(self):
        with pytest.raises(TypeError):
            UploadedFile()


class TestLife:
    def test_a_file_outlives_its_request_and_the_spool_goes_with_the_last(self, uploads):
        body = multipart(part("a", b"A" * LONG, filename="a"), part("b", b"B" * 9, filename="b"))
        first, second = uploads.ask(lambda request: [request.files["a"], request.files["b"]], body)
        uploads.look = lambda request: None
        assert uploads.post(b"a=1", URLENCODED).text == "seen"
        assert spools() == 1
        assert first.body == b"A" * LONG
        del first
        assert second.body == b"B" * 9
        opened = second.file
        del second
        assert opened.read() == b"B" * 9
        assert spools() == 1
        del opened
        uploads.seen = None
        gc.collect()
        assert spools() == 0

    def test_a_long_body_that_nobody_reads_is_gone_at_once(self, uploads):
        for _ in range(3):
            uploads.ask(lambda request: None, b"x" * LONG, "text/plain")
            assert spools() == 0

    def test_a_kept_request_keeps_its_long_body(self, uploads):
        request = uploads.ask(lambda request: request, multipart(part("a", b"A" * LONG, filename="a")))
        uploads.look = lambda request: None
        uploads.post(b"", URLENCODED)
        assert request.files["a"].body == b"A" * LONG
        assert len(request.body) > LONG
        assert request.form.multi_items() == []
        del request
        uploads.seen = None
        gc.collect()
        assert spools() == 0

    def test_a_file_that_refers_to_its_request_is_collected(self, uploads):
        def look(request):
            request.state.file = request.files["a"]
            request.state.file.file.request = request
            request.state.mark = mark = type("Mark", (), {})()
            return weakref.ref(mark)

        seen = uploads.ask(look, multipart(part("a", b"A" * LONG, filename="a")))
        uploads.look = lambda request: None
        uploads.post(b"", URLENCODED)
        gc.collect()
        assert seen() is None
        assert spools() == 0

    def test_other_threads_read_while_the_server_goes_on(self, uploads):
        content = os.urandom(LONG)
        body = multipart(part("a", content, filename="a"))
        file = uploads.ask(lambda request: request.files["a"], body)
        found = []
        threads = [threading.Thread(target=lambda: found.append(file.body == content)) for _ in range(8)]
        for thread in threads:
            thread.start()
        uploads.post(body)
        for thread in threads:
            thread.join()
        assert found == [True] * 8

    def test_a_handler_that_waits_keeps_its_files(self, serve):
        import asyncio

        app = Application(limit_body_memory_bytes=LONG // 2)

        @app.post("/{when}")
        async def handler(request, when):
            if when == "before":
                request.files["a"]
            await asyncio.sleep(0.01)
            saved = await asyncio.to_thread(bytes, request.files["a"])
            return str(saved == b"A" * LONG)

        client = serve(app).client()
        for when in ("before", "after"):
            body = multipart(part("a", b"A" * LONG, filename="a"))
            assert client.request(f"/{when}", "POST", body, Content_Type=MULTIPART).text == "True"

    def test_a_handler_in_a_thread_reads_its_files(self, serve, tmp_path):
        app = Application(limit_body_memory_bytes=LONG // 2)

        @app.post("/", blocking=True)
        def handler(request):
            request.files["a"].save(tmp_path / "saved")
            return request.form["b"]

        client = serve(app).client()
        for size in (10, LONG):
            body = multipart(part("a", b"A" * size, filename="a"), part("b", "2"))
            assert client.request("/", "POST", body, Content_Type=MULTIPART).text == "2"
            assert (tmp_path / "saved").read_bytes() == b"A" * size
        assert spools() == 0


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "content_type", "status", "detail"),
        [
            (b"a=%zz", URLENCODED, 400, "malformed: a % without two hexadecimal digits (byte 2)"),
            (b"a=1&%=1", URLENCODED, 400, "malformed: a % without two hexadecimal digits (byte 4)"),
            (b"a=%ff", URLENCODED, 400, "The form is not utf-8 text: invalid start byte at byte 0"),
            (b"a=1", URLENCODED + "; charset=rot13", 415, "The form has a charset that is unknown"),
            (b"--b--", "multipart/form-data", 400, "its Content-Type has no boundary"),
            (b"--b--", "multipart/form-data; boundary=b; boundary=b", 400, "its Content-Type has no boundary"),
            (b"", MULTIPART, 400, "malformed: it ends before its last boundary (byte 0)"),
            (b"--c--", MULTIPART, 400, "malformed: it does not begin with its boundary (byte 2)"),
            (multipart(part("a", b"\xff")), MULTIPART, 400, "not utf-8 text: invalid start byte at byte 0"),
            (multipart(part("_charset_", "klingon"), part("a", "1")), MULTIPART, 415, "has a charset that is unknown"),
            (multipart(part("a", "1", "Content-Type: text/x; charset=z")), MULTIPART, 415, "charset that is unknown"),
            (multipart(part("a", "1"))[:-4], MULTIPART, 400, "it ends before its last boundary"),
            (multipart(part("f", b"x" * LONG, filename="f")) + b"more", MULTIPART, 400, "follows its last boundary"),
            (b"--b--" + b" " * LONG + b"x", MULTIPART, 400, "something follows its last boundary (byte 100005)"),
        ],
    )
    def test_a_form_that_is_malformed(self, uploads, body, content_type, status, detail):
        for look in (lambda request: request.form, lambda request: request.files):
            uploads.look = look
            answer = uploads.post(body, content_type)
            assert (answer.status, detail in answer.text) == (status, True), answer.text
        unhandled = uploads.post(body, content_type, "/raise")
        assert unhandled.status == status
        assert detail in unhandled.text
        assert "\n" not in unhandled.text

    def test_other_attributes_still_work(self, uploads):
        uploads.look = lambda request: (request.body, request.text, request.mime_type)
        assert uploads.post(b"a=%zz", URLENCODED).text == "seen"
        assert uploads.seen == (b"a=%zz", "a=%zz", URLENCODED)


class TestLimits:
    def test_limit_form_parts(self, serve):
        uploads = Uploads(serve, limit_form_parts=3)
        for parts, status in [(3, 200), (4, 413)]:
            for size in (1, LONG // 3):
                body = multipart(*[part("a", "x" * size, filename="a") for _ in range(parts)])
                answer = uploads.post(body, target="/raise")
                assert answer.status == status, answer.text
            answer = uploads.post(b"&".join([b"a=1"] * parts), URLENCODED, "/raise")
            assert answer.status == status
        assert answer.text == "The form has more fields than limit_form_parts"

    def test_limit_form_head_bytes(self, serve):
        uploads = Uploads(serve, limit_form_head_bytes=100)
        assert uploads.post(multipart(part("a", "1", "X: " + "x" * 20)), target="/raise").status == 200
        answer = uploads.post(multipart(part("a", "1", "X: " + "x" * 80)), target="/raise")
        assert answer.status == 413
        assert answer.text == "The form is too large: the header lines of a part exceed limit_form_head_bytes"

    def test_limit_form_text_bytes(self, serve):
        uploads = Uploads(serve, limit_form_text_bytes=1000)
        assert uploads.post(multipart(part("a", "x" * 900)), target="/raise").status == 200
        assert uploads.post(multipart(part("a", "x" * LONG, filename="a")), target="/raise").status == 200
        for size in (1000, LONG):
            answer = uploads.post(multipart(part("a", "x" * size)), target="/raise")
            assert (answer.status, answer.text) == (
                413,
                "The form is too large: its fields exceed limit_form_text_bytes",
            )
        assert uploads.post(b"a=" + b"x" * 998, URLENCODED, "/raise").status == 200
        answer = uploads.post(b"a=" + b"x" * 999, URLENCODED, "/raise")
        assert (answer.status, answer.text) == (413, "The form exceeds limit_form_text_bytes")
        assert uploads.post(b"a=" + b"x" * LONG, URLENCODED, "/raise").status == 413

    def test_limit_body_memory_bytes(self, serve):
        for limit, files in [(LONG * 2, 0), (LONG * 2 - 1, 1)]:
            app = Application(limit_body_memory_bytes=limit)
            app.post("/")(lambda request: {"open": spools(), "length": len(request.body), "now": spools()})
            served = serve(app)
            answer = served.get("/", "POST", b"x" * LONG * 2)
            assert answer.text == f'{{"open":{files},"length":{LONG * 2},"now":{files}}}'
