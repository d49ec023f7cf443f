"""The log of refused requests, and where logs go."""

import io
import json
import logging
import re
import sys

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


def test_what_is_no_fault_of_the_clients_is_a_warning(lines, caplog):
    refusals = RefusalLog()
    for code in (400, 413, 501, 503, 507):
        refusals.add("why", code, None)
        refusals.add("why", code, None)
    refusals.flush()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO"] * 3 + ["WARNING"] * 2 + ["INFO"] * 3 + ["WARNING"] * 2


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


class TestInstall:
    """Where lines go, whoever else has set logging up."""

    @pytest.fixture
    def install(self, monkeypatch):
        """`logs.install`, in a program that has just begun."""
        for name in ("vivace", "vivace.error", "vivace.access"):
            monkeypatch.setattr(logging.getLogger(name), "handlers", [])
            monkeypatch.setattr(logging.getLogger(name), "propagate", True)

        def begin(*given, **named):
            root = logging.getLogger()
            for handler in list(root.handlers):  # pytest's own, which it takes back without asking
                if type(handler).__module__.startswith("_pytest"):
                    root.removeHandler(handler)
            logs.install(*given, **named)

        yield begin
        logging.getLogger("vivace").setLevel(logging.NOTSET)
        for handler in list(logging.getLogger().handlers):
            if isinstance(handler, self.Kept):
                logging.getLogger().removeHandler(handler)

    class Kept(logging.Handler):
        def __init__(self):
            super().__init__()
            self.lines = []

        def emit(self, record):
            self.lines.append(record.getMessage())

    def test_lines_go_to_stderr_with_date_and_level(self, install, capsys):
        install()
        logging.getLogger("vivace").debug("not this")
        logging.getLogger("vivace.error").warning("but %s", "this")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARN  but this\n", capsys.readouterr().err)

    def test_a_level_that_was_asked_for(self, install, capsys):
        install("debug")
        logging.getLogger("vivace").debug("this too")
        assert "DEBUG this too" in capsys.readouterr().err

    def test_twice_is_once(self, install, capsys):
        install()
        install()
        logging.getLogger("vivace").info("once")
        assert capsys.readouterr().err.count("once") == 1

    @pytest.mark.parametrize("name", [None, "vivace", "vivace.error"])
    @pytest.mark.parametrize("first", [True, False])
    def test_handlers_of_the_programs_own_take_its_place(self, install, capsys, name, first):
        kept = self.Kept()
        if first:
            logging.getLogger(name).addHandler(kept)
        install()
        if not first:
            logging.getLogger(name).addHandler(kept)
        logging.getLogger("vivace.error").info("a line")
        assert kept.lines == ["a line"]
        assert capsys.readouterr().err == ""

    def test_a_handler_of_one_logger_leaves_the_others_to_ours(self, install, capsys):
        install()
        logging.getLogger("vivace.access").addHandler(self.Kept())
        logging.getLogger("vivace.error").info("ours")
        logging.getLogger("vivace.access").info("theirs")
        assert "ours" in (err := capsys.readouterr().err)
        assert "theirs" not in err

    def test_handlers_beyond_a_logger_that_does_not_propagate_do_not_count(self, install, capsys):
        install()
        logging.getLogger("vivace").propagate = False
        logging.getLogger().addHandler(self.Kept())
        logging.getLogger("vivace").info("ours")
        assert "ours" in capsys.readouterr().err

    def test_one_of_several_workers(self, install, capsys):
        install(who="w2")
        logging.getLogger("vivace").info("a line")
        install(who="w3", form="json")
        logging.getLogger("vivace").info("a line")
        text, line = capsys.readouterr().err.splitlines()
        assert text.endswith(" INFO  w2 a line")
        assert json.loads(line)["worker"] == 3

    def test_json(self, install, capsys):
        install(form="json")
        try:
            {}["x"]
        except KeyError:
            logging.getLogger("vivace.error").exception("two\nlines")
        (line,) = capsys.readouterr().err.splitlines()
        told = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("ts"))
        assert told.pop("exception").endswith("KeyError: 'x'")
        assert told == {"level": "error", "event": "log", "logger": "vivace.error", "message": "two\nlines"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("env", "terminal", "colored"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours(monkeypatch, env, terminal, colored):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    handler = logs._StderrHandler()
    handler.setFormatter(logs._Text())
    handler.emit(logging.LogRecord("vivace", logging.ERROR, "", 0, "it failed", None, None))
    level = "\033[31mERROR\033[0m" if colored else "ERROR"
    date = "" if terminal else r"\d{4}-\d\d-\d\d "
    assert re.fullmatch(rf"{date}\d\d:\d\d:\d\d {re.escape(level)} it failed\n", stream.getvalue())
