"""Headers and MultiDict: multi-mappings that cannot be changed, and outlive their request."""

import enum
import gc
import weakref

import pytest

from vivace import Application
from vivace._engine import MultiDict


@pytest.fixture
def headers(serve):
    """Of a request that is over."""
    app = Application()
    kept = []

    @app.get("/")
    def keep(request):
        kept.append(request.headers)
        return "kept"

    client = serve(app).client()
    client.send(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Many: 1\r\nAccept: */*\r\nx-many: 2\r\nX-Latin: \xe9\r\n\r\n".encode("latin-1")
    )
    client.answer()
    client.request("/", Host="somebody-else")
    return kept[0]


class TestHeaders:
    def test_look_ups(self, headers):
        assert headers["x-MANY"] == "1"
        assert headers.getall("X-Many") == ["1", "2"]
        assert headers["X-Latin"] == "é"
        assert headers.get("x-none") is None
        assert headers.get("x-none", "default") == "default"
        assert headers.getall("x-none") == []
        assert "host" in headers
        assert "é" not in headers
        with pytest.raises(KeyError):
            headers["x-none"]
        with pytest.raises(TypeError):
            headers[1]
        with pytest.raises(TypeError):
            headers.get()

    def test_names_of_types_that_are_str(self, headers):
        class Name(enum.StrEnum):
            MANY = "x-many"
            NONE = "x-none"
            LATIN = "é"

        assert headers[Name.MANY] == headers.get(Name.MANY) == "1"
        assert headers.getall(Name.MANY) == ["1", "2"]
        assert Name.MANY in headers
        assert headers.get(Name.NONE) is None
        assert Name.LATIN not in headers

    def test_order(self, headers):
        assert list(headers) == headers.keys() == ["Host", "X-Many", "Accept", "X-Latin"]
        assert headers.values() == ["a", "1", "*/*", "é"]
        assert headers.items() == list(zip(headers.keys(), headers.values(), strict=True))
        assert len(headers) == 4
        assert len(headers.multi_items()) == 5
        assert dict(headers) == headers
        assert headers == headers  # noqa: PLR0124 - its own comparison is what is tested
        assert headers != {}
        assert repr(headers).startswith("Headers([('Host', 'a'), ")

    def test_like_values_are_not_mistaken_for_each_other(self, serve):
        """Short values are kept from request to request, by their first and last bytes."""
        app = Application()

        @app.get("/")
        def echo(request):
            return request.headers["X-Value"]

        client = serve(app).client()
        values = [("begin..." + "x" * n + "-" * (40 - n) + "...the end")[: 10 + n] for n in range(60)]
        values += [f"begin...{n:06}...the end" for n in range(300)] + ["", "a", "ab", "abc", "abcd", "aba", "abca"]
        for value in values * 3:
            assert client.request("/", **{"X-Value": value}).text == value

    def test_they_cannot_be_changed_or_made(self, headers):
        with pytest.raises(TypeError):
            headers["a"] = "b"
        with pytest.raises(TypeError):
            type(headers)()
        with pytest.raises(TypeError):
            hash(headers)


class TestMultiDict:
    def test_look_ups(self):
        pairs = MultiDict([("a", "1"), ["b", 2], ("a", "3")])
        assert (pairs["a"], pairs.getall("a"), pairs.get("c"), pairs.get("c", 0)) == ("1", ["1", "3"], None, 0)
        assert (list(pairs), pairs.values(), len(pairs)) == (["a", "b"], ["1", 2], 2)
        assert pairs.multi_items() == [("a", "1"), ("b", 2), ("a", "3")]
        assert pairs == MultiDict(pairs.multi_items())
        assert pairs == {"a": "1", "b": 2}
        with pytest.raises(KeyError):
            pairs["c"]

    @pytest.mark.parametrize(
        ("given", "error"), [([1], TypeError), ([(1,)], ValueError), (1, TypeError), ([(1, 2, 3)], ValueError)]
    )
    def test_what_is_no_pair_is_refused_and_leaves_nothing(self, blocks, given, error):
        assert blocks(lambda: MultiDict(given), error) < 500

    def test_a_name_whose_comparison_fails(self):
        class Name:
            def __eq__(self, other):
                raise LookupError

            __hash__ = None

        pairs = MultiDict([("a", 1)])
        for ask in (pairs.__getitem__, pairs.get, pairs.getall, pairs.__contains__):
            with pytest.raises(LookupError):
                ask(Name())

    def test_one_that_holds_itself_is_found(self):
        class Value:
            pass

        value = Value()
        value.pairs = MultiDict([("a", value)])
        gone = weakref.ref(value)
        del value
        gc.collect()
        assert gone() is None
