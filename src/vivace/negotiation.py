"""Which media type a client would rather have (RFC 9110 section 12.5.1)."""

import re
from collections.abc import Sequence

__all__ = ["preferred", "rating"]

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def rating(accept: str, media_type: str) -> tuple[float, int]:
    """Rate a media type by an Accept field.

    Its quality, 0 to 1, by the range that names it most exactly; and how exact that is: 2 for `text/html`, 1 for
    `text/*`, 0 for `*/*`. (0.0, -1) when no range takes it. Ranges that are malformed, or that ask for parameters
    other than a charset, take nothing.

    >>> rating("text/*;q=0.5, application/json", "text/plain")
    (0.5, 1)
    """
    kind = media_type.partition("/")[0]
    exactness = {media_type: 2, f"{kind}/*": 1, "*/*": 0}
    best = (0.0, -1)
    for text in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in text.split(";"))
        exact = exactness.get(name, -1)
        if exact > best[1] and (quality := _quality(parameters)) is not None:
            best = (quality, exact)
    return best


def preferred(accept: str, offers: Sequence[str]) -> str:
    """Choose of the media types on offer the one that the client likes best; the last where it does not care.

    Of those that it names, and likes alike, it is the first.

    >>> preferred("application/json, text/plain, */*", ["application/json", "text/plain"])
    'application/json'
    >>> preferred("*/*", ["application/json", "text/plain"])
    'text/plain'
    """
    ratings = [rating(accept, offer) for offer in offers]
    best = max(ratings)
    if best[0] == 0:
        return offers[-1]  # nothing will do: the plainest then
    liked = [offer for offer, rated in zip(offers, ratings, strict=True) if rated == best]
    return liked[0] if best[1] > 0 else liked[-1]


def _quality(parameters: Sequence[str]) -> float | None:
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.rstrip() == "q":
            if not _QUALITY.fullmatch(value.strip()):
                return None
            quality = float(value)
        elif name and name.rstrip() != "charset":
            return None
    return quality
