import falcon
import falcon.asgi


class Hello:
    async def on_get(self, _request: falcon.asgi.Request, response: falcon.asgi.Response) -> None:
        response.content_type = falcon.MEDIA_TEXT
        response.text = "Hello world!"


app = falcon.asgi.App()
app.add_route("/", Hello())
