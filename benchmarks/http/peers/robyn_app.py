import os
import sys

from robyn import Request, Robyn

os.environ["ROBYN_HOST"] = "127.0.0.1"
app = Robyn(__file__)


@app.get("/")
def hello(_request: Request) -> str:
    return "Hello world!"


app.start(host="127.0.0.1", port=int(sys.argv.pop()))
