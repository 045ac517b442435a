"""The model card: Markdown under the front matter that the Hugging Face hub reads."""

from __future__ import annotations

import io
from typing import Any

from hft_core.report.card_origins import ablation_table, hub_keys, origins
from hft_core.report.content.report import Report
from hft_core.report.diagnosis import title
from hft_core.report.evidence import GATE_HEADS, gate_basis, gate_notes, gate_row, scored_sentence
from hft_core.report.markdown import fenced, plain, table
from hft_core.report.numbers import count, duration, figure, interval, moment, share
from hft_core.report.scores import ranked_figures, temperature_sentence
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
        f"# {plain(report['name'])}",
        f"{plain(report['model'])}. Made with hft {plain(report['hft'])} on {moment(report['created'])}.",
        _figures(report),
        _evidence(report),
        ablation_table(report),
        _scores(report),
        _data(report),
        _training(report),
        origins(report),
        _exports(report),
        _limits(report),
    ]
    if report["next"]:
        commands = "\n".join(f"# {command['purpose']}\n{command['command']}" for command in report["next"])
        parts.append(f"## Use\n\n{fenced(commands, 'sh')}")
    parts.append(f"## Recipe\n\n{fenced(report['recipe'], 'yaml')}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(report: Report) -> str:
    """Give YAML with the keys of the hub's model card metadata."""
    from ruamel.yaml import YAML

    matter: dict[str, Any] = {"library_name": "transformers", "tags": ["hft"]}
    if report["task"] in _PIPELINE_TAGS:
        matter["pipeline_tag"] = report["task"]
    matter |= hub_keys(report)
    results = [
        {
            "task": {"type": report["task"] or "other"},
            "dataset": {"name": f"{report['name']} ({split})", "type": report["name"], "split": split},
            "metrics": [
                {"type": name, "value": round(value, 6)}
                for name, entry in figures.items()
                if "[" not in name and (value := entry.get("shipped", entry["value"])) is not None
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
    rows += [(plain(title), figure(entry["value"]), interval(entry)) for title, entry in baselines.items()]
    parts = [
        f"## Figures\n\nOn {plain(headline['split'])}; intervals: {plain(report['intervals'])}.",
        table(("", plain(headline["metric"]), "interval"), rows),
    ]
    if standing := verdict(headline, model, baselines):
        parts.append(plain(standing.sentence))
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
            rows.append((plain(split), plain(name), own, *beside))
    titles = [plain(BASELINES.get(name, name)) for name in report["baselines"]]
    return table(("split", "metric", "this model", *titles), rows)


def _evidence(report: Report) -> str:
    """Give what gates decided, and how fresh the test is."""
    parts = []
    if report["gates"]:
        rows = [tuple(map(plain, gate_row(gate))) for gate in report["gates"]]
        parts += [f"## What stays because it helps\n\n{plain(gate_basis(report))}", table(GATE_HEADS, rows)]
        parts += [plain(note) for gate in report["gates"] if (note := gate_notes(gate))]
    if sentence := scored_sentence(report):
        parts.append(plain(sentence))
    return "\n\n".join(parts)


def _data(report: Report) -> str:
    if not report["ledger"]:
        return ""
    rows = [
        (
            plain(source["name"]),
            count(source["read"]),
            count(source["kept"]),
            count(sum(source["quarantined"].values()) + sum(entry["rows"] for entry in source["dropped"])),
            count(sum(source["made"].values())),
            share(source["unknown_rate"]),
        )
        for source in report["ledger"]
    ]
    return "## Data\n\n" + table(("source", "read", "kept", "left out", "made", "unknown tokens"), rows)


def _training(report: Report) -> str:
    if not report["stages"]:
        return ""
    rows = [
        (plain(stage["name"]), plain(stage["kind"]), count(stage["steps"]), duration(stage["seconds"]))
        for stage in report["stages"]
    ]
    return "## Training\n\n" + table(("stage", "kind", "steps", "time"), rows)


def _scores(report: Report) -> str:
    """Give what the scores are worth."""
    if not (scores := report.get("scores")):
        return ""
    found = scores["calibration"]
    auc, average = (
        (figure(entry["value"]), interval(entry)) if entry else (figure(None), "")
        for entry in ranked_figures(scores["ranking"])
    )
    rows = [
        ("expected calibration error", figure(found["ece"]), f"by chance up to {figure(found['by_chance'])}"),
        ("Brier score", figure(found["brier"]["value"]), interval(found["brier"])),
        ("log loss", figure(found["log_loss"]["value"]), interval(found["log_loss"])),
        ("ROC AUC, mean over classes", *auc),
        ("average precision, mean over classes", *average),
    ]
    said = temperature_sentence(scores)
    return f"## Scores\n\n{table(('on ' + scores['split'], '', 'interval'), rows)}\n\n{plain(said)}"


def _exports(report: Report) -> str:
    """Give what exporters found, such as the parity of a bundle with its model."""
    parts = []
    for section in report["sections"]:
        parts.append(f"## {plain(section['title'])}")
        parts += [plain(section["text"])] if section["text"] else []
        if section["table"]:
            heads = list(section["table"][0])
            rows = [[plain(str(row[head])) for head in heads] for row in section["table"]]
            parts.append(table([plain(head) for head in heads], rows))
    return "\n\n".join(parts)


def _limits(report: Report) -> str:
    """Give warnings, the diagnosis and what the checks found, as limits of the model."""
    checks = [check for check in report["checks"] if check["severity"] in ("warning", "error")]
    titles = {check["title"] for check in checks}
    found = [f"- {plain(text)}" for text in report["warnings"] if text not in titles]  # those stand below with a reason
    found += [f"- {plain(check['title'])}: {plain(check['detail'])}" for check in checks]
    found += [f"- {plain(title(one))} ({plain(one['where'])}): {plain(one['evidence'])}" for one in report["diagnosis"]]
    return "## Limits\n\n" + "\n".join(found) if found else ""
