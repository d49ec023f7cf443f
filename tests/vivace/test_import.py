"""Importing vivace is quick: what only serving, errors or URLs need is left for later."""

import subprocess
import sys

LATER = {
    "msgspec",
    "click",
    "http",
    "urllib.parse",
    "pathlib",
    "ipaddress",
    "difflib",
    "uuid",
    "vivace.settings",
    "vivace.serving",
    "vivace.supervisor",
    "vivace.pages",
    "vivace.urls",
    "vivace.testing",
}


def test_what_is_left_for_later():
    program = """
import asyncio, sys
before = set(sys.modules)
from vivace import Application
app = Application()
@app.get("/users/{id:int}")
async def user(request, id): return {"id": id}
print(*(set(sys.modules) - before))
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    imported = set(printed.split())
    assert "vivace.routing" in imported
    assert not imported & LATER
