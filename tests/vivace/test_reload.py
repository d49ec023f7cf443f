"""Reload: the new code serves after a save; no request is lost, and nobody can hold it up."""

import os
import re
import signal
import textwrap
import time
from pathlib import Path

import pytest
from load import Load, asked
from waiting import eventually

from vivace.watching import Watch

pytestmark = pytest.mark.slow

# os.write: a print() of several processes into one pipe is torn.
APP = """
    import asyncio, os
    from vivace import Application
    app = Application()
    @app.get("/")
    def version():
        return "VERSION"
    @app.get("/pid")
    def pid():
        return str(os.getpid())
    @app.get("/slow")
    async def slow():
        os.write(1, b"in\\n")
        await asyncio.sleep(60)
        return "slow"
    @app.get("/fail")
    def fail():
        raise KeyError("shown")
"""
WATCHERS = ["watchfiles", "looking"]


@pytest.fixture(params=WATCHERS)
def watcher(request, tmp_path):
    """What watches the files: watchfiles, or we ourselves where that is not installed."""
    if request.param == "watchfiles":
        pytest.importorskip("watchfiles")
        return {}
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "watchfiles.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join(filter(None, [str(tmp_path / "without"), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path}


@pytest.fixture
def write(tmp_path):
    """Writes the application in a version, or as it is given; with a time of the file's in whole seconds."""

    def save(version, text=None, *, at=None):
        new = tmp_path / "new"  # as editors do: whole or not at all
        new.write_text(textwrap.dedent(APP).replace("VERSION", version) if text is None else text)
        if at is not None:
            os.utime(new, (at, at))
        new.rename(tmp_path / "shop.py")

    save("v0")
    return save


@pytest.fixture
def shop(write, watcher, start):
    """Serves the application with reload."""
    del write

    def begin(*options, command="run", **env):
        flags = ["--reload"] if command == "run" else []
        more = ["--port", "0", "--reload-delay", "50ms", *options]
        process = start("-m", "vivace", command, "shop:app", *flags, *more, **watcher, **env)
        process.ready()
        return process

    return begin


def workers(process):
    return [
        int(pid) for pid in Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()
    ]


def serves(process, version):
    return eventually(lambda: asked(process) == version)


def test_a_save_serves_the_new_code(shop, write):
    process = shop()
    assert process.get("/").text == "v0"
    write("v1")
    assert "shop.py" in process.line("reloading")
    process.line("reloaded in ")
    serves(process, "v1")
    write("v2")
    serves(process, "v2")
    assert process.stop()[0] == 0


@pytest.mark.timeout(300)
def test_saves_of_one_second_and_one_size_are_told_apart(shop, write):
    """Python itself takes the byte code of the first one for that of the others."""
    process = shop(PYTHONDONTWRITEBYTECODE="")
    for version in ("v1", "v2", "v3"):
        write(version, at=1_800_000_000)
        serves(process, version)
    assert process.stop()[0] == 0


@pytest.mark.parametrize("count", ["1", "3"])
def test_twenty_reloads_under_load_lose_nothing(shop, write, watcher, count):
    if watcher and count == "1":
        pytest.skip("the other three will do")
    process = shop("--workers", count)
    assert f"({count} worker" in process.announced
    with Load(process.port, fresh=1, kept=1) as load:
        for n in range(1, 21):
            write(f"v{n}")
            eventually(lambda n=n: load.answers[f"v{n}"] > 3)
    assert load.failures[:5] == []
    assert set(load.answers) == {f"v{n}" for n in range(21)}
    eventually(lambda: len(workers(process)) == int(count))
    assert process.stop()[0] == 0


def test_clients_that_hold_on_do_not_hold_it_up(shop, write):
    process = shop("--workers", "2")
    waiting, kept = process.client(), process.client()
    assert kept.request("/").text == "v0"
    waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert process.popen.stdout.readline() == "in\n"
    write("v1")
    serves(process, "v1")
    assert kept.at_end()
    assert waiting.at_end()  # it is cut then
    eventually(lambda: len(workers(process)) == 2)
    assert process.stop()[0] == 0


def test_across_a_syntax_error(shop, write):
    process = shop("--workers", "2")
    write("", "def broken(:\n")
    process.line("SyntaxError")
    process.line("the old code goes on")
    assert process.get("/").text == "v0"
    write("v1")
    serves(process, "v1")
    assert process.stop()[0] == 0


def test_an_application_that_is_broken_at_first_may_be_mended(write, watcher, start):
    write("", "import nothing_of_the_kind\n")
    process = start("-m", "vivace", "dev", "shop:app", "--port", "0", "--reload-delay", "50ms", **watcher)
    process.line("waiting for a change")
    write("v1")
    assert "1 worker" in process.ready()
    assert process.get("/").text == "v1"
    assert process.stop()[0] == 0


def test_a_wrong_name_of_the_application_ends_it(write, watcher, start):
    status, _, err = start("-m", "vivace", "dev", "shp:app", "--port", "0", **watcher).end()
    assert status == 4
    assert err.endswith('did you mean "shop"?\n')


def test_a_worker_that_dies_of_the_new_code_waits_for_the_next(shop, write, tmp_path):
    process = shop()
    with (tmp_path / "shop.py").open("a") as file:
        file.write("import os\n@app.on_startup\ndef die():\n    os.kill(os.getpid(), 9)\n")
    process.line("was killed by SIGKILL", "while it was starting")
    assert process.get("/").text == "v0"
    write("v1")
    serves(process, "v1")
    assert process.stop()[0] == 0


