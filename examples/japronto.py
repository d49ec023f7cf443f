"""An application as one wrote it for Japronto: it runs here as it is, but for the import.

vivace run examples/japronto.py
"""

from vivace import Application, RouteNotFoundException


def hello(request):
    return request.Response(text="Hello world!")


def params(request):
    return request.Response(json=request.match_dict)


class KittyError(Exception):
    pass


def cat(request):
    raise KittyError


def just_a_kitty(request, exception):
    return request.Response(text="Just a kitty, meow")


def lost(request, exception):
    return request.Response(text="Are you lost, pal?", code=404)


app = Application()
app.router.add_route("/", hello)
app.router.add_route("/params/{p1}/{p2}", params, method="GET")
app.router.add_route("/cat", cat, methods=["GET", "POST"])
app.add_error_handler(KittyError, just_a_kitty)
app.add_error_handler(RouteNotFoundException, lost)
app.run(host="127.0.0.1", port=8080, worker_num=1)
