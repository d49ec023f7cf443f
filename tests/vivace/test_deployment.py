"""What the deployment page shows is accepted by the programs it is for, and works with those that are here."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "deployment.md"
HELLO = """
from vivace import Application

app = Application()


@app.get("/")
def seen(request):
    return "|".join([request.hostname, request.headers["X-Forwarded-For"], request.headers.get("Connection", "none")])
"""

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the guide is not here")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False, **options)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, **headers):
    """The answer of what may be starting still: status, body."""
    deadline = time.monotonic() + SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", "/", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


@needs("systemd-analyze")
def test_systemd_accepts_the_units(tmp_path):
    names = re.findall(r"^`/etc/systemd/system/(shop\.\w+)`:$", PAGE.read_text(), re.MULTILINE)
    units = blocks("ini")
    assert len(names) == len(units) == 2
    for name, unit in zip(names, units, strict=True):
        # There is no /srv/shop here.
        (tmp_path / name).write_text(unit.replace("/srv/shop/.venv/bin/vivace", sys.executable))
    done = run("systemd-analyze", "verify", *(str(tmp_path / name) for name in names))
    complaints = [line for line in done.stderr.splitlines() if "shop." in line]
    assert (done.returncode, complaints) == (0, []), done.stderr


@needs("systemd-socket-activate")
def test_the_command_of_the_unit_serves_the_socket_of_systemd(tmp_path):
    (tmp_path / "shop.py").write_text(HELLO)
    command = re.search(r"^ExecStart=\S*/vivace (.*)$", blocks("ini")[1], re.MULTILINE)[1].split()
    port = free_port()
    environment = [f"--setenv={name}" for name in os.environ]  # it hands nothing over by itself
    with subprocess.Popen(
        ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", *environment, sys.executable, "-m", "vivace", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as popen:
        try:
            assert ask(port, Host="a", **{"X-Forwarded-For": "x"}) == (200, "a|x|none")
        finally:
            popen.terminate()
            _, err = popen.communicate(timeout=SECONDS)
    assert '"GET / HTTP/1.1" 200 ' in err
    assert popen.returncode == 0


@needs("nginx")
def test_nginx_before_it(tmp_path, start):
    (tmp_path / "shop.py").write_text(HELLO)
    (config,) = blocks("nginx")
    port = free_port()
    config = config.replace("unix:/run/shop.sock", f"unix:{tmp_path}/shop.sock").replace(
        "listen 80;", f"listen 127.0.0.1:{port};"
    )
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{config}}}\n"
    )
    nginx = ["nginx", "-p", str(tmp_path), "-e", "stderr", "-c", str(tmp_path / "nginx.conf")]
    checked = run(*nginx, "-t")
    assert checked.returncode == 0, checked.stderr

    process = start("-m", "vivace", "run", "shop:app", "--uds", "shop.sock", "--access-log")
    process.ready()
    with subprocess.Popen(nginx, stderr=subprocess.DEVNULL) as popen:
        try:
            for _ in range(3):
                assert ask(port, Host="shop.example") == (200, "shop.example|127.0.0.1|none")
        finally:
            popen.terminate()
            popen.wait(SECONDS)
    _, _, err = process.stop()
    assert err.count("- - - [") == 3


@needs("haproxy")
def test_haproxy_before_it(tmp_path, start):
    (tmp_path / "shop.py").write_text(HELLO)
    (config,) = blocks("haproxy")
    process = start("-m", "vivace", "run", "shop:app", "--port", "0")
    port = free_port()
    config = config.replace("127.0.0.1:8080", f"127.0.0.1:{process.port}").replace("bind :80", f"bind 127.0.0.1:{port}")
    (tmp_path / "haproxy.cfg").write_text(config)
    checked = run("haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg"))
    assert (checked.returncode, "WARNING" in checked.stderr) == (0, False), checked.stderr
    with subprocess.Popen(["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")], stderr=subprocess.DEVNULL) as popen:
        try:
            status, body = ask(port, Host="shop.example")
        finally:
            popen.terminate()
            popen.wait(SECONDS)
    assert (status, body.split("|")[:2]) == (200, ["shop.example", "127.0.0.1"])


def test_the_command_of_the_container_is_one(tmp_path, start):
    (tmp_path / "shop.py").write_text(HELLO)
    (text,) = blocks("dockerfile")
    program, *arguments = json.loads(re.search(r"^CMD (.*)$", text, re.MULTILINE)[1])
    assert program == "vivace"
    process = start("-m", "vivace", *arguments, "--port", "0")
    process.ready()
    assert ask(process.port, Host="a", **{"X-Forwarded-For": "x"}) == (200, "a|x|none")
    status, _, err = process.stop()
    assert status == 0
    assert '"path":"/"' in err
