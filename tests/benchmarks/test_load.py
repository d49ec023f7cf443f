"""benchmarks/http/load.c: with a rate, what a server does not answer counts against it."""

import json
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

SECONDS = 30  # that any single step may take
SOURCES = Path(__file__).resolve().parents[2] / "benchmarks" / "http"
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory):
    """`load(port, *options)` runs it; its report."""
    folder = tmp_path_factory.mktemp("load")
    sources = [SOURCES / name for name in ("load.c", "answer.c", "latency.c")]
    cc = shutil.which("cc") or shutil.which("gcc")
    assert cc
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [cc, "-std=gnu11", "-D_GNU_SOURCE", "-O1", *sources, "-o", folder / "load"]
    subprocess.run(command, check=True, env=env)
    (folder / "request").write_bytes(REQUEST)
    (folder / "body").write_bytes(b"ok")

    def run(port: int, *options: str) -> dict[str, float]:
        command = [folder / "load", "-w", "0", *options, str(port), folder / "request", folder / "body"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, env=env)
        return {"code": done.returncode, **json.loads(done.stdout)}

    return run


@pytest.fixture
def server():
    """`server(answers)` answers so many requests of one connection, reads on and says no more; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = []

        def serve(answers: int) -> None:
            client, _ = listening.accept()
            client.settimeout(SECONDS)
            with client:
                left = answers
                while got := client.recv(65536):
                    count = min(got.count(b"\r\n\r\n"), left)
                    left -= count
                    client.sendall(ANSWER * count)

        def start(answers: int) -> int:
            threads.append(threading.Thread(target=serve, args=(answers,)))
            threads[-1].start()
            return int(listening.getsockname()[1])

        yield start
        for thread in threads:
            thread.join(SECONDS)


def test_without_a_rate_requests_follow_answers(load, server) -> None:
    report = load(server(10), "-c", "1", "-d", "1", "-t", "2")
    assert report["code"] == 0
    assert report["answers"] == 10
    assert report["unanswered"] == 0


def test_with_a_rate_requests_that_were_due_and_never_sent_count(load, server) -> None:
    report = load(server(10), "-c", "1", "-d", "1", "-r", "1000", "-t", "1")
    assert report["answers"] == 10
    # 1000 were due; that only one is under way does not hide the others.
    assert report["unanswered"] >= 980
    assert report["max_us"] > report["p50_us"] > 200_000


def test_a_wrong_answer_is_a_fault(load, server) -> None:
    report = load(server(5), "-c", "1", "-d", "1", "-t", "0.2", "-r", "100")
    assert report["faults"] == 0
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def lie() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(100)
                client.sendall(ANSWER.replace(b"ok", b"no"))
                client.recv(100)

        thread = threading.Thread(target=lie)
        thread.start()
        report = load(listening.getsockname()[1], "-c", "1", "-d", "1", "-t", "2", "-r", "100")
        thread.join(SECONDS)
    assert report["code"] == 1
    assert report["faults"] >= 1