def test_a_save_while_it_reloads(shop, write):
    process = shop()
    slow = textwrap.dedent(APP).replace("VERSION", "never") + "\nimport time\ntime.sleep(60)\n"
    write("", slow)
    process.line("reloading")
    time.sleep(0.3)
    write("v2")
    serves(process, "v2")
    assert process.stop()[0] == 0


def test_stop_while_it_reloads(shop, write):
    process = shop()
    write("", "import time\ntime.sleep(60)\n")
    process.line("reloading")
    assert process.stop()[0] == 0


def test_by_a_script(write, watcher, start, tmp_path):
    end = "\nif __name__ == '__main__':\n    app.run(port=0, reload=True, workers=2, reload_delay=0.05)\n"
    text = textwrap.dedent(APP) + end
    write("", text.replace("VERSION", "v0"))
    process = start("shop.py", **watcher)
    assert "(2 workers" in process.ready()
    write("", text.replace("VERSION", "v1"))
    serves(process, "v1")
    assert process.stop()[0] == 0


def test_dev_reloads_and_shows_tracebacks(shop, write):
    process = shop(command="dev")
    assert "KeyError: 'shown'" in process.get("/fail").text
    write("v1")
    serves(process, "v1")
    process.stop()
    process = shop("--no-debug", command="dev")
    assert "KeyError" not in process.get("/fail").text
    process.stop()
    process = shop("--no-reload", command="dev")
    assert not workers(process)
    process.stop()


def test_which_files_count(shop, tmp_path):
    (tmp_path / "code").mkdir()
    process = shop("--reload-dir", "code", "--reload-include", "*.html", "--reload-exclude", "generated")
    (tmp_path / "code" / "generated").mkdir()
    (tmp_path / "code" / "generated" / "a.py").write_text("1")
    (tmp_path / "code" / "a.txt").write_text("1")
    (tmp_path / "elsewhere.py").write_text("1")
    time.sleep(1.2)
    (tmp_path / "code" / "page.html").write_text("1")
    assert re.search(r"code/page\.html changed: reloading", process.line("reloading"))
    assert not [text for text in process.before if "changed" in text and "page.html" not in text]
    process.stop()


def test_reload_delay(shop, write):
    process = shop("--reload-delay", "2s")
    begin = time.monotonic()
    write("v1")
    process.line("reloading")
    assert time.monotonic() - begin >= 1.9
    process.stop()


def test_sighup_reloads_too(shop, write, tmp_path):
    process = shop("--reload-dir", "without" if (tmp_path / "without").exists() else ".", "--reload-exclude", "shop.py")
    write("v1")
    process.signal(signal.SIGHUP)
    process.line("all workers are new")
    serves(process, "v1")
    process.stop()


class TestWatch:
    @pytest.mark.parametrize(
        ("path", "counts"),
        [
            ("a.py", True),
            ("x/b.py", True),
            ("x/b.pyc", False),
            ("a.txt", False),
            ("a.html", True),
            ("x/templates/a.html", True),
            (".venv/a.py", False),
            ("x/.git/a.py", False),
            ("x/__pycache__/a.py", False),
            ("lib/site-packages/a.py", False),
            ("tests/a.py", False),
            ("x/tests.py", True),
            ("x/skip/me.py", False),
            ("../a.py", False),
        ],
    )
    def test_which_paths_count(self, tmp_path, path, counts):
        watch = Watch((tmp_path,), ("*.py", "*.html"), (*Watch((tmp_path,)).exclude, "tests", "x/skip/"))
        assert watch.counts(tmp_path / path if ".." not in path else tmp_path.parent / "a.py") == counts
        file = tmp_path / path
        if ".." not in path:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("1")
            assert (str(file) in watch.look()) == counts

    def test_a_look_sees_changes_creations_and_removals(self, tmp_path):
        watch = Watch((tmp_path,))
        file = tmp_path / "a.py"
        looks = [watch.look()]
        file.write_text("1")
        looks.append(watch.look())
        file.write_text("12")
        looks.append(watch.look())
        file.unlink()
        looks.append(watch.look())
        assert looks[0] == looks[3] == {}
        assert looks[1].keys() == looks[2].keys() == {str(file)}
        assert looks[1] != looks[2]


def test_a_save_while_the_first_workers_start(write, watcher, start, tmp_path):
    slow_second = """
    try:
        os.close(os.open("first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        import time
        os.write(1, b"second\\n")
        while not os.path.exists("go"):
            time.sleep(0.01)
    """
    write("", textwrap.dedent(APP).replace("VERSION", "v0") + textwrap.dedent(slow_second))
    options = ("--port", "0", "--reload", "--reload-delay", "50ms", "--workers", "2")
    process = start("-m", "vivace", "run", "shop:app", *options, **watcher)
    assert process.popen.stdout.readline() == "second\n"
    write("v1")
    process.line("reloading")
    assert "(2 workers" in process.ready()
    (tmp_path / "go").touch()
    eventually(lambda: len(workers(process)) == 2)  # those that had begun with the old code have gone
    assert {process.get("/").text for _ in range(50)} == {"v1"}
    assert process.stop()[0] == 0
