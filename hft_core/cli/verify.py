"""`hft verify`: whether a bundle is whole and predicts here what it predicted where it was exported."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hft_core.cli.options import session_options


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@session_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(bundle: Path, threads: int | None, providers: tuple[str, ...], as_json: bool) -> None:
    """Check BUNDLE (or a run's folder): every checksum, and the golden rows at every precision.

    Exit code 9 if a file was changed or a prediction differs.
    """
    from hft_core.runtime import load

    first = load(bundle, threads=threads, providers=providers)
    reports = {first.precision: first.verify()}
    for precision in first.precisions[1:]:
        reports[precision] = load(bundle, precision=precision, threads=threads, providers=providers).verify()
    if as_json:
        click.echo(json.dumps(reports))
        return
    for precision, report in reports.items():
        click.echo(
            f"{precision}: {report['rows']} golden rows answered alike (largest difference {report['drift']:.1e}), "
            f"{report['files']} files unchanged, {report['provider']}"
        )
    texts = '"a text"' if len(first.text) == 1 else " ".join(f'"a {name}"' for name in first.text)
    click.echo(f"Next: hft predict {bundle} {texts}")
