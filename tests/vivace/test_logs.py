"""The log of refused requests, and where logs go."""

import logging

import pytest

from vivace import logs
from vivace.logs import RefusalLog


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "vivace")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_refusal_is_logged_with_its_reason(lines):
    RefusalLog().add("bad syntax", 400, "192.0.2.1")
    assert lines() == ["refused a request from 192.0.2.1 with 400: bad syntax"]


def test_one_reason_is_logged_once_a_second_with_a_count(lines, clock):
    refusals = RefusalLog()
    assert refusals.add("bad syntax", 400, None)
    assert not refusals.add("bad syntax", 400, None)
    assert not refusals.add("bad syntax", 400, None)
    assert refusals.add("too large", 413, None)
    clock[0] += 1.5
    assert refusals.add("bad syntax", 400, None)
    assert lines()[-1] == "refused a request from a client with 400: bad syntax (and 2 more like it)"
    assert len(lines()) == 3
    assert refusals.count == 5


def test_what_was_only_counted_is_told_at_the_end(lines):
    refusals = RefusalLog()
    for _ in range(4):
        refusals.add("bad syntax", 400, None)
    refusals.flush()
    refusals.flush()
    assert lines()[1:] == ["refused 3 more requests with 400: bad syntax"]


def test_many_reasons_do_not_pile_up(lines):
    refusals = RefusalLog()
    for number in range(10 * RefusalLog.REASONS):
        refusals.add(f"reason {number}", 400, None)
    assert len(refusals._reasons) == RefusalLog.REASONS
