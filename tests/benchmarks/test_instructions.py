"""benchmarks/instructions: what callgrind has counted is read rightly, and a budget holds."""

import json
import sys
from pathlib import Path

import callgrind
import pytest

DUMP = """\
# callgrind format
version: 1
positions: line
events: Ir

ob=(1) /lib/vivace/_engine.so
fl=(1) parse.c
fn=(1) parse
10 100
+3 20
cob=(2) /usr/bin/python3
cfi=(2) ceval.c
cfn=(2) eval
calls=2 5
* 900
-1 7

fn=(2)
ob=(2)
5 40
calls=1 10
+1 3000

totals: 167
""".splitlines(keepends=True)


def test_a_functions_own_cost_is_counted_and_not_that_of_its_calls() -> None:
    counted = callgrind._parse(DUMP)
    assert counted.by_function["/lib/vivace/_engine.so", "parse"] == 127
    assert counted.by_function["/usr/bin/python3", "eval"] == 40
    assert counted.of("_engine") == 127
    assert counted.of() == 167


@pytest.fixture
def budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`check(engine, all)` runs --check with these figures against a budget of 1000 and 2000."""
    monkeypatch.delitem(sys.modules, "run", raising=False)
    monkeypatch.syspath_prepend(str(Path(callgrind.__file__).parent))
    import run

    build = {"engine": "this compiler", "all": "this compiler this python"}
    monkeypatch.setattr(run, "builds", lambda: build)
    monkeypatch.setattr(run, "BUDGET", tmp_path / "budget.json")
    monkeypatch.setattr(run, "PAGE", tmp_path / "page.md")
    label = "response, 24 pipelined"

    def check(engine: float, everything: float, of: str = "this compiler", arguments: str = "--check") -> int:
        known = {"engine": {of: {label: 1000.0}}, "all": {f"{of} this python": {label: 2000.0}}}
        run.BUDGET.write_text(json.dumps(known))
        monkeypatch.setattr(run, "count", lambda wanted: {one.label: callgrind.Counted() for one in wanted})
        monkeypatch.setattr(run, "figures", lambda counted, requests: {"engine": engine, "all": everything})
        monkeypatch.setattr(sys, "argv", ["run.py", "--only", "response", *arguments.split()])
        return int(run.main())

    yield check
    sys.modules.pop("run", None)


def test_figures_a_little_over_the_budget_pass(budget) -> None:
    assert budget(1029.0, 2099.0) == 0


def test_a_dearer_engine_fails(budget, capsys: pytest.CaptureFixture[str]) -> None:
    assert budget(1031.0, 2000.0) == 1
    assert "response, 24 pipelined: 1031.0 instructions of engine, 1000.0 are in the budget" in capsys.readouterr().out


def test_a_dearer_use_of_cpython_fails_too(budget) -> None:
    assert budget(1000.0, 2101.0) == 1


def test_another_compiler_has_no_budget_and_says_so(budget, capsys: pytest.CaptureFixture[str]) -> None:
    assert budget(5000.0, 9000.0, of="another compiler") == 77
    assert "no budget of engine for this compiler: not compared" in capsys.readouterr().out


def test_updating_writes_what_was_counted(budget) -> None:
    import run

    assert budget(900.0, 1800.0, arguments="--update") == 0
    written = json.loads(run.BUDGET.read_text())
    assert written["engine"]["this compiler"]["response, 24 pipelined"] == 900.0
    assert written["all"]["this compiler this python"]["response, 24 pipelined"] == 1800.0
    assert "| response, 24 pipelined | 900 | 1,800 |" in run.PAGE.read_text()


def test_the_committed_budget_is_whole() -> None:
    """Every build has a figure for each case and depth, and each build of all has one of the engine."""
    known = json.loads((Path(callgrind.__file__).parent / "budget.json").read_text())
    for kind in ("engine", "all"):
        assert len({tuple(figures) for figures in known[kind].values()}) == 1
    for build in known["all"]:
        assert any(build.startswith(engine) for engine in known["engine"])
