"""What lives as long as the server: opened before the first request, closed after the last.

python examples/lifespan.py          # and Ctrl-C
"""

import asyncio
from contextlib import asynccontextmanager

from vivace import Application


@asynccontextmanager
async def lifespan(app):
    ticker = asyncio.create_task(tick(app))
    yield
    ticker.cancel()
    print(f"ticked {app.state.ticks} times")


async def tick(app):
    app.state.ticks = 0
    while True:
        await asyncio.sleep(1)
        app.state.ticks += 1


app = Application(lifespan=lifespan)


@app.on_startup
def greet():
    print("ready for the first request")


@app.get("/")
def ticks():
    return {"ticks": app.state.ticks}


if __name__ == "__main__":
    app.run()
