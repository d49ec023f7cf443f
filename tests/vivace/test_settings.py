"""Settings: names, values, and who has the last word."""

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from vivace import Application, _engine
from vivace.app import importing
from vivace.cgroup import cpus
from vivace.settings import ALL, LIMITS, Settings, checked, resolve
from vivace.sockets import Inherited, Tcp, Unix


def settled(*layers, own=None, **environ):
    return resolve([checked(layer, "test") for layer in layers], own or {}, environ)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(
        TypeError, match=r"Application has no setting 'limit_body': did you mean \"limit_body_bytes\"\?"
    ):
        Application(limit_body=3)
    with pytest.raises(TypeError, match=r'run\(\) has no setting .*: did you mean "timeout_keep_alive"'):
        Application().run(timeout_keepalive=3)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("limit_body_bytes", "16MiB", 16 << 20),
        ("limit_body_bytes", "64 kib", 64 << 10),
        ("limit_body_bytes", 5, 5),
        ("timeout_head", "500ms", 0.5),
        ("timeout_head", "1.5m", 90.0),
        ("timeout_head", 3, 3.0),
        ("timeout_graceful", 0, 0.0),
        ("port", "0", 0),
        ("debug", "on", True),
        ("uds_mode", "660", 0o660),
        ("uds_mode", 0o600, 0o600),
        ("workers", "auto", cpus()),
        ("workers", "3", 3),
        ("max_rss", "300MiB", 300 << 20),
        ("max_requests_jitter", 0, 0),
        ("reload_dir", "src, lib", ("src", "lib")),
        ("reload_dir", Path("src"), ("src",)),
        ("reload_include", ["*.html"], ("*.html",)),
        ("loop", "UVLOOP", "uvloop"),
        ("bind", "unix:/x,[::1]:80", (Unix("/x"), Tcp("::1", 80))),
    ],
)
def test_values_are_read_from_text(name, value, read):
    assert checked({name: value}, "test") == {name: read}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit_body_bytes", 0),
        ("limit_head_bytes", 63),
        ("limit_head_bytes", "64KiB"),
        ("timeout_write", 5e6),
        ("limit_body_bytes", "16MB"),
        ("limit_body_bytes", 1.5),
        ("limit_pipeline", True),
        ("timeout_head", 0),
        ("timeout_head", float("nan")),
        ("timeout_head", "soon"),
        ("timeout_graceful", -1),
        ("port", 65536),
        ("port", "8080x"),
        ("host", 3),
        ("loop", "gevent"),
        ("debug", "maybe"),
        ("bind", "nowhere"),
        ("backlog", 0),
        ("uds_mode", "800"),
        ("uds_mode", "7777"),
        ("workers", 0),
        ("workers", "many"),
        ("max_requests", 0),
        ("max_rss", "1KiB"),
        ("reload_dir", 3),
        ("reload_delay", 0),
    ],
)
def test_values_that_are_none_are_told_in_one_line(name, value):
    with pytest.raises(ValueError, match=f"^{name} takes .*, not ") as caught:
        checked({name: value}, "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", _engine.LIMITS)
def test_limits_are_what_the_engine_says(name):
    default, least, most = _engine.LIMITS[name]
    setting = LIMITS[name]
    app = Application()
    with _engine.Selector() as selector:
        for value in (setting.default, default, least, most):
            assert setting.read(value, name) == value
            _engine.Server(selector, app, app.router.table, **{name: value}).close()
        for value in (least / 2, most + 1):
            with pytest.raises(ValueError, match=name):
                setting.read(value, name)
            with pytest.raises(ValueError, match=f"{name} is out of range"):
                _engine.Server(selector, app, app.router.table, **{name: value})


def test_every_limit_is_a_setting():
    assert {*_engine.LIMITS, "timeout_graceful"} == set(LIMITS)
    app = Application()
    with _engine.Selector() as selector, pytest.raises(TypeError, match="no limit 'limit_nothing'"):
        _engine.Server(selector, app, app.router.table, limit_nothing=1)


