"""What an application adds to its requests."""

import asyncio
import functools
import gc
import json
import weakref

import pytest

from vivace import Application, Request


@pytest.fixture
def app() -> Application:
    return Application()


def lines(answer):
    return answer.text.splitlines()


def test_a_method_takes_the_request_and_what_it_is_called_with(app, serve):
    def greet(request, word, *, mark="!"):
        return f"{word} {request.path}{mark}"

    assert app.extend_request(greet) is greet
    app.extend_request(greet, "hail")

    @app.get("/{rest:path}")
    def hello(request):
        return f"{request.greet('hello')} {request.hail('hail', mark='?')}"

    assert serve(app).get("/you").text == "hello /you! hail /you?"


def test_an_async_method_is_awaited(app, serve):
    async def later(request):
        await asyncio.sleep(0)
        return request.path

    app.extend_request(later)

    @app.get("/x")
    async def hello(request):
        return await request.later()

    assert serve(app).get("/x").text == "/x"


def test_a_callable_that_is_no_function_is_a_method_too(app, serve):
    class Prefix:
        """Of what."""

        def __call__(self, request, word):
            return word + request.path

    app.extend_request(Prefix(), name="prefix")
    app.extend_request(functools.partial(Prefix.__call__, None, word="b"), name="fixed")
    app.extend_request(isinstance, name="is_a")

    @app.get("/x")
    def hello(request):
        return f"{request.prefix('a')} {request.fixed()} {request.is_a(Request)}"

    assert serve(app).get("/x").text == "a/x b/x True"


def test_a_property_is_made_once_a_request_and_kept(app, serve):
    made = []

    def user(request):
        made.append(request.headers["X-User"])
        return {"name": request.headers["X-User"]}

    app.extend_request(user, property=True)

    @app.get("/now")
    def now(request):
        return f"{request.user is request.user} {request.user['name']}"

    @app.get("/later")
    async def later(request):
        before = request.user
        await asyncio.sleep(0.001)
        return f"{request.user is before} {request.user['name']}"

    @app.get("/unused")
    def unused(request):
        return "nobody"

    client = serve(app).client()
    for number in range(3):
        for target in ("/now", "/later", "/unused"):
            answer = client.request(target, X_User=f"{target}{number}")
            assert answer.text == ("nobody" if target == "/unused" else f"True {target}{number}")
    assert made == [f"{target}{number}" for number in range(3) for target in ("/now", "/later")]


def test_a_property_that_fails_is_made_again(app, serve):
    calls = []

    def shy(request):
        calls.append(1)
        if len(calls) < 3:
            raise LookupError("not yet")
        return "now"

    app.extend_request(shy, property=True)

    @app.get("/")
    def hello(request):
        for _ in range(2):
            with pytest.raises(LookupError, match="not yet"):
                _ = request.shy
        return request.shy

    assert serve(app).get("/").text == "now"


def test_an_attribute_error_of_a_property_is_its_own(app, serve, caplog):
    def broken(request):
        return request.no_such_thing

    app.extend_request(broken, property=True)

    @app.get("/")
    def hello(request):
        return request.broken

    assert serve(app).get("/").status == 500
    assert "no_such_thing" in caplog.text


def test_two_applications_keep_theirs_apart(serve):
    one, other = Application(), Application()
    one.extend_request(lambda request: "one", "which", property=True)
    other.extend_request(lambda request: "other", "which")
    other.extend_request(lambda request: "more", "more")
    plain = Application()

    one.get("/")(lambda request: f"{request.which} {hasattr(request, 'more')}")
    other.get("/")(lambda request: f"{request.which()} {request.more()}")
    plain.get("/")(lambda request: f"{hasattr(request, 'which')} {type(request) is Request}")
    ports = [serve(app) for app in (one, other, plain)]
    for _ in range(3):
        assert [served.get("/").text for served in ports] == ["one False", "other more", "False True"]


def test_an_extended_request_is_a_request_and_takes_no_other_attributes(app, serve):
    app.extend_request(lambda request: 1, "number", property=True)
    app.extend_request(lambda request: 1, "method_", property=False)

    @app.get("/")
    def hello(request):
        for name in ("number", "method_", "other"):
            with pytest.raises(AttributeError):
                setattr(request, name, 2)
        with pytest.raises(TypeError):
            type(request)()
        with pytest.raises(TypeError, match="property of requests"):
            type(request).__dict__["number"].__get__("no request")
        assert not hasattr(request, "__dict__")
        return f"{isinstance(request, Request)} {type(request).__name__} {request.number} {request!r}"

    assert serve(app).get("/").text == "True Request 1 <Request GET />"


