"""The command line: commands, options and exit codes, and nothing else."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from loop.commands.failures import Session, failures
from loop.exitcodes import ExitCode

app = typer.Typer(
    name="beamloop",
    help="Active-learning closed-loop experiment controller for SAXS beamlines.",
    epilog="Exit codes: 0 done, 1 internal error, 2 bad input, 3 paused, 4 stopped (3, 4: `resume` goes on).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SHOWN_VERSIONS = ("beamloop", "torch", "botorch", "gpytorch", "pyro-ppl", "bluesky", "ophyd", "pyFAI", "tiled")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="Campaign file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Replace one value of the file; may be repeated."),
]
CampaignFolder = Annotated[Path, typer.Argument(metavar="CAMPAIGN", help="Folder of a campaign.", show_default=False)]
NoReport = Annotated[bool, typer.Option("--no-report", help="Do not write the report at the end.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; messages about trouble only.")]


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """Active-learning closed-loop experiment controller for SAXS beamlines."""
    context.obj = Session(debug=debug)


@app.command()
def run(
    context: typer.Context,
    config: ConfigFile,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for this campaign (default: a new one below storage.folder)."),
    ] = None,
    no_report: NoReport = False,
    quiet: Quiet = False,
) -> None:
    """Run a campaign and write its report."""
    from loop.commands import campaign

    session = context.obj
    with failures(session):
        code = campaign.run(session, config, overrides or (), out=out, report=not no_report, quiet=quiet)
    raise typer.Exit(code)


@app.command()
def resume(context: typer.Context, campaign: CampaignFolder, no_report: NoReport = False, quiet: Quiet = False) -> None:
    """Go on with a campaign that was paused, stopped or killed."""
    session = context.obj
    with failures(session):
        from loop.commands import campaign as commands

        code = commands.resume(session, campaign, report=not no_report, quiet=quiet)
    raise typer.Exit(code)


@app.command()
def check(context: typer.Context, config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a campaign file and its devices; measure nothing."""
    from loop.commands import check as commands

    with failures(context.obj):
        code = commands.check(config, overrides or ())
    raise typer.Exit(code)


@app.command()
def pretrain(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Pretraining file (YAML).", show_default=False)],
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a prior that is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train networks on theory, as a prior for campaigns."""
    with failures(context.obj):
        from loop.commands import pretrain as commands

        code = commands.pretrain(config, overrides or (), force=force, quiet=quiet)
    raise typer.Exit(code)


@app.command()
def simulate(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe (YAML).", show_default=False)],
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the data set (default: datasets/NAME)."),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Processes; the numbers do not depend on it.")] = 1,
    ray: Annotated[bool, typer.Option("--ray", help="Let Ray run the workers.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a data set that is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a data set of simulated curves; one that is not complete is gone on with."""
    with failures(context.obj):
        from loop.commands import simulate as commands

        code = commands.simulate(recipe, overrides or (), out=out, workers=workers, ray=ray, force=force, quiet=quiet)
    raise typer.Exit(code)


train = typer.Typer(no_args_is_help=True, help="Train a model that ships with no campaign.")
app.add_typer(train, name="train")


@train.command("saxs")
def train_saxs(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Training file (YAML).", show_default=False)],
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a classifier that is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train the classifier of SAXS curves on a data set."""
    with failures(context.obj):
        from loop.commands import train as commands

        code = commands.train_saxs(config, overrides or (), force=force, quiet=quiet)
    raise typer.Exit(code)


@app.command()
def classify(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files (columns of text, canSAS XML, NXcanSAS, Nika and other HDF5, Parquet), folders of campaigns, "
            "or addresses of Tiled nodes (http://...; key: $BEAMLOOP_TILED_API_KEY).",
            show_default=False,
        ),
    ],
    model: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Classifier (default: $BEAMLOOP_CLASSIFIER, or ours).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    figure: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the curves.")] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Folder of about 30 files with good curves of the instrument (or a campaign, or an address), which "
            "novelty then refers to.",
        ),
    ] = None,
    unit: Annotated[str | None, typer.Option(metavar="1/A|1/nm", help="Of q, whatever the files say.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="Q,I[,SIGMA]",
            help="Names of the columns or arrays, where they are not the usual; of text also numbers.",
        ),
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Of a Tiled catalogue, this run only: uid or its first letters, scan_id, or -1 for the latest; may be "
            "repeated.",
        ),
    ] = None,
    skip_bad_rows: Annotated[
        bool,
        typer.Option(
            "--skip-bad-rows",
            help="Leave out rows without a number, without an error bar above 0, or with q out of order.",
        ),
    ] = False,
    alpha: Annotated[float, typer.Option(help="Share of false alarms of novelty.")] = 0.05,
) -> None:
    """Tell which defect measured curves show, how sure that is, and which are unlike training."""
    with failures(context.obj):
        from loop.commands import classify as commands

        code = commands.classify(
            sources,
            model=model,
            as_json=as_json,
            figure=figure,
            calibrate=calibrate,
            unit=unit,
            skip_bad_rows=skip_bad_rows,
            alpha=alpha,
            columns=columns,
            runs=run or (),
        )
    raise typer.Exit(code)


@app.command()
def report(context: typer.Context, campaign: CampaignFolder) -> None:
    """Write the report of a campaign as it stands."""
    session = context.obj
    with failures(session):
        from loop.commands import campaign as commands

        code = commands.write_report(session, campaign)
    raise typer.Exit(code)


@app.command()
def status(context: typer.Context, campaign: CampaignFolder) -> None:
    """Print what a campaign's journal says."""
    session = context.obj
    with failures(session):
        from loop.commands import records

        code = records.status(session, campaign)
    raise typer.Exit(code)


@app.command()
def catalogue(
    context: typer.Context,
    campaign: CampaignFolder,
    target: Annotated[str, typer.Option("--to", metavar="embedded|URL", help="Which Tiled catalogue.")] = "embedded",
) -> None:
    """Fill a Tiled catalogue from a campaign's journal."""
    session = context.obj
    with failures(session):
        from loop.commands import records

        code = records.catalogue(session, campaign, target)
    raise typer.Exit(code)


@app.command()
def schema(context: typer.Context) -> None:
    """Print the JSON schema of campaign files, for editors."""
    with failures(context.obj):
        from loop.config import schema_json

        sys.stdout.write(schema_json())
        sys.stdout.flush()
    raise typer.Exit(ExitCode.DONE)


@app.command("version")
def show_version(context: typer.Context) -> None:
    """Print the versions of beamloop and of what its results depend on."""
    with failures(context.obj):
        print(f"Python {sys.version.split()[0]}")
        for name in _SHOWN_VERSIONS:
            try:
                print(f"{name} {version(name)}")
            except PackageNotFoundError:
                print(f"{name} not installed")
    raise typer.Exit(ExitCode.DONE)


def main() -> None:
    """Entry point of the command `beamloop`."""
    # So that "my_module:MyAcquisition" is found where the command runs; last, so that it shadows nothing.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    app()


if __name__ == "__main__":
    main()
