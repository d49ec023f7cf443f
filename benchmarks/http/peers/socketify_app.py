import sys

from socketify import App, AppListenOptions


def hello(response, _request):
    response.write_header("Content-Type", "text/plain; charset=utf-8")
    response.end("Hello world!")


app = App()
app.get("/", hello)
app.listen(AppListenOptions(host="127.0.0.1", port=int(sys.argv[1])), lambda _config: None)
app.run()
