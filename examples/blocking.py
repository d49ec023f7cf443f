"""Handlers that block run in threads: here they wait for SQLite, and nobody waits for them.

vivace run examples/blocking.py --threads 8
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from vivace import Application, HTTPError, Request

FILE = Path(tempfile.mkdtemp(), "notes.sqlite")

app = Application()


@contextmanager
def database(_request: Request) -> Iterator[sqlite3.Connection]:
    """Open the database for one request: `with request.database() as db`."""
    with closing(sqlite3.connect(FILE)) as db, db:
        yield db


app.extend_request(database)


@app.on_startup
def create() -> None:
    with closing(sqlite3.connect(FILE)) as db, db:
        db.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")


@app.get("/notes", blocking=True)
def notes(request):
    with request.database() as db:
        return [{"id": id, "text": text} for id, text in db.execute("SELECT id, text FROM notes")]


@app.post("/notes", blocking=True)
def add(request):
    with request.database() as db:
        added = db.execute("INSERT INTO notes (text) VALUES (?)", (request.text,))
    return request.Response(json={"id": added.lastrowid}, code=201)


@app.get("/notes/{id:int}", blocking=True)
def note(request, id):
    with request.database() as db:
        row = db.execute("SELECT text FROM notes WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise HTTPError(404, f"there is no note {id}")
    return row[0]


if __name__ == "__main__":
    app.run()
