#!/bin/sh
# Sees to it that this system can build vivace: a C compiler, a Python with its headers and venv, and, when called as
# `system_packages.sh tests`, what the C tests link. What is missing is installed with apt-get where that can be done
# without asking; elsewhere one line says what to install.
set -eu

# The Python to use: $PYTHON, or the first that is new enough. `--python` only prints it.
find_python() {
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

python=$(find_python)
if [ "${1-}" = --python ]; then
    echo "$python"
    exit
fi

missing=
need() { missing="$missing $*"; }

command -v "${CC:-cc}" >/dev/null || need gcc libc6-dev
if [ -z "$python" ]; then
    need python3 python3-venv python3-dev
else
    # Debian cuts each of its Pythons into packages that bear the version: python3.11-venv, python3.11-dev.
    name=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || need "$name-venv"
    "$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || need "$name-dev"
fi
if [ "${1-}" = tests ]; then
    command -v pkg-config >/dev/null || need pkg-config
    pkg-config --exists cmocka 2>/dev/null || need libcmocka-dev
    # Welcome, not needed: without it the budget of instructions is not checked, and the tests say so.
    if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        command -v valgrind >/dev/null || need valgrind
    fi
fi
# Welcome, not needed: without it the engine waits in epoll.
if [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null && ! pkg-config --exists liburing 2>/dev/null; then
    if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
        need pkg-config liburing-dev
    fi
fi
[ -z "$missing" ] && exit

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    as_root=env
elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    echo "please install what is missing, under the name your system has for it:$missing" >&2
    exit 1
fi
echo "installing:$missing"
$as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086  # a list of words
$as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
