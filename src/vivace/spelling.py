"""Near names: what somebody probably meant."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """End an error message with the nearest of `words`, or with nothing when none is near.

    >>> did_you_mean("prot", ["host", "port"])
    ': did you mean "port"?'
    """
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=0.5)
    return f': did you mean "{near[0]}"?' if near else ""
