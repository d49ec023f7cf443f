"""What README.md and docs/guide show is true: their Python runs, and their curl commands get the answers printed there.
What any document names is there.

A page is read in parts. A part begins with a ```python block that makes an `Application`; the ```python blocks behind
it go on in the same module. The app of a part is served, and every `$ curl` of its ```console blocks is made against
it, in order. "..." in an answer stands for any text.
"""

import argparse
import doctest
import logging
import re
import shlex
import types
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
PAGES = [ROOT / "README.md", *sorted(GUIDE.glob("*.md"))]
PAGES.remove(GUIDE / "testing.md")  # its Python is for pytest: test_testing.py runs it
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def parts():
    """The parts of every page, each a list of (language, text, line)."""
    for page in PAGES:
        part = []
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text[: block.start()].count("\n") + 2
            if part and block[1] == "python" and "= Application(" in block[2]:
                yield pytest.param(page, part, id=f"{page.name}:{part[0][2]}")
                part = []
            part.append((block[1], block[2], line))
        if part:
            yield pytest.param(page, part, id=f"{page.name}:{part[0][2]}")


def curl_commands(text):
    """Each `$ curl ...` of a console block, with what is printed below it."""
    for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = command.partition("\n")
        if line.startswith("curl "):
            yield line, output.rstrip("\n") + "\n"


CURL = argparse.ArgumentParser(prog="curl")
CURL.add_argument("url")
CURL.add_argument("-i", action="store_true")
CURL.add_argument("-I", action="store_true")
CURL.add_argument("-X")
CURL.add_argument("-d")
CURL.add_argument("-F", action="append", default=[])
CURL.add_argument("-H", action="append", default=[])


def multipart(fields):
    """What curl makes of `-F "name=text"` and `-F "name=text;filename=...;type=..."`."""
    parts = []
    for field in fields:
        (name, _, text), *options = [piece.partition("=") for piece in field.split(";")]
        said = {option: value for option, _, value in options}
        filename = f'; filename="{said["filename"]}"' if "filename" in said else ""
        parts.append(f'------curl\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n')
        parts.append(f"Content-Type: {said['type']}\r\n" if "type" in said else "")
        parts.append(f"\r\n{text}\r\n")
    return "".join(parts) + "------curl--\r\n"


def curl(client, line):
    """Do what curl would, and return what it would print."""
    told = CURL.parse_args(shlex.split(line)[1:])
    url = urlsplit(told.url if "://" in told.url else f"//{told.url}")
    content_type = "application/x-www-form-urlencoded"
    if told.F:
        told.d, content_type = multipart(told.F), "multipart/form-data; boundary=----curl"
    method = told.X or ("HEAD" if told.I else "POST" if told.d is not None else "GET")
    head = [f"{method} {url.path or '/'}{'?' + url.query if url.query else ''} HTTP/1.1", f"Host: {url.netloc}"]
    head += ["User-Agent: curl/8", "Accept: */*", *told.H]
    if told.d is not None:
        head.append(f"Content-Length: {len(told.d.encode())}")
        if not any(field.lower().startswith("content-type:") for field in told.H):
            head.append(f"Content-Type: {content_type}")
    client.send("\r\n".join(head) + "\r\n\r\n" + (told.d or ""))
    lines = []
    while not lines or lines[-1] != "\r\n":
        lines.append(client._file.readline().decode())
        assert lines[-1], "the server closed the connection without an answer"
    length = re.search(r"^content-length: *(\d+)", "".join(lines), re.MULTILINE | re.IGNORECASE)
    body = client._file.read(int(length[1])) if length and method != "HEAD" else b""
    return ("".join(lines).replace("\r", "") if told.i or told.I else "") + body.decode()


@pytest.fixture(autouse=True)
def loggers(monkeypatch):
    """A page's logging ends with it."""
    for name in ("vivace", "vivace.access", "vivace.error"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])


@pytest.mark.parametrize(("page", "part"), list(parts()))
def test_the_page_is_true(page, part, serve):
    module = types.ModuleType("guide")
    for language, text, line in part:
        if language == "python":
            exec(compile("\n" * (line - 1) + text, page, "exec"), vars(module))
    commands = [command for language, text, _ in part if language == "console" for command in curl_commands(text)]
    if not commands:
        return
    served = serve(module.app)
    for command, wanted in commands:
        got = curl(served.client(), command).rstrip("\n") + "\n"
        same = doctest.OutputChecker().check_output(wanted, got, doctest.ELLIPSIS)
        assert same, f"{page.name}: $ {command}\n--- the page says\n{wanted}--- the answer is\n{got}"


DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATHS = re.compile(r"`((?:src|core|binding|tests|tools|docs|examples|benchmarks)/[\w./-]*)`")
NAMES = re.compile(r"`((?:vv|conn|coroutine|request|response|selector|server)_\w+)`")
LINKS = re.compile(r"\]\((?!https?:)([^)#]+)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_what_a_document_names_is_there(document):
    text = document.read_text(encoding="utf-8")
    missing = [link for link in LINKS.findall(text) if not (document.parent / link).exists()]
    for path in PATHS.findall(text):
        found = "...." in path or (ROOT / path).exists() or (ROOT / "src" / path).exists()
        missing += [] if found else [path]
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.[ch]"))
    missing += [name for name in NAMES.findall(text) if not re.search(rf"\b{name}\b", sources)]
    assert not missing
