"""A small JSON API: typed parameters, JSON in and out, errors by exception.

python examples/todo.py
curl -d '{"title": "learn to play"}' localhost:8080/todos
curl localhost:8080/todos/1
"""

import itertools

from vivace import Application, HTTPError

app = Application()
todos = {}
numbers = itertools.count(1)


@app.get("/todos")
def every():
    return list(todos.values())


@app.post("/todos")
def add(request):
    todo = {"id": next(numbers), "title": request.json["title"]}  # a body that is not JSON is a 400 by itself
    todos[todo["id"]] = todo
    location = app.url_for("one", id=todo["id"])
    return request.Response(json=todo, code=201, headers={"Location": location})


@app.get("/todos/{id:int}")
def one(id):
    if id not in todos:
        raise HTTPError(404, f"there is no todo {id}")
    return todos[id]


@app.delete("/todos/{id:int}")
def remove(request, id):
    todos.pop(id, None)
    return request.Response(code=204)


@app.exception_handler(KeyError)
def incomplete(request, exception):
    return request.Response(json={"missing": exception.args[0]}, code=422)


if __name__ == "__main__":
    app.run()
