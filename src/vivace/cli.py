"""The command line: `vivace run hello:app`."""

import itertools
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from vivace import _engine, serving, settings, worker
from vivace.app import Application
from vivace.loading import LoadError, load
from vivace.program import this_program
from vivace.serving import ExitStatus, complain
from vivace.settings import Setting
from vivace.signatures import describe
from vivace.spelling import counted
from vivace.version import __version__

__all__ = ["main"]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_ALIASES = {
    "--limit-body": "--limit-body-bytes",
    "--timeout-header": "--timeout-head",
    "--timeout-graceful-shutdown": "--timeout-graceful",
    "--graceful-timeout": "--timeout-graceful",
    "--keep-alive": "--timeout-keep-alive",
    "--worker-num": "--workers",
    "--access-logfile": "--access-log-file",
    "--limit-max-requests": "--max-requests",
    "--limit-max-requests-jitter": "--max-requests-jitter",
    "--limit-request-fields": "--limit-header-fields",
}
"""Other servers' names of options, so that an old command line works; not in the help."""

_SHORT = {"bind": "-b", "workers": "-w"}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command, and end the process with its exit status.

    arguments  those of the process when left out
    """
    try:
        status = vivace.main(arguments, prog_name="vivace", standalone_mode=False, obj=arguments)
    except click.MissingParameter as error:
        command = error.ctx.info_name if error.ctx is not None else None
        what = f"{command} takes an application: module:attribute, or a file, as in `vivace {command} hello:app`"
        status = complain(what, ExitStatus.USAGE)
    except click.ClickException as error:
        status = complain(" ".join(error.format_message().split()), ExitStatus.USAGE)
    except LoadError as error:
        sys.stderr.write(error.trace)
        if not error.trace and (mine := worker.ticket()) is not None:
            mine.tell(mistaken=True)
        status = complain(str(error), ExitStatus.NOT_IMPORTED)
    except click.Abort:
        status = ExitStatus.INTERNAL
    sys.exit(int(status or ExitStatus.OK))


class _Value(click.ParamType[Any]):
    """A setting's value, read by the setting itself."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.name = setting.metavar

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        try:
            return self.setting.read(value, self.setting.option)
        except ValueError as error:
            raise click.UsageError(str(error)) from None


_GROUPS = {
    "Binding": ("host", "port", "bind", "uds", "uds_mode", "fd", "backlog"),
    "Application": ("app_dir", "factory", "env_file", "debug"),
    "Workers": ("workers", "max_requests", "max_requests_jitter", "max_rss", "threads", "loop", "io"),
    "Timeouts": ("timeout_",),
    "Limits": ("limit_",),
    "Logs": ("log_", "access_log"),
    "Reload": ("reload",),
}
"""The headings of the help, and the names below them, or how these begin."""


def _group_of(name: str) -> str:
    for group, names in _GROUPS.items():
        if name in names or name.startswith(tuple(start for start in names if start.endswith("_"))):
            return group
    near = (group for group, names in _GROUPS.items() if name.startswith(names))
    return next(near, "Others")


class _Command(click.Command):
    """A command that knows other servers' names of its options, and shows its own in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in (*_GROUPS, "Others")}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)) is not None:
                groups[_group_of(param.name or "")].append(record)
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [_own_name(argument) for argument in args])


def _own_name(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return _ALIASES.get(name, name) + equals + value


def _application(command: CommandT) -> CommandT:
    """Add the argument APP, and the options that say how to find it."""
    for decorate in (
        click.option("--app-dir", default=".", metavar="DIR", envvar="VIVACE_APP_DIR", help="Where APP is. [.]"),
        click.option("--factory", is_flag=True, envvar="VIVACE_FACTORY", help="APP is a function that returns it."),
        click.argument("app"),
    ):
        command = decorate(command)
    return command


def _settings(command: CommandT) -> CommandT:
    """Add an option for every setting."""
    for setting in reversed(settings.ALL.values()):
        names = [setting.option, *([_SHORT[setting.name]] if setting.name in _SHORT else [])]
        if setting.is_flag:
            option = click.option(f"{setting.option}/--no-{setting.option[2:]}", default=None, help=setting.text)
        else:
            default = f" [{setting.shown_default}]" if setting.default not in (None, ()) else ""
            option = click.option(
                *names,
                type=_Value(setting),
                multiple=setting.repeatable,
                metavar=setting.metavar,
                help=setting.text + default,
            )
        command = option(command)
    return command


_ENVIRON = "vivace.environ"
"""Where a context keeps the environment as it was before `--env-file`: workers read that file themselves."""


def _read_env_file(context: click.Context, _: click.Parameter, paths: tuple[str, ...]) -> None:
    if not (paths := paths or tuple(path for path in os.environ.get("VIVACE_ENV_FILE", "").split(",") if path)):
        return
    try:
        from dotenv import dotenv_values  # noqa: PLC0415 - optional
    except ImportError:
        msg = "--env-file needs python-dotenv: pip install python-dotenv"
        raise click.UsageError(msg) from None
    context.meta[_ENVIRON] = dict(os.environ)
    for path in paths:
        try:
            with Path(path).open(encoding="utf-8") as file:
                values = dotenv_values(stream=file)
        except (OSError, UnicodeError) as error:
            msg = f'cannot read --env-file "{path}": {getattr(error, "strerror", None) or error}'
            raise click.UsageError(msg) from None
        for name, value in values.items():
            os.environ.setdefault(name, value or "")


def _env_file(command: CommandT) -> CommandT:
    """Add --env-file, which is read before any other option: it may hold their variables."""
    return click.option(
        "--env-file",
        multiple=True,
        is_eager=True,
        expose_value=False,
        callback=_read_env_file,
        metavar="FILE",
        help="Variables that are not set yet, as NAME=VALUE lines; VIVACE_... too. May be repeated.",
    )(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def vivace(context: click.Context) -> None:
    """Serve Python web applications from an engine in C."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(ExitStatus.USAGE)


