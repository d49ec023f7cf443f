import sys

from japronto import Application


def hello(request):  # noqa: ANN001, ANN201 -- Python 3.6, as its users write
    return request.Response(text="Hello world!")


app = Application()
app.router.add_route("/", hello)
app.run(port=int(sys.argv[1]))