def test_what_would_do_nothing_is_told():
    with pytest.raises(
        ValueError, match=r"^access_log_file does nothing without access_log: give that too, or leave it"
    ):
        resolve([{"access_log_file": "x"}], {}, {})


def test_what_does_nothing_for_now_is_fine():
    resolve([{"access_log_file": "x"}, {"access_log": True}], {}, {})  # `run()` may say what belongs to it
    resolve([{"access_log": False}, {"access_log": True, "access_log_file": "x"}], {}, {})  # switched off
    resolve([], {}, {"VIVACE_ACCESS_LOG_FILE": "x"})  # a variable is there for all programs
    resolve([{"access_log_file": "x"}], {}, {}, partly=True)
    resolve([{"access_log_file": "x"}], {}, {}, {"access_log": True})


def test_who_has_the_last_word():
    environ = {"VIVACE_PORT": "3", "VIVACE_TIMEOUT_HEAD": "3", "VIVACE_BACKLOG": "3", "VIVACE_TIMEOUT_BODY": "3"}
    cli, run, own = {"port": 1}, {"port": 2, "backlog": 2}, {"timeout_head": 4.0, "timeout_write": 4.0}
    got = settled(cli, run, own=own, **environ)
    assert got.places == (Tcp("127.0.0.1", 1),)
    assert got.backlog == 2
    assert [got.limits[f"timeout_{name}"] for name in ("head", "body", "write", "keep_alive")] == [3, 3, 4, 75]


@pytest.mark.parametrize(
    ("layers", "environ", "places"),
    [
        ([], {}, (Tcp("127.0.0.1", 8080),)),
        ([], {"PORT": "5000"}, (Tcp("0.0.0.0", 5000),)),
        ([{"host": "::1"}], {"PORT": "5000"}, (Tcp("::1", 5000),)),
        ([{"port": 1}], {"PORT": "5000"}, (Tcp("127.0.0.1", 1),)),
        ([], {"PORT": "5000", "VIVACE_PORT": "6000"}, (Tcp("127.0.0.1", 6000),)),
        ([{"port": 1}, {"host": "::1"}], {}, (Tcp("::1", 1),)),
        ([{"uds": "/x"}, {"host": "::1"}], {}, (Unix("/x"),)),
        ([{"fd": 3}], {"VIVACE_PORT": "6000"}, (Inherited(3),)),
        ([{"port": 1}], {"VIVACE_UDS": "/x"}, (Tcp("127.0.0.1", 1),)),
        ([{"bind": ["a:1", "fd://4"]}], {"PORT": "5000"}, (Tcp("a", 1), Inherited(4))),
    ],
)
def test_where_to_listen(layers, environ, places):
    assert settled(*layers, **environ).places == places


def test_two_places_from_one_mouth_contradict():
    with pytest.raises(ValueError, match="uds and port both say where to listen"):
        settled({"uds": "/x", "port": 3})


def test_the_environment_is_named_when_it_is_wrong():
    with pytest.raises(ValueError, match="VIVACE_LIMIT_PIPELINE takes a whole number from 1 to 60000, not 'many'"):
        settled(VIVACE_LIMIT_PIPELINE="many")
    with pytest.raises(ValueError, match=r"^PORT takes a port"):
        settled(PORT="web")


@pytest.mark.parametrize(
    ("layers", "environ", "count"),
    [
        ([], {}, 1),
        ([], {"WEB_CONCURRENCY": "1"}, 1),
        ([], {"WEB_CONCURRENCY": "3"}, 3),
        ([{"workers": 1}], {"WEB_CONCURRENCY": "3"}, 1),
        ([], {"WEB_CONCURRENCY": "3", "VIVACE_WORKERS": "2"}, 2),
        ([{"workers": 4}], {"WEB_CONCURRENCY": "3", "VIVACE_WORKERS": "2"}, 4),
        ([{"workers": "auto"}], {}, cpus()),
    ],
)
def test_how_many_workers(layers, environ, count):
    got = settled(*layers, **environ)
    assert got.workers == count
    assert got.supervised == (bool(layers) or "VIVACE_WORKERS" in environ or count > 1)