@vivace.command(
    cls=_Command, epilog="Each option is also a variable: --port is VIVACE_PORT. PORT alone means 0.0.0.0:$PORT."
)
@_application
@_env_file
@_settings
@click.pass_context
def run(context: click.Context, /, app: str, app_dir: str, *, factory: bool, **given: Any) -> int:
    """Serve APP: module:attribute, module:factory(), a file, or module.attribute."""
    return _serve(context, app, app_dir, given, factory=factory, defaults={})


@vivace.command(cls=_Command, epilog="As `vivace run --reload --debug`.")
@_application
@_env_file
@_settings
@click.pass_context
def dev(context: click.Context, /, app: str, app_dir: str, *, factory: bool, **given: Any) -> int:
    """Serve APP to whoever works on it: reloads when a file changes, shows tracebacks to clients, logs requests."""
    defaults = {"reload": True, "debug": True, "access_log": True}
    return _serve(context, app, app_dir, given, factory=factory, defaults=defaults)


def _serve(
    context: click.Context,
    app: str,
    app_dir: str,
    given: Mapping[str, Any],
    *,
    factory: bool,
    defaults: Mapping[str, Any],
) -> int:
    mine = worker.ticket()
    chosen = _chosen(given)
    known = _resolved(None, chosen, defaults)
    if mine is not None or not known.supervised:
        application = load(app, factory=factory, directory=app_dir)
        known = _resolved(application, chosen, defaults)
        if mine is not None:
            return worker.serve(mine, application, known)
        if not known.supervised:
            return serving.serve(application, known)
    from vivace.supervisor import supervise  # noqa: PLC0415 - who serves alone needs none

    file = app.partition(":")[0]
    code = str(Path(file).parent) if file.endswith(".py") or "/" in file else app_dir
    return supervise(this_program(app, code, context.obj, context.meta.get(_ENVIRON)), known)


@vivace.command(cls=_Command)
@_application
@_env_file
@_settings
def check(app: str, app_dir: str, *, factory: bool, **given: Any) -> None:
    """Import APP and check its settings, and those given as to `vivace run`, without serving."""
    application = load(app, factory=factory, directory=app_dir)
    _resolved(application, _chosen(given))
    click.echo(f"{app}: fine, {counted(len(application.router), 'route')}")


@vivace.command(cls=_Command)
@_application
def routes(app: str, app_dir: str, *, factory: bool) -> None:
    """Print the routes of APP."""
    application = load(app, factory=factory, directory=app_dir)
    rows = [
        (", ".join(sorted(route.methods)) or "any", route.pattern, route.name, _where(route.handler))
        for route in application.router
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]))


@vivace.command(cls=_Command)
def version() -> None:
    """Print the version, and which instruction set and system interface are in use."""
    import platform  # noqa: PLC0415 - no server needs it

    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"vivace {__version__}, {python}, simd {_engine.ISA}, io {_engine.IO_BACKENDS[0]}")


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was written on the command line."""
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    for name, value in chosen.items():
        if settings.ALL[name].repeatable:
            chosen[name] = tuple(itertools.chain.from_iterable(value))
    return chosen


def _resolved(
    application: Application | None, chosen: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> settings.Settings:
    """Settle every setting; without an application as far as they can be without it."""
    layers = [chosen] if application is None else [chosen, application.run_arguments]
    try:
        own = {} if application is None else application.settings
        return settings.resolve(layers, own, defaults=defaults, partly=application is None)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _where(handler: Any) -> str:
    return f"{getattr(handler, '__module__', '?')}:{describe(handler)}"
