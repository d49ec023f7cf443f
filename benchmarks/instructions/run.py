"""Instructions a request, counted by valgrind: they do not move with the machine's mood.

    python benchmarks/instructions/run.py             print the table
    python benchmarks/instructions/run.py --check     fail where the engine's own share exceeds budget.json by over 3 %
    python benchmarks/instructions/run.py --update    write budget.json

Counted is what vv_loop_dispatch() does, from the receive to the send, without the kernel: `engine` is our own module,
`all` includes CPython and libc. The budget is of `engine`, which depends on the compiler but not on the Python.
valgrind offers AVX2 and no AVX-512, so it is the AVX2 parser that is counted.
"""

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BUDGET = HERE / "budget.json"
TOLERANCE = 1.03
REQUESTS = 2400
GET = "GET {} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nUser-Agent: count\r\nAccept-Encoding: gzip\r\n\r\n"
BODY = "x" * 1024
CASES = {
    "response": GET.format("/response"),
    "text": GET.format("/text"),
    "async": GET.format("/async"),
    "json": GET.format("/json"),
    "param": GET.format("/users/123"),
    "headers": GET.format("/headers"),
    "not found": GET.format("/nowhere"),
    "echo 1 KiB": f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}",
}


def ask(sock: socket.socket, request: bytes, depth: int, requests: int) -> None:
    """Send batches, and wait for each one's answers (all of one length)."""
    sock.sendall(request)
    length = len(sock.recv(1 << 16))
    for _ in range(requests // depth):
        sock.sendall(request * depth)
        due = length * depth
        while due > 0:
            due -= len(sock.recv(1 << 20))


def count(request: str, depth: int, io: str) -> dict[str, float]:
    """Run a server under valgrind: instructions a request, of the engine and of all."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", "--toggle-collect=vv_loop_dispatch", f"--callgrind-out-file={out}"]
        env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
        with subprocess.Popen(
            [*command, sys.executable, str(HERE / "app.py"), io], stderr=subprocess.PIPE, text=True, env=env
        ) as server:
            assert server.stderr is not None
            lines = []
            for line in server.stderr:
                lines.append(line)
                if found := re.search(r"serving http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                sys.exit("".join(lines))
            with socket.create_connection(("127.0.0.1", int(found[1]))) as sock:
                ask(sock, request.encode(), depth, REQUESTS)
            server.send_signal(signal.SIGINT)
            server.stderr.read()
            server.wait(60)
        text = subprocess.run(
            ["callgrind_annotate", "--threshold=100", str(out)], capture_output=True, text=True, check=True
        ).stdout
    total = engine = 0
    for number, name in re.findall(r"^\s*([\d,]+) \([^)]*\)\s+(.*)$", text, re.MULTILINE):
        value = int(number.replace(",", ""))
        if "PROGRAM TOTALS" in name:
            total = value
        elif "/_engine." in name:
            engine += value
    return {"engine": round(engine / REQUESTS, 1), "all": round(total / REQUESTS, 1)}


def main() -> int:
    """Count every case, 24 pipelined and one by one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with budget.json")
    parser.add_argument("--update", action="store_true", help="write budget.json")
    parser.add_argument("--io", default="epoll", help="the I/O back-end (%(default)s)")
    parser.add_argument("--only", help="cases, separated by commas")
    given = parser.parse_args()
    budget = json.loads(BUDGET.read_text()) if BUDGET.exists() else {}
    cases = {name: CASES[name] for name in given.only.split(",")} if given.only else CASES
    over = []
    print(f"{'instructions a request':<24}{'engine':>10}{'all':>10}{'budget':>10}")
    for name, request in cases.items():
        for depth in (24, 1):
            label = f"{name}, {'24 pipelined' if depth > 1 else 'one by one'}"
            counted = count(request, depth, given.io)
            allowed = budget.get(label)
            print(f"{label:<24}{counted['engine']:>10}{counted['all']:>10}{allowed or '':>10}", flush=True)
            if allowed and counted["engine"] > allowed * TOLERANCE:
                over.append(f"{label}: {counted['engine']} instructions, {allowed} are in the budget")
            budget[label] = counted["engine"]
    if given.update:
        BUDGET.write_text(json.dumps(budget, indent=1) + "\n")
    if given.check and over:
        print("\n".join(over))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