@pytest.mark.parametrize("given", [{"reload": True}, {"max_requests": 5}, {"max_rss": "1GiB"}])
def test_what_takes_a_supervisor(given):
    assert settled(given).supervised
    assert not settled().supervised


def test_defaults_of_a_command_give_way_to_everything_said():
    assert resolve([], {}, {}, {"reload": True}).reload
    assert not resolve([], {}, {"VIVACE_RELOAD": "0"}, {"reload": True}).reload
    assert not resolve([{"reload": False}], {}, {}, {"reload": True}).reload


@pytest.mark.parametrize(
    ("layers", "environ", "places"),
    [
        ([], {}, (Inherited(3), Inherited(4))),
        ([], {"PORT": "5000"}, (Inherited(3), Inherited(4))),
        ([{"port": 1}], {}, (Tcp("127.0.0.1", 1),)),
        ([], {"VIVACE_HOST": "::1"}, (Tcp("::1", 8080),)),
        ([], {"LISTEN_PID": "1"}, (Tcp("127.0.0.1", 8080),)),
    ],
)
def test_sockets_that_the_host_has_opened(layers, environ, places):
    assert settled(*layers, **{"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", **environ}).places == places


def test_a_number_of_such_sockets_that_is_none():
    with pytest.raises(ValueError, match="LISTEN_FDS takes a number of sockets, not 'two'"):
        settled(LISTEN_PID=str(os.getpid()), LISTEN_FDS="two")


def test_every_option_has_a_test():
    """Whether that fails when the option is ignored, only a reader can tell."""
    here = Path(__file__).parent
    tests = "".join(path.read_text() for folder in (here, here.parent / "conformance") for path in folder.glob("*.py"))
    assert [setting.option for setting in ALL.values() if not re.search(f'"{setting.option}["=]', tests)] == []


def test_japrontos_names():
    assert Application(reaper_settings={"idle_timeout": 9}).limits == {"timeout_keep_alive": 9.0}
    assert Application().settings == {}
    assert Application(log_request=True, debug=True).settings == {"access_log": True, "debug": True}
    assert resolve([{"access_log": False}], Application(log_request=True).settings, {}).access_log is None
    assert resolve([], Application(log_request=True).settings, {}).access_log is not None
    assert resolve([], Application(log_request=False).settings, {}).access_log is None
    app = Application()
    token = importing.set(True)
    try:
        app.run(worker_num=2)
    finally:
        importing.reset(token)
    assert app.run_arguments == {"workers": 2}


@pytest.mark.parametrize("place", [Tcp("::1", 0), Tcp("", 80), Tcp("a/b", 1), Unix("x y"), Unix(""), Inherited(3)])
def test_settings_arrive_as_they_were_told(place, tmp_path):
    plain = settled()
    told = settled(
        {"bind": [place, Tcp("localhost", 1)]},
        {
            **dict.fromkeys(["reload", "debug", "access_log"], True),
            **dict.fromkeys(["reload_include", "reload_exclude"], ("*.a", "*.b")),
            **dict.fromkeys(["max_requests", "max_requests_jitter", "workers", "threads", "backlog"], 7),
            **dict.fromkeys(LIMITS, 100),
            "reload_dir": [tmp_path, tmp_path],
            "reload_delay": "1s",
            "max_rss": "1GiB",
            "uds_mode": "660",
            "loop": "asyncio",
            "io": "epoll",
            "log_level": "debug",
            "log_format": "json",
            "access_log_file": os.fsdecode(b"/tmp/\xff"),
        },
    )
    same = [field.name for field in fields(told) if getattr(told, field.name) == getattr(plain, field.name)]
    assert same == []  # each has a value of its own to lose
    arrived = Settings.from_wire(json.loads(json.dumps(told.to_wire()).encode()))
    assert arrived == told
    assert hash(arrived.places + arrived.reload_dir)
    assert Settings.from_wire(json.loads(json.dumps(plain.to_wire()))) == plain
