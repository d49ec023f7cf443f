import sys

from sanic import Request, Sanic, text
from sanic.response import HTTPResponse

app = Sanic("hello", configure_logging=False)


@app.get("/")
async def hello(_request: Request) -> HTTPResponse:
    return text("Hello world!")


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
