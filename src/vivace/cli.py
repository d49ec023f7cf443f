"""The command line: `vivace run hello:app`."""

import itertools
import platform
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import click

from vivace import _engine, serving, settings
from vivace.app import Application
from vivace.loading import LoadError, load
from vivace.serving import ExitStatus, complain
from vivace.settings import Setting
from vivace.signatures import describe
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
}
"""Other servers' names of options, so that an old command line works; not in the help."""

_SHORT = {"bind": "-b", "workers": "-w"}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command, and end the process with its exit status.

    arguments  those of the process when left out
    """
    try:
        status = vivace.main(arguments, prog_name="vivace", standalone_mode=False)
    except click.ClickException as error:
        status = complain(" ".join(error.format_message().split()), ExitStatus.USAGE)
    except LoadError as error:
        sys.stderr.write(error.trace)
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


class _Command(click.Command):
    """A command that knows other servers' names of its options."""

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
        hidden = setting.name in settings.LATER
        names = [setting.option, *([_SHORT[setting.name]] if setting.name in _SHORT else [])]
        if setting.is_flag:
            option = click.option(
                f"{setting.option}/--no-{setting.option[2:]}", default=None, help=setting.text, hidden=hidden
            )
        else:
            default = f" [{setting.shown_default}]" if setting.default not in (None, ()) else ""
            option = click.option(
                *names,
                type=_Value(setting),
                multiple=setting.repeatable,
                metavar=setting.metavar,
                help=setting.text + default,
                hidden=hidden,
            )
        command = option(command)
    return command


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
@_settings
def run(app: str, app_dir: str, *, factory: bool, **given: Any) -> int:
    """Serve APP: module:attribute, module:factory(), a file, or module.attribute."""
    chosen = _chosen(given)
    application = load(app, factory=factory, directory=app_dir)
    return serving.serve(application, _resolved(application, chosen))


@vivace.command(cls=_Command)
@_application
def check(app: str, app_dir: str, *, factory: bool) -> None:
    """Import APP and check its settings, without serving."""
    application = load(app, factory=factory, directory=app_dir)
    _resolved(application, {})
    count = len(application.router)
    click.echo(f"{app}: fine, {count} route{'' if count == 1 else 's'}")


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
    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"vivace {__version__}, {python}, simd {_engine.ISA}, io {_engine.IO_BACKENDS[0]}")


def _chosen(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was written on the command line."""
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    if "bind" in chosen:
        chosen["bind"] = tuple(itertools.chain.from_iterable(chosen["bind"]))
    return chosen


def _resolved(application: Application, chosen: Mapping[str, Any]) -> settings.Settings:
    try:
        return settings.resolve([chosen, application.run_arguments], application.settings)
    except (ValueError, NotImplementedError) as error:
        raise click.UsageError(str(error)) from None


def _where(handler: Any) -> str:
    return f"{getattr(handler, '__module__', '?')}:{describe(handler)}"
