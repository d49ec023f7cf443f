"""One server as a process of its own, for clients that are processes too."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = """
import asyncio
from hashlib import sha256
from vivace import Application, Response

app = Application()

@app.get("/")
def hello(request):
    return "Hello world!"

@app.get("/slow")
async def slow(request):
    await asyncio.sleep(0.01)
    return "slow"

@app.post("/form", limit_body_bytes="64MiB")
def form(request):
    files = [[name, file.name, file.type, sha256(file.body).hexdigest()] for name, file in request.files.multi_items()]
    return {"form": request.form.multi_items(), "files": files}

@app.route("/echo", methods=["POST", "PUT"])
async def echo(request):
    return {"method": request.method, "length": len(request.body), "type": request.mime_type,
            "body": request.text[:100]}

@app.get("/page")
def page(request):
    return Response(text='<!doctype html><title>page</title><link rel="stylesheet" href="/style.css">'
                         '<body><p id="out">not run</p><script src="/script.js"></script>', mime_type="text/html")

@app.get("/style.css")
def style(request):
    return Response(text="body{color:#123}", mime_type="text/css")

@app.get("/script.js")
async def script(request):
    await asyncio.sleep(0)
    return Response(text="fetch('/echo',{method:'POST',body:'from the page'}).then(r=>r.json())"
                         ".then(j=>{document.getElementById('out').textContent=j.method+' '+j.body})",
                    mime_type="text/javascript")

app.run(port=0)
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server that runs while this module's tests do."""
    script = tmp_path_factory.mktemp("clients") / "serve.py"
    Path(script).write_text(PAGE)
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VIVACE_", "PORT")) or name == "VIVACE_IO"
    }
    with subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, env=env) as server:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r":(\d+) ", line)
        assert found, line
        yield int(found[1])
        server.terminate()
        assert server.wait(20) == 0
