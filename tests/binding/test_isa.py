"""Which instruction set is in use, and that the environment can ask for a weaker one."""

import os
import subprocess
import sys

import pytest

KNOWN = ("base", "avx2", "avx512")


def isa_in_use(**env: str) -> str:
    command = [sys.executable, "-c", "from vivace import _engine; print(_engine.ISA)"]
    given = {name: value for name, value in os.environ.items() if name != "VIVACE_SIMD"} | env
    return subprocess.run(command, capture_output=True, text=True, check=True, env=given).stdout.strip()


def test_the_plainest_can_always_be_asked_for():
    assert isa_in_use(VIVACE_SIMD="base") == "base"


@pytest.mark.parametrize("wanted", KNOWN)
def test_what_cannot_be_had_is_the_best_there_is(wanted):
    best = isa_in_use()
    assert best in KNOWN
    expected = wanted if KNOWN.index(wanted) <= KNOWN.index(best) else best
    assert isa_in_use(VIVACE_SIMD=wanted) == expected


def test_an_unknown_name_changes_nothing():
    assert isa_in_use(VIVACE_SIMD="mmx") == isa_in_use()
