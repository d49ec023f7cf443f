"""Handlers that wait hold nobody up, not even on their own connection: answers leave in order, work overlaps.

python examples/waiting.py
time curl 'localhost:8080/sleep/1.0' 'localhost:8080/'
"""

import asyncio

from vivace import Application

app = Application()


@app.get("/")
def now():
    return "at once"


@app.get("/sleep/{seconds:float}")
async def sleep(seconds):
    await asyncio.sleep(seconds)
    return f"after {seconds} s"


if __name__ == "__main__":
    app.run()
