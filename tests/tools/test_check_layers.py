"""tools/check_layers: what the floor plan allows, what it forbids, and that the plan itself has no circle."""

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import check_layers


def problems(tmp_path: Path, **files: str) -> list[str]:
    """Check a src/ that holds these files; "core__io__loop_c" is core/io/loop.c."""
    for name, text in files.items():
        folder, _, suffix = name.replace("__", "/").rpartition("_")
        path = tmp_path / f"{folder}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return check_layers.find_problems(tmp_path)


def test_this_repository_follows_its_plan() -> None:
    assert check_layers.find_problems(check_layers.ROOT / "src") == []


def test_the_plan_has_no_circle() -> None:
    TopologicalSorter(check_layers.MAY_USE).prepare()


def test_every_room_named_in_the_plan_has_its_own_line() -> None:
    assert set().union(*check_layers.MAY_USE.values()) <= check_layers.MAY_USE.keys()


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("core__http1__parse_c", '#include "core/http1/parse.h"'),
        ("core__http1__parse_h", '#include "core/bytes/span.h"'),
        ("core__http1__parse_h", '#include "core/status.h"'),
        ("core__server__conn_c", '#include "core/http1/parse.h"'),
        ("core__io__socket_c", "#include <sys/socket.h>"),
        ("core__simd__isa_c", "#include <sys/auxv.h>"),
        ("core__bytes__buffer_c", "#include <string.h>"),
        ("binding__py_request_c", "#include <Python.h>"),
        ("binding__py_request_c", '#  include "core/server/exchange.h"'),
        ("core__bytes__arena_c", '/* never #include "../bytes/span.h" */'),
    ],
)
def test_an_arrow_that_runs_down_is_allowed(tmp_path: Path, file: str, line: str) -> None:
    assert problems(tmp_path, **{file: line}) == []


@pytest.mark.parametrize(
    ("file", "line", "because"),
    [
        ("core__bytes__span_h", '#include "core/http1/parse.h"', "core/bytes may not use core/http1"),
        ("core__http1__parse_c", '#include "core/router/router.h"', "core/http1 may not use core/router"),
        ("core__status_c", '#include "core/bytes/span.h"', "core may not use core/bytes"),
        ("core__server__server_c", '#include "binding/py_server.h"', "core/server may not use binding"),
        ("core__server__server_c", "#include <Python.h>", "Python.h belongs to binding/"),
        ("core__server__server_c", "#include <unistd.h>", "unistd.h belongs to core/io/"),
        ("core__http1__date_c", "#include <time.h>", "time.h belongs to core/io/"),
        ("binding__py_server_c", "# include <sys/socket.h>", "sys/socket.h belongs to core/io/"),
        ("core__http1__parse_c", '#include "../bytes/span.h"', "write the full path"),
        ("core__http1__parse_c", '#include "parse.h"', "write the full path"),
        ("core__util__misc_h", "", "there is no room core/util"),
    ],
)
def test_an_arrow_that_does_not_is_reported(tmp_path: Path, file: str, line: str, because: str) -> None:
    (found,) = problems(tmp_path, **{file: line})
    assert because in found


def test_a_problem_is_reported_with_its_line(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, core__http1__parse_c='#include "core/status.h"\n\n#include <Python.h>\n')
    assert found.startswith("src/core/http1/parse.c:3: ")


def test_two_files_of_one_name_are_reported(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, core__http1__parse_h="", core__router__parse_h="")
    assert found == "src/core/router/parse.h:1: the name parse.h is taken by src/core/http1/parse.h"


def test_packages_may_each_have_their_init(tmp_path: Path) -> None:
    assert problems(tmp_path, vivace____init___py="", vivace__testing____init___py="") == []
