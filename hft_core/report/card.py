"""The model card: Markdown under the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from hft_core.report.content import Report
from hft_core.report.evidence import GATE_HEADS, gate_basis, gate_notes, gate_row, scored_sentence
from hft_core.report.numbers import count, duration, figure, interval, moment, share
from hft_core.report.summary import BASELINES, main_figures, verdict

_PIPELINE_TAGS = (
    "feature-extraction", "fill-mask", "question-answering", "sentence-similarity", "summarization",
    "text-classification", "text-generation", "token-classification", "translation",
)  # fmt: skip
"""Those tasks of the hub that a task here may be named like."""


def render_card(report: Report) -> str:
    """Give the card: front matter, figures beside the baselines, data, training, limits, recipe."""
    parts = [
        f"---\n{_front_matter(report)}---",
        f"# {_plain(report['name'])}",
        f"{_plain(report['model'])}. Made with hft {_plain(report['hft'])} on {moment(report['created'])}.",
        _figures(report),
        _evidence(report),
        _data(report),
        _training(report),
        _limits(report),
    ]
    if report["next"]:
        commands = "\n".join(f"# {command['purpose']}\n{command['command']}" for command in report["next"])
        parts.append(f"## Use\n\n{_fenced(commands, 'sh')}")
    parts.append(f"## Recipe\n\n{_fenced(report['recipe'], 'yaml')}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(report: Report) -> str:
    """Give YAML with the keys of the hub's model card metadata."""
    from ruamel.yaml import YAML

    matter: dict[str, Any] = {"library_name": "transformers", "tags": ["hft"]}
    if report["task"] in _PIPELINE_TAGS:
        matter["pipeline_tag"] = report["task"]
    if report["base_model"]:
        matter["base_model"] = report["base_model"]
    results = [
        {
            "task": {"type": report["task"] or "other"},
            "dataset": {"name": f"{report['name']} ({split})", "type": report["name"], "split": split},
            "metrics": [
                {"type": name, "value": round(entry.get("shipped", entry["value"]), 6)}
                for name, entry in figures.items()
                if "[" not in name
            ],
        }
        for split, figures in report["metrics"].items()
    ]
    if results:
        names = {name for figures in report["metrics"].values() for name in figures if "[" not in name}
        matter["metrics"] = sorted(names)
        matter["model-index"] = [{"name": report["name"], "results": results}]
    yaml = YAML()
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(matter, stream)
    return stream.getvalue()


def _figures(report: Report) -> str:
    headline = report["headline"]
    model, baselines = main_figures(report)
    if headline is None or model is None:
        return ""
    rows = [("**this model**", f"**{figure(model['value'])}**", interval(model))]
    rows += [(_plain(title), figure(entry["value"]), interval(entry)) for title, entry in baselines.items()]
    parts = [
        f"## Figures\n\nOn {_plain(headline['split'])}; intervals: {_plain(report['intervals'])}.",
        _table(("", _plain(headline["metric"]), "interval"), rows),
    ]
    if standing := verdict(headline, model, baselines):
        parts.append(_plain(standing.sentence))
    parts.append(_all_figures(report))
    return "\n\n".join(parts)


def _all_figures(report: Report) -> str:
    """Every figure of every task beside the baselines that have it; of these the value alone."""
    baselines = report["baselines"].values()
    rows = []
    for split, figures in report["metrics"].items():
        for name in (name for name in figures if "[" not in name):
            found = [by_split.get(split, {}).get(name) for by_split in baselines]
            own = f"{figure(figures[name]['value'])} {interval(figures[name])}".strip()
            beside = [figure(entry["value"]) if entry else "" for entry in found]
            rows.append((_plain(split), _plain(name), own, *beside))
    titles = [_plain(BASELINES.get(name, name)) for name in report["baselines"]]
    return _table(("split", "metric", "this model", *titles), rows)


def _evidence(report: Report) -> str:
    """Give what gates decided, and how fresh the test is."""
    parts = []
    if report["gates"]:
        rows = [tuple(map(_plain, gate_row(gate))) for gate in report["gates"]]
        parts += [f"## What stays because it helps\n\n{_plain(gate_basis(report))}", _table(GATE_HEADS, rows)]
        parts += [_plain(note) for gate in report["gates"] if (note := gate_notes(gate))]
    if sentence := scored_sentence(report):
        parts.append(_plain(sentence))
    return "\n\n".join(parts)


def _data(report: Report) -> str:
    if not report["ledger"]:
        return ""
    rows = [
        (
            _plain(source["name"]),
            count(source["read"]),
            count(source["kept"]),
            count(sum(source["quarantined"].values()) + sum(entry["rows"] for entry in source["dropped"])),
            count(sum(source["made"].values())),
            share(source["unknown_rate"]),
        )
        for source in report["ledger"]
    ]
    return "## Data\n\n" + _table(("source", "read", "kept", "left out", "made", "unknown tokens"), rows)


def _training(report: Report) -> str:
    if not report["stages"]:
        return ""
    rows = [
        (_plain(stage["name"]), _plain(stage["kind"]), count(stage["steps"]), duration(stage["seconds"]))
        for stage in report["stages"]
    ]
    return "## Training\n\n" + _table(("stage", "kind", "steps", "time"), rows)


def _limits(report: Report) -> str:
    """Give warnings and what the checks found, as limits of the model."""
    checks = [check for check in report["checks"] if check["severity"] in ("warning", "error")]
    titles = {check["title"] for check in checks}
    found = [
        f"- {_plain(text)}" for text in report["warnings"] if text not in titles
    ]  # those stand below with a reason
    found += [f"- {_plain(check['title'])}: {_plain(check['detail'])}" for check in checks]
    return "## Limits\n\n" + "\n".join(found) if found else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Make a text harmless in Markdown: one line, nothing that is markup or HTML."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", text)


def _fenced(text: str, language: str) -> str:
    """Put a text into a code block whose fence is longer than any in it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
