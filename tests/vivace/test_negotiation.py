"""Accept (RFC 9110 section 12.5.1)."""

import pytest

from vivace.negotiation import preferred, rating


@pytest.mark.parametrize(
    ("accept", "media_type", "rated"),
    [
        ("text/html", "text/html", (1.0, 2)),
        ("TEXT/Html", "text/html", (1.0, 2)),
        ("text/*", "text/html", (1.0, 1)),
        ("*/*", "text/html", (1.0, 0)),
        ("*/*, text/*;q=0.5, text/html;q=0", "text/html", (0.0, 2)),  # the most exact one has the word
        ("text/html;q=0, text/*;q=0.5, */*", "text/html", (0.0, 2)),  # wherever it stands
        ("*/*, text/*;q=0.5", "text/html", (0.5, 1)),
        ("text/html ; q=0.25 , */*", "text/html", (0.25, 2)),
        ("text/html;Q=0.333", "text/html", (0.333, 2)),
        ("text/html;charset=utf-8;q=0.5", "text/html", (0.5, 2)),
        ("text/html;level=1, text/*;q=0.1", "text/html", (0.1, 1)),  # ours has no level
        ("application/json", "text/html", (0.0, -1)),
        ("", "text/html", (0.0, -1)),
        (",,;,;q=1", "text/html", (0.0, -1)),
        ("text/html;q=2", "text/html", (0.0, -1)),
        ("text/html;q=0.1234", "text/html", (0.0, -1)),
        ("text/html;q=", "text/html", (0.0, -1)),
        ("text/html;q=nan", "text/html", (0.0, -1)),
        ("text/html;q=-1", "text/html", (0.0, -1)),
        ("text/html;q=0.", "text/html", (0.0, 2)),
        ("text", "text/html", (0.0, -1)),
        ("*/html", "text/html", (0.0, -1)),
    ],
)
def test_rating(accept, media_type, rated):
    assert rating(accept, media_type) == rated


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),  # many libraries of browsers send this
        ("text/plain, application/json;q=0.9", "text/plain"),
        ("application/json;q=0.9, */*", "text/plain"),
        ("application/json;q=0.9, */*;q=0.8", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("application/*", "application/json"),
        ("text/plain;q=0, */*", "application/problem+json"),
        ("text/plain;q=0, application/json;q=0", "text/plain"),
        ("image/png", "text/plain"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", "text/plain"),
    ],
)
def test_preferred(accept, chosen):
    assert preferred(accept, ["application/json", "application/problem+json", "text/plain"]) == chosen


def test_a_browser_prefers_html_where_there_is_some():
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert preferred(accept, ["text/html", "application/json", "text/plain"]) == "text/html"
