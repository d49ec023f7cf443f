"""What is counted: one route a habit of users."""

import asyncio
import sys

from vivace import Application

app = Application()


@app.get("/response")
def response(request):
    return request.Response(text="Hello world!")


@app.get("/text")
def text(request):
    return "Hello world!"


@app.get("/async")
async def asynchronous(request):
    return request.Response(text="Hello world!")


@app.get("/sleep")
async def sleep(request):
    await asyncio.sleep(0)
    return request.Response(text="Hello world!")


@app.get("/json")
def json(request):
    return {"message": "Hello world!"}


@app.get("/users/{id:int}")
def user(request, id):
    return "Hello world!"


@app.get("/headers")
def headers(request):
    get = request.headers.get
    get("host"), get("accept"), get("user-agent"), get("accept-encoding")
    return "Hello world!"


@app.post("/echo")
def echo(request):
    return request.body


if __name__ == "__main__":
    app.run(port=0, io=sys.argv[1])
