"""The bundle's model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hft_core import Finished
from hft_plugins.onnx.describe import reads
from hft_plugins.onnx.gates import Gate

_SHOWN_LABELS = 50


def model_card(
    tasks: Mapping[str, Finished],
    precisions: Sequence[str],
    gates: Sequence[Gate],
    remarks: Sequence[str],
    standalone: bool,
) -> str:
    """Give README.md: what the model does, its figures, how it was checked, how to use it.

    Args:
        tasks: by name; of one task the name is empty.
        remarks: sentences on precisions.
    """
    run = next(iter(tasks.values()))
    columns = reads(run)
    kinds = ", ".join(dict.fromkeys(one.task.type_name() for one in tasks.values()))
    parts = [
        f"# {run.name}",
        f"A model for {kinds}, exported to ONNX by hft. It reads {_code(columns)}. Precisions: {', '.join(precisions)}.",
    ]
    if len(tasks) > 1:
        parts.append(f"Its predictions have an object for each of {len(tasks)} tasks: {_code(list(tasks))}.")
    for name, one in tasks.items():
        if labels := one.facts.get("labels"):
            shown = _code(labels[:_SHOWN_LABELS])
            of_task = f" of `{name}`" if name else ""
            parts.append(f"Labels{of_task}: {shown}{', …' if len(labels) > _SHOWN_LABELS else ''}")
    for name, one in tasks.items():
        if one.card:
            parts += [f"## Figures of `{name}`" if name else "## Figures", *_figures(one.card)]
    parts += [
        "## How the export was checked",
        " ".join(["Against the trained fp32 model; a precision that misses a bound is not written.", *remarks]),
        _table(("gate", "bound", "measured", "verdict"), [gate.row().values() for gate in gates]),
        "## Use",
        _usage(columns, standalone),
    ]
    if run.cleaners:
        names = _code([cleaner.type_name() for cleaner in run.cleaners])
        but = " `predict.py` does not." if standalone else ""
        parts.append(f"`hft predict` and `hft_core.runtime` clean each text first: {names}.{but}")
    if "int8" in precisions:
        parts.append("At int8 a row's numbers depend slightly on its batch, because activations are scaled per batch.")
    return "\n\n".join(parts) + "\n"


def _usage(columns: Sequence[str], standalone: bool) -> str:
    whole = f"# rows with the columns {', '.join(columns)}"
    lines = [
        "```",
        'hft predict . "a text"         # or --file rows.csv'
        if len(columns) == 1
        else f"hft predict . --file rows.jsonl    {whole}",
        "hft verify .                   # checksums and golden vectors on this machine",
    ]
    if standalone:
        lines.append('python predict.py "a text"     # onnxruntime, tokenizers and numpy only')
    return "\n".join([*lines, "```"])


def _code(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _figures(card: Mapping[str, Any]) -> list[str]:
    """Give single facts as a list, and each set of figures as a table of its headlines: no classes, no cells."""
    facts = [f"- {name}: {_number(value)}" for name, value in card.items() if not isinstance(value, Mapping)]
    tables = [
        _table(("figure", "value"), [(name, _number(value)) for name, value in figures.items() if "[" not in name])
        for figures in card.values()
        if isinstance(figures, Mapping)
    ]
    return ["\n".join(facts), *tables] if facts else tables


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _table(names: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(value.replace("|", "\\|") for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
