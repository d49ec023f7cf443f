"""Who else is measured: whichever peers are installed, each on one thread, without an access log."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from servers import BUILD, HERE, ROOT, Server

PEERS = BUILD / "peers"
SOURCES = HERE / "peers"
PYTHON = PEERS / "python" / "bin" / "python"
PYTHON36 = PEERS / "python36" / "bin" / "python"
JAVASCRIPT = PEERS / "javascript"
RUST = {"actix": "actix-web (Rust)", "axum": "axum (Rust)", "hyper": "hyper (Rust)"}
RUST |= {"may": "may_minihttp (Rust)", "ntex": "ntex (Rust)"}
GO = {"net_http": "net/http (Go)", "fasthttp": "fasthttp (Go)"}
COMPILES_WHILE_IT_RUNS = 1.5
"""Seconds of warm-up for the engines of JavaScript."""


# ---- in Python -------------------------------------------------------------------------------------------------------


def _uvicorn(module: str) -> tuple[str, ...]:
    where = ("--app-dir", str(SOURCES), "--port", "PORT", "--workers", "WORKERS")
    return ("-m", "uvicorn", f"{module}:app", *where, "--no-access-log", "--timeout-keep-alive", "75")


def _granian(interface: str, module: str) -> tuple[str, ...]:
    where = ("--working-dir", str(SOURCES), "--host", "127.0.0.1", "--port", "PORT", "--workers", "WORKERS")
    many = ("--http", "1", "--http1-pipeline-flush", "--backlog", "16384", "--backpressure", "100000")
    return ("-m", "granian", "--interface", interface, *where, *many, "--no-access-log", f"{module}:app")


def _script(name: str) -> tuple[str, ...]:
    return (str(SOURCES / name), "PORT")


# name, what must be installed, arguments of its Python
IN_PYTHON = (
    ("uvicorn, bare ASGI", "uvicorn", _uvicorn("asgi")),
    ("granian, bare ASGI", "granian", _granian("asgi", "asgi")),
    ("granian, bare RSGI", "granian", _granian("rsgi", "rsgi")),
    ("fastapi on uvicorn", "fastapi", _uvicorn("fastapi_app")),
    ("falcon on uvicorn", "falcon", _uvicorn("falcon_app")),
    ("litestar on granian", "litestar", _granian("asgi", "litestar_app")),
    ("blacksheep on granian", "blacksheep", _granian("asgi", "blacksheep_app")),
    ("aiohttp", "aiohttp", _script("aiohttp_app.py")),
    ("sanic", "sanic", _script("sanic_app.py")),
    ("robyn", "robyn", _script("robyn_app.py")),
    ("socketify", "socketify", _script("socketify_app.py")),
)


def _has(python: Path, module: str) -> bool:
    probe = f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"
    return python.exists() and subprocess.run([python, "-c", probe], check=False).returncode == 0


def _in_python() -> Iterator[Server]:
    for name, module, arguments in IN_PYTHON:
        if _has(PYTHON, module):
            yield Server(name, (str(PYTHON), *arguments), workers="WORKERS" in arguments)
    if _has(PYTHON36, "japronto"):
        yield Server("japronto, Python 3.6", (str(PYTHON36), *_script("japronto_app.py")))


# ---- in other languages ----------------------------------------------------------------------------------------------


def _in_javascript() -> Iterator[Server]:
    programs: list[tuple[str, list[str]]] = []
    if node := shutil.which("node"):
        programs.append(("http (Node)", [node]))
    programs += [("Bun", [str(bun)]) for bun in sorted(JAVASCRIPT.glob("node_modules/@oven/*/bin/bun"))[:1]]
    found = sorted(JAVASCRIPT.glob("node_modules/@deno/*/deno"))[:1]
    programs += [("Deno", [str(deno), "run", "--allow-net", "--no-remote"]) for deno in found]
    for name, program in programs:
        script = SOURCES / "javascript" / f"{Path(program[0]).name}.js"
        yield Server(name, (*program, str(script), "PORT"), warm_up=COMPILES_WHILE_IT_RUNS)


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def peers() -> Iterator[Server]:
    """Yield the peers that are installed."""
    yield from _in_python()
    for names, folder in ((GO, PEERS), (RUST, PEERS / "rust" / "release")):
        for program, name in names.items():
            path = folder / (f"peer-{program}" if names is RUST else program)
            if path.exists():
                yield Server(name, (str(path), "PORT"))
    yield from _in_javascript()
    if nginx := _nginx():
        yield Server("nginx, return 200", (nginx, "-p", "FOLDER", "-c", "FOLDER/nginx.conf"), workers=True)


# ---- versions --------------------------------------------------------------------------------------------------------


def _told(*command: str | Path) -> str:
    """Give the first thing that looks like a version in what the command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)*", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"


