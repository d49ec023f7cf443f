from blacksheep import Application, Response, TextContent, get

app = Application()


@get("/")
async def hello() -> Response:
    return Response(200, content=TextContent("Hello world!"))
