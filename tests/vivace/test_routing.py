"""Routes: registration, its errors, and the way back from a name to a path."""

import pytest

from vivace import Application, Router


def show(request):
    return "shown"


@pytest.fixture
def router() -> Router:
    return Router()


def test_a_route_knows_what_it_was_made_of(router):
    route = router.add_route("/users/{id:int}", show, methods=["get", "POST", "get"])
    assert (route.pattern, route.handler, route.name) == ("/users/{id:int}", show, "show")
    assert route.methods == {"GET", "POST"}
    assert route.placeholders == (("id", "int"),)
    assert list(router) == [route]


def test_no_method_is_any_method(router):
    assert router.add_route("/", show).methods == frozenset()


def test_the_method_may_be_given_in_third_place_as_japronto_has_it(router):
    assert router.add_route("/", show, "delete").methods == {"DELETE"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "GET", "methods": ["GET"]}, "give one of them"),
        ({"methods": []}, "empty list"),
    ],
)
def test_methods_that_contradict_themselves(router, arguments, words):
    with pytest.raises(ValueError, match=words):
        router.add_route("/", show, **arguments)


def test_methods_as_a_text_are_refused(router):
    with pytest.raises(TypeError, match=r'methods=\["GET"\]'):
        router.add_route("/", show, methods="get")


@pytest.mark.parametrize("pattern", ["/users/{id", "/{a}/{a}", "users", "/{id:itn}", "/{rest:path}/more"])
def test_a_malformed_pattern_is_refused_in_one_line_that_shows_it(router, pattern):
    with pytest.raises(ValueError, match=r"route|pattern") as caught:
        router.add_route(pattern, show)
    assert pattern in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(router) == 0


def test_a_pattern_is_a_text(router):
    with pytest.raises(TypeError, match="a pattern is a str"):
        router.add_route(show, show)


def test_two_routes_for_the_same_are_refused(router):
    router.add_route("/users/{id}", show, "GET")
    with pytest.raises(ValueError, match="/users/"):
        router.add_route("/users/{name}", show, "GET")
    router.add_route("/users/{name}", show, "POST")
    assert len(router) == 2


def test_a_route_refused_for_its_handler_leaves_no_trace(router):
    with pytest.raises(ValueError, match="idd"):
        router.add_route("/users/{id}", lambda request, idd: 0)
    router.add_route("/users/{id}", show)


def test_one_name_is_for_one_pattern(router):
    router.add_route("/a", show, "GET", name="page")
    router.add_route("/a", show, "POST", name="page")
    with pytest.raises(ValueError, match='"/a" already is'):
        router.add_route("/b", show, name="page")


@pytest.mark.parametrize(
    ("pattern", "params", "path"),
    [
        ("/", {}, "/"),
        ("/users/{id:int}", {"id": 3}, "/users/3"),
        ("/users/{id:int}", {"id": "-3"}, "/users/-3"),
        ("/{name}", {"name": "a b/c?d#e%é"}, "/a%20b%2Fc%3Fd%23e%25%C3%A9"),
        ("/{self}", {"self": "x"}, "/x"),
        ("/files/{rest:path}", {"rest": "a b/c"}, "/files/a%20b/c"),
        ("/files/{rest:path}", {"rest": ""}, "/files/"),
        ("/x/{value:float}", {"value": 1e20}, "/x/100000000000000000000.000000"),
        ("/x/{value:float}", {"value": 0.5}, "/x/0.5"),
        ("/{{a}}/é {b}", {"b": 1}, "/%7Ba%7D/%C3%A9%201"),
        ("/v{major:int}", {"major": 2}, "/v2"),
        (
            "/{id:uuid}",
            {"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
            "/6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ),
    ],
)
def test_url_for(router, pattern, params, path):
    router.add_route(pattern, show)
    assert router.url_for("show", **params) == path


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, 'also needs "id"'),
        ({"id": 1, "name": "x"}, 'no placeholder "name"'),
        ({"idd": 1, "id": 1}, 'did you mean "id"'),
        ({"id": "x"}, "takes an int, not 'x'"),
        ({"id": None}, "takes an int, not None"),
        ({"id": True}, "takes an int, not True"),
    ],
)
def test_url_for_says_what_is_wrong(router, params, words):
    router.add_route("/users/{id:int}", show)
    with pytest.raises(ValueError, match=words):
        router.url_for("show", **params)


def test_url_for_names_the_nearest_name(router):
    router.add_route("/", show)
    with pytest.raises(LookupError, match='no route is named "shwo": did you mean "show"'):
        router.url_for("shwo")


def test_url_for_takes_the_route_whose_placeholders_were_given(router):
    router.add_route("/", show)
    router.add_route("/{page:int}", show)
    assert (router.url_for("show"), router.url_for("show", page=2)) == ("/", "/2")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
def test_decorators_return_the_function_as_it_was(method):
    app = Application()
    assert getattr(app, method)("/", name="x")(show) is show
    (route,) = app.router.routes
    assert (route.methods, route.name) == ({method.upper()}, "x")


def test_route_is_for_get_unless_told():
    app = Application()
    app.route("/")(show)
    app.route("/", methods=["PUT", "post"])(show)
    assert [route.methods for route in app.router] == [{"GET"}, {"PUT", "POST"}]


def test_a_decorator_without_its_path_is_told():
    with pytest.raises(TypeError, match=r'@app.put\("/..."\)` above show'):
        Application().put(show)


def test_an_unknown_option_of_a_route_is_told_with_the_nearest():
    with pytest.raises(TypeError, match=r'"/a": a route has no option .block.: did you mean "blocking"'):
        Application().get("/a", block=True)


def test_the_table_matches_with_converted_parameters(router):
    route = router.add_route("/users/{id:int}", show, "GET")
    assert router.table.match("GET", "/users/3")[:2] == (route, {"id": 3})
    assert router.table.match("POST", "/users/3")[0] is None
    assert router.table.match("GET", "/users/x")[0] is None


def test_a_route_may_have_a_body_limit_of_its_own(router):
    assert router.add_route("/a", lambda: "", limit_body_bytes="2GiB").limit_body_bytes == 2 << 30
    assert router.add_route("/b", lambda: "", limit_body_bytes=5).limit_body_bytes == 5
    assert router.add_route("/c", lambda: "").limit_body_bytes is None
    for wrong in ("2GB", 0, -1, 1.5, True):
        with pytest.raises(ValueError, match=r'^"/d": limit_body_bytes takes a number of bytes from 1 to'):
            router.add_route("/d", lambda: "", limit_body_bytes=wrong)
    assert len(router) == 3


def test_the_body_limit_of_a_route_takes_the_place_of_the_applications(serve):
    app = Application(limit_body_bytes=10)

    @app.route("/less", methods=["POST"], limit_body_bytes=5)
    @app.post("/more", limit_body_bytes="1MiB")
    @app.post("/same")
    def length(request):
        return str(len(request.body))

    @app.put("/same", limit_body_bytes=2)
    async def put(request):
        return "put"

    served = serve(app)
    for target, most in [("/less", 5), ("/more", 1 << 20), ("/same", 10)]:
        assert served.get(target, "POST", b"x" * most).text == str(most)
        refused = served.get(target, "POST", b"x" * (most + 1))
        assert (refused.status, refused.headers["connection"]) == (413, "close")
    assert served.get("/same", "PUT", b"xx").text == "put"
    assert served.get("/same", "PUT", b"xxx").status == 413
    assert served.get("/nowhere", "POST", b"x" * 11).status == 413
    client = served.client()
    client.send("POST /less HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer().status == 413
    assert client.at_end()
