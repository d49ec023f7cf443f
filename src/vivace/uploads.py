"""Uploaded files as Python's file objects."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from vivace._engine import Spool

__all__ = ["open_window"]


class _Window(io.RawIOBase):
    """A part of a spooled body, read where it lies."""

    def __init__(self, spool: "Spool", at: int, size: int) -> None:
        self._spool = spool
        self._at = at
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer).cast("B")
        count = max(0, min(len(room), self._size - self._position))
        if count:
            self._spool.read_into(room[:count], self._at + self._position)
            self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
        if whence not in bases or bases[whence] + offset < 0:
            msg = f"an uploaded file has no place {offset}, {whence}"
            raise ValueError(msg)
        self._position = bases[whence] + offset
        return self._position


def open_window(source: "Spool | bytes", at: int, size: int) -> io.BufferedIOBase:
    """Open `size` bytes from `at` on as a binary file object, which does not change them."""
    if isinstance(source, bytes):
        return io.BytesIO(source[at : at + size])
    return io.BufferedReader(_Window(source, at, size))
