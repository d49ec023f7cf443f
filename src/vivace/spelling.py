"""Names and numbers in messages: lists, counts, and what somebody probably meant."""

from collections.abc import Iterable

__all__ = ["counted", "did_you_mean", "listed"]


def counted(count: int, what: str) -> str:
    """Name so many of a thing.

    >>> counted(1, "request"), counted(2, "request")
    ('1 request', '2 requests')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """End an error message with the nearest of `words`, or with nothing when none is near.

    >>> did_you_mean("prot", ["host", "port"])
    ': did you mean "port"?'
    """
    import difflib  # noqa: PLC0415 - only who has erred waits for it

    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.7)
    return f': did you mean "{near[0]}"?' if near else ""


def listed(names: Iterable[str]) -> str:
    """List names, each in quotes.

    >>> listed(["host", "port"])
    '"host", "port"'
    """
    return ", ".join(f'"{name}"' for name in names)
