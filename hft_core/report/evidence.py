"""The part of the report about its own figures: what gates decided, comparisons with baselines, seeds, the test."""

from __future__ import annotations

from hft_core.report.card_origins import ablation_cell
from hft_core.report.content.evidence import Compared, Gate
from hft_core.report.content.report import Report
from hft_core.report.markup import Markup, element, joined
from hft_core.report.numbers import count, difference, figure, moment
from hft_core.report.summary import BASELINES
from hft_core.report.tables import table

GATE_HEADS = ("entry", "without", "with", "difference", "interval", "verdict")


def evidence(report: Report) -> Markup:
    """Give gates, comparisons, the figures of each seed, and how fresh the test is."""
    parts = [
        _gates(report),
        _ablation(report),
        _comparisons(report),
        _retained(report),
        _seeds(report),
        _scored(report),
    ]
    return joined([part for part in parts if part])


def gate_row(gate: Gate) -> tuple[str, ...]:
    """Give what became of an entry, as cells under `GATE_HEADS`."""
    if "difference" not in gate:
        stays = "stays" if gate["kept"] else "dropped"
        became = f"{gate['verdict']}: {stays}" if "diverged" in gate else "dropped with its stage"
        return (gate["title"], "–", "–", "–", "–", became)
    sides = (figure(sum(values) / len(values)) for values in (gate["without"], gate["with"]))
    spread = f"[{difference(gate['low'])}, {difference(gate['high'])}]"
    became = "stays" if gate["kept"] else "dropped"
    return (gate["title"], *sides, difference(gate["difference"]), spread, f"{gate['verdict']}: {became}")


def gate_notes(gate: Gate) -> str:
    """Say of an unproven entry what its gate could have seen, and what would settle it; of another, why it has no figures."""
    if "diverged" in gate:
        sides = {"without": "without it", "both": "both without and with it"}
        side = sides.get(gate.get("side", "with"), "with it")
        return f"{gate['title']}: training {side} diverged. {gate['diverged']}"
    if gate["verdict"] != "unproven":
        return ""
    if not gate["standard_error"]:
        return f"{gate['title']}: both sides give the same figures."
    needs = gate["settling"] or {}
    ways = [f"{count(number)} {of}" for of, number in needs.items() if number]
    settle = f" A difference of the size that was measured would take about {' or '.join(ways)}." if ways else ""
    return f"{gate['title']}: this gate could have seen a difference of {figure(gate['smallest'])}.{settle}"


def gate_basis(report: Report) -> str:
    """Say in words how the gates were decided."""
    first = next((gate for gate in report["gates"] if "difference" in gate), None)
    if first is None:
        return ""
    rows = f"{count(first['rows'])} rows"
    over = (
        f"by cross-validation over train and validation ({rows}, fold i with seed i)"
        if first["folds"]
        else f"on the same {rows} of validation, with the same {first['seeds']} seeds"
    )
    return (
        f"{first['metric']} of the recipe without and with each entry, in its order, {over}. What helps at 2.5 % (one-sided) "
        "stays, and all else is dropped. The test had no part in it."
    )


def _gates(report: Report) -> Markup:
    if not report["gates"]:
        return Markup("")
    kinds = ("text", "number", "number", "number", "short", "short")
    notes = [note for gate in report["gates"] if (note := gate_notes(gate))]
    return joined(
        [
            element("h3", "Gates: what stays because it helps"),
            element("p", gate_basis(report), class_="muted"),
            table(GATE_HEADS, kinds, [gate_row(gate) for gate in report["gates"]]),
            element("ul", *(element("li", note) for note in notes)) if notes else Markup(""),
        ]
    )


def _comparisons(report: Report) -> Markup:
    if not report["comparisons"]:
        return Markup("")
    first = report["comparisons"][0]
    heads, kinds = (
        ("baseline", "difference", "interval", "p", "corrected"),
        ("short", "number", "short", "number", "number"),
    )
    basis = (
        f"{first['metric']} on {first['split']}, this model's less the baseline's, row by row and seed by seed; p-values are "
        "two-sided, corrected together by Holm's method."
    )
    return joined(
        [
            element("h3", "Against the baselines"),
            element("p", basis, class_="muted"),
            table(heads, kinds, [_comparison(entry) for entry in report["comparisons"]]),
        ]
    )


def _ablation(report: Report) -> Markup:
    """Give what `hft ablate` found of the same recipe."""
    found = report.get("ablation")
    if not found:
        return Markup("")
    rows = [
        (part["title"], *(ablation_cell(part[way]) for way in ("leave_one_out", "add_one_in")))
        for part in found["parts"]
    ]
    basis = (
        f"{found['metric']} on validation over {found['seeds']} seeds: the whole recipe less that without the part, and what is "
        "left without any part with it less without. Intervals of 95 %; verdicts are corrected together by Holm's method."
    )
    heads, kinds = ("part", "in the whole", "alone"), ("text", "short", "short")
    return joined(
        [element("h3", "What each part is worth"), element("p", basis, class_="muted"), table(heads, kinds, rows)]
    )


def _retained(report: Report) -> Markup:
    """Give what became of tasks that the model knew before."""
    entries = report.get("retained")
    if not entries:
        return Markup("")
    rows = [
        (
            entry["task"],
            f"{entry['metric']} on {entry['split']}",
            figure(entry["before"]),
            figure(entry["after"]),
            difference(entry["difference"]),
            f"[{difference(entry['low'])}, {difference(entry['high'])}]",
        )
        for entry in entries
    ]
    heads = ("task", "figure", "before", "after", "difference", "interval")
    note = "Tasks that the model knew when the run began, measured on the same rows before and after: what fell was forgotten."
    kinds = ("short", "short", "number", "number", "number", "short")
    return joined([element("h3", "Before and after"), element("p", note, class_="muted"), table(heads, kinds, rows)])


def _comparison(entry: Compared) -> tuple[str, ...]:
    return (
        BASELINES.get(entry["baseline"], entry["baseline"]),
        difference(entry["difference"]),
        f"[{difference(entry['low'])}, {difference(entry['high'])}]",
        _p(entry["p"]),
        _p(entry["adjusted"]),
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _seeds(report: Report) -> Markup:
    rows = report["by_seed"]
    if not rows:
        return Markup("")
    splits = list(rows[0]["figures"])
    noted = any(row["one_class"] for row in rows)
    heads = ("seed", *splits, *(["note"] if noted else []))
    cells = [
        (
            str(row["seed"]),
            *(figure(row["figures"][split]) for split in splits),
            *(["gives every row the same label" if row["one_class"] else ""] if noted else []),
        )
        for row in rows
    ]
    kinds = ("short", *["number"] * len(splits), *(["text"] if noted else []))
    return joined([element("h3", "Each seed"), table(heads, kinds, cells)])


def scored_sentence(report: Report) -> str:
    """Say when the test labels were scored, and how many runs did so before."""
    scored = report["scored"]
    if scored is None:
        return ""
    earlier = scored["earlier"]
    before = {0: "No earlier run", 1: "One earlier run"}.get(earlier, f"{count(earlier)} earlier runs")
    caution = " The more of them were chosen by it, the less it says." if earlier else ""
    once = f"The test labels were scored once, at the end, on {moment(scored['when'])}"
    return f"{once}. {before} of this store scored the same ones.{caution}"


def _scored(report: Report) -> Markup:
    sentence = scored_sentence(report)
    return joined([element("h3", "The test"), element("p", sentence)]) if sentence else Markup("")
