"""The first ten lines: `python examples/hello.py`, or `vivace run examples/hello.py`."""

from vivace import Application

app = Application()


@app.get("/")
def hello(request):
    return "Hello world!"


@app.get("/users/{id:int}")
async def user(request, id: int):
    return {"id": id}


if __name__ == "__main__":
    app.run()  # 127.0.0.1:8080; the same as `vivace run hello:app`
