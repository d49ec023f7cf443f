"""Who is measured: ours, the null servers, and whichever peers are installed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import workloads
from workloads import Workload

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
ENGINE = BUILD / "core"
PEERS = BUILD / "peers"
PYTHON_PEERS = ("uvicorn", "httptools", "uvloop", "granian", "aiohttp", "fastapi", "sanic", "falcon", "robyn")


@dataclass(frozen=True)
class Server:
    """A command that serves, PORT standing for its port, and what is asked of it."""

    name: str
    command: tuple[str, ...]
    workload: Workload = workloads.HELLO


def ours() -> Iterator[Server]:
    """Yield vivace, the core without Python, and the null servers."""
    programs = ENGINE / "benchmarks" / "http"
    length = str(len(workloads.HELLO.request))
    yield Server("null epoll", (str(programs / "null_epoll"), "PORT", length))
    if (programs / "null_uring").exists():
        yield Server("null io_uring", (str(programs / "null_uring"), "PORT", length))
    core = (str(programs / "core_server"), "PORT")
    yield Server("core: hello", core)
    yield Server("core: /users/{id:int}", core, workloads.USER)
    yield Server("core: POST 1 KiB", core, workloads.ECHO)
    app = (sys.executable, str(HERE / "vivace_app.py"), "PORT")
    yield Server("vivace: Response(text=...)", app)
    yield Server("vivace: str", app, workloads.TEXT)
    yield Server("vivace: async def", app, workloads.ASYNC)
    yield Server("vivace: dict as JSON", app, workloads.JSON)
    yield Server("vivace: /users/{id:int}", app, workloads.USER)
    yield Server("vivace: four headers", app, workloads.HEADERS)
    yield Server("vivace: POST 1 KiB", app, workloads.ECHO)


def _on_asgi(module: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", f"{module}:app", "--app-dir", str(HERE / "peers"), "--port", "PORT", "--no-access-log")


def _granian(interface: str) -> tuple[str, ...]:
    where = ("--working-dir", str(HERE / "peers"), "--host", "127.0.0.1", "--port", "PORT")
    return ("-m", "granian", "--interface", interface, *where, "--no-access-log", f"{interface}:app")


def _script(name: str) -> tuple[str, ...]:
    return (str(HERE / "peers" / name), "PORT")


# name, what must be installed, arguments of its Python
IN_PYTHON = (
    ("uvicorn, bare ASGI", "uvicorn", _on_asgi("asgi")),
    ("granian, bare ASGI", "granian", _granian("asgi")),
    ("granian, bare RSGI", "granian", _granian("rsgi")),
    ("fastapi on uvicorn", "fastapi", _on_asgi("fastapi_app")),
    ("falcon on uvicorn", "falcon", _on_asgi("falcon_app")),
    ("aiohttp", "aiohttp", _script("aiohttp_app.py")),
    ("sanic", "sanic", _script("sanic_app.py")),
    ("robyn", "robyn", _script("robyn_app.py")),
)


def _has(python: Path, module: str) -> bool:
    probe = f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"
    return python.exists() and subprocess.run([python, "-c", probe], check=False).returncode == 0


def peers() -> Iterator[Server]:
    """Yield the peers that are installed."""
    python = PEERS / "python" / "bin" / "python"
    for name, module, arguments in IN_PYTHON:
        if _has(python, module):
            yield Server(name, (str(python), *arguments))
    japronto = PEERS / "python36" / "bin" / "python"
    if _has(japronto, "japronto"):
        yield Server("japronto, Python 3.6", (str(japronto), *_script("japronto_app.py")))
    for name, program in (("Go net/http", "net_http"), ("Go fasthttp", "fasthttp")):
        if (PEERS / program).exists():
            yield Server(name, (str(PEERS / program), "PORT"))
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx:
        yield Server("nginx, return 200", (nginx, "-p", "FOLDER", "-c", "FOLDER/nginx.conf"))


def build() -> None:
    """Build the load generator and the servers in C."""
    meson = shutil.which("meson", path=str(Path(sys.executable).parent)) or shutil.which("meson")
    if meson is None:
        raise SystemExit("meson is not installed: run `make setup`, or put it on PATH")
    if not (ENGINE / "build.ninja").exists():
        subprocess.run([meson, "setup", ENGINE, ROOT, "-Dpython=false", "--buildtype=release"], check=True)
    subprocess.run([meson, "compile", "-C", ENGINE], check=True, stdout=subprocess.DEVNULL)


def _try(command: Sequence[str | Path], folder: Path) -> bool:
    print("$", *command)
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


def install_peers() -> None:
    """Install what can be installed here; what cannot is left out of the measurement."""
    PEERS.mkdir(parents=True, exist_ok=True)
    _try([sys.executable, "-m", "venv", PEERS / "python"], ROOT)
    for package in PYTHON_PEERS:
        _try([PEERS / "python" / "bin" / "pip", "install", "--quiet", package], ROOT)
    if (old := shutil.which("python3.6")) and _try([old, "-m", "venv", PEERS / "python36"], ROOT):
        pip = PEERS / "python36" / "bin" / "pip"
        _try([pip, "install", "--quiet", "--upgrade", "pip"], ROOT)  # the one it comes with knows no newer wheels
        _try([pip, "install", "--quiet", "japronto"], ROOT)
    if go := shutil.which("go"):
        for program in ("net_http", "fasthttp"):
            source = PEERS / "source" / program
            shutil.copytree(HERE / "peers" / program, source, dirs_exist_ok=True)
            if not (source / "go.mod").exists():
                _try([go, "mod", "init", program], source)
            _try([go, "mod", "tidy"], source)
            _try([go, "build", "-o", PEERS / program, "."], source)