def test_nobody_else_derives_from_request(app):
    app.extend_request(lambda request: 1, "number")
    for base in (Request, type(app)._request_type.fget(app)):
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Mine", (base,), {})


def test_kept_requests_keep_their_properties(app, serve):
    kept = []
    app.extend_request(lambda request: [request.match_dict["n"]], "boxed", property=True)

    @app.get("/{n:int}")
    async def keep(request):
        kept.append(request)
        _ = request.boxed if request.match_dict["n"] % 2 else None
        if request.match_dict["n"] % 3:
            await asyncio.sleep(0)
        return "kept"

    client = serve(app).client()
    for number in range(100):
        assert client.request(f"/{number}").text == "kept"
    assert [request.boxed for request in kept] == [[number] for number in range(100)]


def test_what_a_property_keeps_goes_with_its_request(app, serve):
    class Thing:
        pass

    things = []

    def thing(request):
        made = Thing()
        made.request = request  # a circle
        things.append(weakref.ref(made))
        return made

    app.extend_request(thing, property=True)

    @app.get("/")
    def hello(request):
        return type(request.thing).__name__

    client = serve(app).client()
    for _ in range(50):
        assert client.request("/").text == "Thing"
    gc.collect()
    assert len(things) == 50
    assert not any(reference() for reference in things)


def test_the_type_goes_with_its_application(serve):
    def once():
        app = Application()
        app.extend_request(lambda request: app, "mine", property=True)
        app.get("/")(lambda request: str(request.mine is app))
        served = serve(app)
        assert served.get("/").text == "True"
        served.stop()
        return weakref.ref(app._request_type), served

    reference, served = once()
    for name in ("app", "running"):
        delattr(served, name)
    gc.collect()
    assert reference() is None


def test_a_near_name_may_be_an_extension(app, serve, caplog):
    app.extend_request(lambda request: "me", "customer", property=True)

    @app.get("/")
    def hello(request):
        return request.custmer

    assert serve(app).get("/").status == 500
    assert 'did you mean "customer"?' in caplog.text


def test_extensions_work_in_callbacks_and_error_handlers(app, serve):
    seen = []
    app.extend_request(lambda request: f"id of {request.path}", "ident", property=True)

    @app.get("/{rest:path}")
    def fail(request):
        request.add_done_callback(lambda request: seen.append(request.ident))
        raise LookupError

    app.add_error_handler(LookupError, lambda request, error: request.ident)
    served = serve(app)
    assert served.get("/x").text == "id of /x"
    served.stop()
    assert seen == ["id of /x"]


@pytest.mark.parametrize("name", ["json", "headers", "Response", "app", "add_done_callback", "extra"])
def test_what_requests_have_is_not_replaced(app, name):
    with pytest.raises(ValueError, match=f'every request has "{name}" already'):
        app.extend_request(lambda request: 1, name)


def test_a_name_is_taken_once(app):
    app.extend_request(lambda request: 1, "mine")
    with pytest.raises(ValueError, match='extended by "mine" before'):
        app.extend_request(lambda request: 1, "mine", property=True)


@pytest.mark.parametrize("name", [None, "", "a-b", "a b", "__len__", "class", 3])
def test_a_name_must_be_one(app, name):
    with pytest.raises(ValueError, match="is no name for an attribute"):
        app.extend_request(lambda request: 1, name)  # a lambda's own name is none


def test_functions_that_do_not_fit_are_refused(app):
    async def waits(request):
        return 1

    with pytest.raises(ValueError, match="an attribute cannot wait"):
        app.extend_request(waits, property=True)
    with pytest.raises(ValueError, match="called with the request alone"):
        app.extend_request(lambda request, other: 1, "x", property=True)
    with pytest.raises(ValueError, match="called with the request first"):
        app.extend_request(lambda: 1, "x")
    with pytest.raises(TypeError, match="takes a function, not 'x'"):
        app.extend_request("x")
    app.extend_request(lambda request, other=1: other, "fits", property=True)


def test_served_requests_are_not_extended_any_more(app, serve):
    app.get("/")(lambda request: json.dumps(hasattr(request, "late")))
    served = serve(app)
    with pytest.raises(RuntimeError, match='"late" comes too late'):
        app.extend_request(lambda request: 1, "late")
    assert served.get("/").text == "false"
