"""Real clients. Those that are not installed are skipped; http.client, httpx2 and curl are always there."""

import asyncio
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def plain_env() -> dict[str, str]:
    """The environment without what a sanitized test run preloads into every child."""
    return {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}


def run(*command: str, stdin: str | None = None, seconds: float = 60) -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=seconds, env=plain_env(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(*arguments: str, stdin: str | None = None) -> str:
    return run("curl", "-sS", "--max-time", "20", *arguments, stdin=stdin)


@needs("curl")
class TestCurl:
    def test_get(self, port: int) -> None:
        assert curl(f"http://127.0.0.1:{port}/") == "Hello world!"

    def test_http_1_0(self, port: int) -> None:
        assert curl("--http1.0", f"http://127.0.0.1:{port}/") == "Hello world!"

    def test_http_1_0_keep_alive(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/"
        out = curl("--http1.0", "-H", "Connection: keep-alive", "-v", "--stderr", "-", url, url)
        assert out.count("Hello world!") == 2
        assert re.search("Re-?using existing connection", out)

    def test_posted_data(self, port: int) -> None:
        answer = json.loads(curl("-d", "a=1&b=2", f"http://127.0.0.1:{port}/echo"))
        expected = {"method": "POST", "length": 7, "type": "application/x-www-form-urlencoded", "body": "a=1&b=2"}
        assert answer == expected

    def test_more_than_a_megabyte_with_expect_100(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/echo"
        out = curl(
            "-v", "--stderr", "-", "-H", "Expect: 100-continue", "--data-binary", "@-", url, stdin="x" * 1_500_000
        )
        assert "HTTP/1.1 100 Continue" in out
        assert '"length":1500000' in out

    def test_chunked_upload(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/echo"
        answer = json.loads(curl("-T", "-", "-H", "Content-Type: text/plain", url, stdin="y" * 300_000))
        assert (answer["method"], answer["length"]) == ("PUT", 300_000)

    @pytest.mark.parametrize("size", [0, 70_000, 20_000_000])
    @pytest.mark.parametrize("how", [(), ("-H", "Transfer-Encoding: chunked")])
    def test_a_form_with_files(self, port: int, tmp_path: Path, size: int, how: tuple[str, ...]) -> None:
        content = random.Random(size).randbytes(size)
        (tmp_path / 'odd "näme.bin').write_bytes(content)
        fields = ["-F", "text=ä & \r\n--", "-F", f'file=@"{tmp_path}/odd \\"näme.bin";type=image/png', "-F", "last="]
        answer = json.loads(curl(*how, *fields, f"http://127.0.0.1:{port}/form"))
        assert answer["form"] == [["text", "ä & \r\n--"], ["last", ""]]
        ((field, name, kind, digest),) = answer["files"]
        assert (field, kind, digest) == ("file", "image/png", hashlib.sha256(content).hexdigest())
        assert name.replace("%22", '"') == 'odd "näme.bin'

    def test_a_urlencoded_form(self, port: int) -> None:
        answer = json.loads(curl("--data-urlencode", "a=ä&=+%", "-d", "b=1+2", f"http://127.0.0.1:{port}/form"))
        assert answer == {"form": [["a", "ä&=+%"], ["b", "1 2"]], "files": []}

    def test_head(self, port: int) -> None:
        out = curl("-I", f"http://127.0.0.1:{port}/")
        assert out.startswith("HTTP/1.1 200 OK")
        assert "Content-Length: 12" in out

    def test_options(self, port: int) -> None:
        out = curl("-i", "-X", "OPTIONS", f"http://127.0.0.1:{port}/echo")
        assert "204 No Content" in out
        assert "Allow: POST, PUT, OPTIONS" in out

    def test_many_on_one_connection(self, port: int) -> None:
        urls = [f"http://127.0.0.1:{port}/slow", f"http://127.0.0.1:{port}/"] * 20
        out = curl("-v", "--stderr", "-", *urls)
        assert out.count("Hello world!") == 20
        assert out.count("Connected to") == 1


class TestPython:
    def test_http_client_on_one_connection(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for body in (b"", b"z", b"z" * 70_000):
            connection.request("POST", "/echo", body, {"Content-Type": "text/plain; charset=utf-8"})
            assert json.loads(connection.getresponse().read())["length"] == len(body)
        connection.request("PUT", "/echo", iter([b"ab", b"c" * 5000]), encode_chunked=True)
        assert json.loads(connection.getresponse().read())["length"] == 5002
        connection.request("HEAD", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.headers["Content-Length"]) == (200, b"", "12")
        connection.close()

    def test_httpx2_on_one_connection(self, port: int) -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(50):
                assert client.get("/").text == "Hello world!"
                assert client.get("/slow").text == "slow"
                assert client.post("/echo", json={"a": 1}).json()["type"] == "application/json"
            assert client.get("/nowhere").status_code == 404
            assert client.delete("/").headers["allow"] == "GET, HEAD, OPTIONS"

    @pytest.mark.parametrize("size", [0, 70_000, 3_000_000])
    def test_httpx2_sends_forms(self, port: int, size: int) -> None:
        content = random.Random(size).randbytes(size)
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            files = [("f", ("ä b.txt", content, "text/plain")), ("f", ("two", b"2"))]
            answer = client.post("/form", data={"a": ["1", "ä"], "b": ""}, files=files).json()
            assert answer["form"] == [["a", "1"], ["a", "ä"], ["b", ""]]
            digests = [hashlib.sha256(text).hexdigest() for text in (content, b"2")]
            assert answer["files"] == [
                ["f", "ä b.txt", "text/plain", digests[0]],
                ["f", "two", "application/octet-stream", digests[1]],
            ]
            answer = client.post("/form", data={"a": ["1", "ä &="], "b": ""}).json()
            assert answer == {"form": [["a", "1"], ["a", "ä &="], ["b", ""]], "files": []}

    def test_httpx2_many_at_once(self, port: int) -> None:
        async def all_at_once() -> list[str]:
            async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                answers = await asyncio.gather(*(client.get("/slow" if i % 2 else "/") for i in range(200)))
            return [answer.text for answer in answers]

        assert asyncio.run(all_at_once()) == ["Hello world!", "slow"] * 100

    def test_threads(self, port: int) -> None:
        def ask(_: int) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/slow", headers={"Connection": "close"})
            status = connection.getresponse().status
            connection.close()
            return status

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert set(pool.map(ask, range(200))) == {200}


@needs("wrk")
class TestWrk:
    def test_pipelining(self, port: int, tmp_path: Path) -> None:
        script = tmp_path / "pipeline.lua"
        script.write_text(
            "init = function(args)\n"
            "  local r = {}\n"
            '  for i = 1, 24 do r[i] = wrk.format("GET", i % 8 == 0 and "/slow" or "/") end\n'
            "  req = table.concat(r)\n"
            "end\n"
            "request = function() return req end\n"
        )
        out = run("wrk", "-t1", "-c8", "-d1s", "-s", str(script), f"http://127.0.0.1:{port}/")
        assert "Non-2xx" not in out
        assert "Socket errors" not in out
        assert re.search(r"[1-9]\d* requests in", out)


GO_CLIENT = """
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
)

func main() {
	base, reused := os.Args[1], 0
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { if i.Reused { reused++ } }}
	do := func(method, path string, body io.Reader) string {
		r, err := http.NewRequest(method, base+path, body)
		if err != nil { panic(err) }
		a, err := http.DefaultClient.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
		if err != nil { panic(err) }
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil { panic(err) }
		return fmt.Sprint(a.StatusCode, " ", string(text))
	}
	for i := 0; i < 100; i++ {
		if got := do("GET", "/", nil); got != "200 Hello world!" { panic(got) }
	}
	fmt.Println(do("POST", "/echo", strings.NewReader("from go")))
	// A reader of unknown length is sent chunked.
	fmt.Println(do("PUT", "/echo", io.MultiReader(strings.NewReader("ab"), strings.NewReader("cd"))))
	fmt.Println(do("GET", "/nowhere", nil))
	fmt.Println(do("HEAD", "/", nil))
	fmt.Println("reused", reused)
}
"""


@needs("go")
class TestGo:
    def test_net_http_keeps_the_connection(self, port: int, tmp_path: Path) -> None:
        source = tmp_path / "client.go"
        source.write_text(GO_CLIENT)
        lines = run("go", "run", str(source), f"http://127.0.0.1:{port}", seconds=59).splitlines()
        assert json.loads(lines[0].removeprefix("200 "))["body"] == "from go"
        assert json.loads(lines[1].removeprefix("200 "))["length"] == 4
        assert lines[2:] == ["404 Not Found", "200 ", "reused 103"]


@needs("chromium")
class TestChromium:
    def test_page_with_style_script_and_fetch(self, port: int, tmp_path: Path) -> None:
        out = run(
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            f"http://127.0.0.1:{port}/page",
            seconds=59,
        )
        assert '<p id="out">POST from the page</p>' in out
