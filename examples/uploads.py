"""A form with files: kept on disk while they arrive, saved under a name of our own, however large.

python examples/uploads.py
curl -F "title=A cat" -F "picture=@cat.png" localhost:8080/pictures
curl localhost:8080/pictures/1 > cat.png
"""

import itertools
import tempfile
from pathlib import Path

from vivace import Application, HTTPError

app = Application()
folder = tempfile.TemporaryDirectory(prefix="vivace-pictures-")
pictures = {}
numbers = itertools.count(1)


@app.post("/pictures", limit_body_bytes="2GiB", blocking=True)  # saving waits for the disk
def add(request):
    picture = request.files.get("picture")
    if picture is None:
        raise HTTPError(422, 'send a file named "picture"')
    number = next(numbers)
    picture.save(Path(folder.name, str(number)))  # never under the client's name
    pictures[number] = {"title": request.form.get("title", picture.name), "size": picture.size}
    return request.Response(json=pictures[number], code=201, headers={"Location": f"/pictures/{number}"})


@app.get("/pictures/{number:int}", blocking=True)
def show(number):
    if number not in pictures:
        raise HTTPError(404, f"there is no picture {number}")
    return Path(folder.name, str(number)).read_bytes()


if __name__ == "__main__":
    app.run()
