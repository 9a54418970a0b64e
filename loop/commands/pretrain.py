"""Train networks on theory and write them as a prior for campaigns."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from loop.errors import BeamloopError
from loop.exitcodes import ExitCode


def pretrain(path: Path, overrides: Sequence[str], *, force: bool, quiet: bool) -> int:
    """Pretrain as a file says; return the exit code."""
    from loop.config.pretrain import load_pretrain_config

    config = load_pretrain_config(path, overrides)
    output = Path(config.output)
    for suffix in (".safetensors", ".json"):
        there = output.with_name(output.name + suffix)
        if there.exists() and not force:
            raise BeamloopError(f"{there}: is there already; --force replaces it, or choose another output.")
    import torch

    from loop.theory import theory_table
    from surrogates.pretraining import pretrain as train

    torch.set_num_threads(config.threads)
    began = time.perf_counter()
    table = theory_table(config)
    if not quiet:
        left_out = f" ({table.dropped} left out: no value, or outside the bounds)" if table.dropped else ""
        print(f"Theory: {len(table.X)} rows{left_out} of {', '.join(table.input_names)}", flush=True)
    options: dict[str, Any] = {} if config.network is None else {"network": {"kind": "mlp", **config.network}}
    prior = train(
        torch.from_numpy(table.X),
        torch.from_numpy(table.Y),
        input_names=table.input_names,
        low=table.low,
        high=table.high,
        output_names=table.output_names,
        seed=config.seed,
        members=config.members,
        epochs=config.epochs,
        batch_size=config.batch_size,
        lr=config.lr,
        held_out=config.held_out,
        groups=table.groups,
        description=config.description or config.name,
        date=date.today().isoformat(),
        **options,
    )
    prior = replace(prior, card={**prior.card, "units": table.units, "source": config.source.model_dump(mode="json")})
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        prior.save(output)
    except OSError as error:
        raise BeamloopError(f"{output}: cannot be written ({error.strerror}); choose another output.") from error
    if not quiet:
        _show(prior, time.perf_counter() - began)
        print(f"Prior: {output}{os.extsep}safetensors and {output.name}{os.extsep}json; in a campaign:")
        print(f"  surrogate: {{kind: pbnn, prior: {output}}}")
    return ExitCode.DONE


def _show(prior: Any, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    data = prior.card["data"]
    table = Table(
        title=f"{prior.members} networks per observable, trained on {data['trained_on']} rows, judged by "
        f"{data['held_out']} others; {seconds:.0f} s",
        title_justify="left",
    )
    for column in ("observable", "RMSE", "NLPD", "R²", "width", "noise sd"):
        table.add_column(column, justify="left" if column == "observable" else "right")
    for i, name in enumerate(prior.output_names):
        metrics = prior.card["metrics"][name]
        numbers = (metrics["rmse"], metrics["nlpd"], metrics["r2"], float(prior.width[i]), float(prior.noise_sd[i]))
        table.add_row(name, *(f"{number:.4g}" for number in numbers))
    Console().print(table)
