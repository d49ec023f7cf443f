"""benchmarks/http and profile: what a page and its pictures say follows from the figures."""

from xml.etree import ElementTree as ET

import flame
import goals
import page
import phases
import plots
import pytest
from sampling import Frame, _stacks


def report(answers: int, **more: float) -> dict[str, float]:
    measured = {"p50_us": 10.0, "p90_us": 20.0, "p99_us": 100.0, "p999_us": 1000.0, "max_us": 5000.0}
    return {
        "answers": answers,
        "cpu_seconds": 1.0,
        "seconds": 1.0,
        "rss_kib": 1024,
        "unanswered": 0,
        **measured,
        **more,
    }


@pytest.fixture
def results() -> page.Results:
    hello = f"{goals.URING}{goals.HELLO}"
    return page.Results(
        modes=["P24", "P1"],
        rounds={
            "null epoll": {mode: [report(100), report(200), report(300)] for mode in ("P24", "P1")},
            hello: {mode: [report(60), report(150), report(240)] for mode in ("P24", "P1")},
        },
        latency={"vivace on epoll": [report(9, share=0.5, rate=100.0, late_p99_us=500.0)]},
        idle={
            "vivace on epoll": {"private_each": 300.0, "resident_each": 310.0, "private_total": 2**20, "connections": 9}
        },
        workers={"vivace on epoll": [{"workers": 2, "answers_per_second": 9000.0, "shared": True}]},
        left_out={"other <peer>": "could not be\ninstalled"},
    )


def test_a_goal_is_reached_by_the_median_of_the_ratios_within_rounds(results: page.Results) -> None:
    text = page.page(results)
    assert "| a plain handler, io_uring / the null server | P24 | ≥ 0.70 | **0.75** | 0.60 to 0.80 | yes |" in text
    assert "| a plain handler, io_uring / the null server | P1 | ≥ 1.05 | **0.75** | 0.60 to 0.80 | **no** |" in text
    assert "| bytes an idle connection, vivace on epoll | | ≤ 256 | **300** | | **no** |" in text
    assert "epoll / the null server" not in text  # what was not measured is not judged


def test_a_page_tells_what_makes_its_figures_doubtful(results: page.Results) -> None:
    results.busy = 7.5
    text = page.page(results)
    assert "busy with other work" in text
    assert "| vivace on epoll | 50% | 100 † |" in text
    assert "| vivace on epoll | 9 † |" in text
    assert "- other <peer>: could not be\n" in text


def test_pictures_are_whole_and_name_everybody(results: page.Results) -> None:
    pictures = dict(plots.pictures(results))
    assert set(pictures) == {"throughput-P24.svg", "throughput-P1.svg", "latency.svg", "idle.svg"}
    for picture in pictures.values():
        ET.fromstring(picture)
    assert "null epoll" in pictures["throughput-P1.svg"]
    longest = [line for line in pictures["throughput-P1.svg"].splitlines() if "<rect x=" in line]
    assert len(longest) == 2


SAMPLES = """
\tffff tcp_sendmsg ([kernel.kallsyms])
\tffff __x64_sys_sendto ([kernel.kallsyms])
\t  12 epoll_send (/x/_engine.so)
\t  11 selector_select (/x/_engine.so)
\t  10 _start (/usr/bin/python3.11)

\t  33 [unknown] (/usr/bin/python3.11)
\t  32 _PyEval_EvalFrameDefault (/usr/bin/python3.11)
\t  31 on_request (/x/_engine.so)
\t  11 selector_select (/x/_engine.so)
\t  10 _start (/usr/bin/python3.11)

\t  41 vv_http1_parse_request_avx2 (/x/_engine.so)
\t  11 selector_select (/x/_engine.so)
"""


def test_samples_are_told_apart_by_who_asked_for_the_work() -> None:
    stacks = _stacks(SAMPLES)
    assert sum(stacks.values()) == 3
    assert all(stack[0] == Frame("selector_select", "engine") for stack in stacks)
    shares = phases.shares(stacks, {"on_request": "binding/py_app.c"})
    third = pytest.approx(1 / 3)
    assert shares == {phases.SEND: third, "parse the head": third, phases.HANDLER: third}


def test_a_flame_graph_is_as_wide_as_its_samples() -> None:
    stacks = _stacks(SAMPLES)
    root = ET.fromstring(flame.graph("a <title>", stacks))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "selector_select (vivace's engine): 100.0%" in titles
    assert "on_request (vivace's engine): 33.3%" in titles
    assert flame.by_owner(stacks) == {of: pytest.approx(1 / 3) for of in ("engine", "CPython", "kernel")}