def versions() -> Iterator[str]:
    """Yield the versions of what is measured, as far as it is installed; one line for each language."""
    if PYTHON.exists():
        listed = subprocess.run([PYTHON, "-m", "pip", "list", "--format=json"], capture_output=True, check=True).stdout
        known = {package["name"].lower(): package["version"] for package in json.loads(listed)}
        names = [line.partition("==")[0] for line in _pins()]
        yield f"Python {_told(PYTHON, '--version')}: " + ", ".join(f"{name} {known.get(name, '?')}" for name in names)
    if _has(PYTHON36, "japronto"):
        yield f"Python {_told(PYTHON36, '--version')}: japronto 0.1.2"
    if (PEERS / "rust" / "release").exists():
        lock = tomllib.loads((SOURCES / "rust" / "Cargo.lock").read_text())
        wanted = ("actix-web", "axum", "hyper", "may_minihttp", "ntex", "tokio")
        found = [f"{package['name']} {package['version']}" for package in lock["package"] if package["name"] in wanted]
        yield f"Rust {_told('rustc', '--version')}: {', '.join(found)}"
    if (PEERS / "fasthttp").exists():
        pinned = re.search(r"fasthttp v(\S+)", (SOURCES / "fasthttp" / "go.mod").read_text())
        yield f"Go {_told('go', 'version')}: net/http, fasthttp {pinned[1] if pinned else ''}"
    pinned_by_npm = json.loads((SOURCES / "javascript" / "package.json").read_text())["dependencies"]
    others = [f"{name.title()} {version}" for name, version in pinned_by_npm.items()]
    if shutil.which("node"):
        others.append(f"Node {_told('node', '--version')}")
    if nginx := _nginx():
        others.append(f"nginx {_told(nginx, '-v')}")
    yield ", ".join(others)


# ---- installation ----------------------------------------------------------------------------------------------------


def _try(command: Sequence[str | Path], folder: Path = ROOT, **env: str) -> bool:
    print("$", *command, flush=True)
    words = [f"{name}={value}" for name, value in env.items()]
    return subprocess.run(["env", *words, *command], cwd=folder, check=False).returncode == 0


def _pins() -> list[str]:
    return [line for line in (SOURCES / "requirements.txt").read_text().splitlines() if line[:1].isalpha()]


def _install_python() -> Iterator[str]:
    if not PYTHON.exists() and not _try([sys.executable, "-m", "venv", PEERS / "python"]):
        yield "the peers in Python: no virtual environment could be made"
        return
    pins = _pins()
    if not _try([PYTHON, "-m", "pip", "install", "--quiet", *pins]):
        for pin in pins:
            if not _try([PYTHON, "-m", "pip", "install", "--quiet", pin]):
                yield f"{pin}: pip could not install it for this Python"


def _install_japronto() -> Iterator[str]:
    found = [shutil.which("python3.6"), *Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6")]
    works = [
        old
        for old in found
        if old and subprocess.run([old, "-c", ""], capture_output=True, check=False).returncode == 0
    ]
    if not works:
        yield "japronto: there is no CPython 3.6, and it runs on no newer one than 3.8"
        return
    pip = [PYTHON36, "-m", "pip", "install", "--quiet"]
    made = PYTHON36.exists() or _try([works[0], "-m", "venv", PEERS / "python36"])
    # The pip that it comes with knows no newer wheels.
    if not (made and _try([*pip, "--upgrade", "pip"]) and _try([*pip, "japronto==0.1.2"])):
        yield "japronto: pip could not install it"


def _install_go() -> Iterator[str]:
    go = shutil.which("go")
    for program, name in GO.items():
        if go is None:
            yield f"{name}: there is no Go"
        elif not _try([go, "build", "-trimpath", "-o", PEERS / program, "."], SOURCES / program, GOAMD64=_go_level()):
            yield f"{name}: it could not be built"


def _go_level() -> str:
    """Name the most that Go may use of this CPU."""
    flags = Path("/proc/cpuinfo").read_text()
    return "v3" if " avx2 " in flags else "v1"


def _install_rust() -> Iterator[str]:
    cargo = shutil.which("cargo")
    if cargo is None:
        yield from (f"{name}: there is no cargo" for name in RUST.values())
        return
    command = [cargo, "build", "--locked", "--release", "--quiet"]
    environment = {"CARGO_TARGET_DIR": str(PEERS / "rust"), "RUSTFLAGS": "-C target-cpu=native"}
    if _try(command, SOURCES / "rust", **environment):
        return
    for program, name in RUST.items():
        if not _try([*command, "--package", f"peer-{program}"], SOURCES / "rust", **environment):
            yield f"{name}: it could not be built"


def _install_javascript() -> Iterator[str]:
    npm = shutil.which("npm")
    JAVASCRIPT.mkdir(exist_ok=True)
    shutil.copy(SOURCES / "javascript" / "package.json", JAVASCRIPT)
    # Both packages are a binary for each system and a script that links it: the script is not needed.
    quietly = ("--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund")
    if npm is None:
        yield "Bun, Deno: there is no npm"
    elif not _try([npm, "install", *quietly], JAVASCRIPT):
        yield "Bun, Deno: npm could not install them"
    yield "uWebSockets.js: the npm registry does not carry it (its engine is measured as socketify)"


def install() -> dict[str, str]:
    """Install what can be installed here; why the others could not be, by name."""
    PEERS.mkdir(parents=True, exist_ok=True)
    steps = (_install_python, _install_japronto, _install_go, _install_rust, _install_javascript)
    failed = [line for step in steps for line in step()]
    if not _nginx():
        failed.append("nginx: install it as your system does; it is not built here")
    (PEERS / "left-out.txt").write_text("".join(f"{line}\n" for line in failed))
    return left_out()


def left_out() -> dict[str, str]:
    """Say which peers could not be installed, and why."""
    path = PEERS / "left-out.txt"
    if not path.exists():
        return {}
    lines = (line.partition(": ") for line in path.read_text().splitlines())
    return {name: why for name, _, why in lines}
