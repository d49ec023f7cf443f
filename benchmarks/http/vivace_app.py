"""What is measured of vivace: one handler for each thing that a request may ask of it.

vivace_app.py PORT IO WORKERS
"""

import asyncio
import sys
from typing import Any

from vivace import Application

app = Application()


@app.get("/")
def hello(request: Any) -> Any:
    return request.Response(text="Hello world!")


@app.get("/text")
def text() -> str:
    return "Hello world!"


@app.get("/async")
async def hello_async(request: Any) -> Any:
    return request.Response(text="Hello world!")


@app.get("/sleep")
async def sleep(request: Any) -> Any:
    await asyncio.sleep(0)
    return request.Response(text="Hello world!")


@app.get("/json")
def as_json() -> dict[str, str]:
    return {"message": "Hello world!"}


@app.get("/users/{id:int}")
def user(id: int) -> str:
    return str(id)


@app.get("/headers")
def headers(request: Any) -> str:
    given = request.headers
    host = given["Host"]
    accept = given["Accept"]
    agent = given["User-Agent"]
    language = given["Accept-Language"]
    return language if host and accept and agent else "a field is missing"


@app.post("/echo")
def echo(request: Any) -> bytes:
    return request.body


if __name__ == "__main__":
    port, io, workers = sys.argv[1:]
    several = int(workers) if int(workers) > 1 else None  # one worker that is asked for has a supervisor beside it
    app.run(port=int(port), io=io, workers=several, limit_connections=100_000)
