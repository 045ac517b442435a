"""Preparation: splits by hash, cleaning, variants, the ledger, and what is looked for in the rows."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from hft_core import Augmenter, Columns, DataError, Edit, PluginError, Roles, RowFilter, TextCleaner
from hft_core.data.augmentation import augment_split, with_variants
from hft_core.data.cleaning import clean_texts, edited
from hft_core.data.ledger import Ledger
from hft_core.data.prepare import prepare_held_out, prepare_text, prepare_train, shares_of
from hft_core.data.prepared import Prepared, bound_task
from hft_core.data.split_checks import check_splits
from hft_core.data.splitting import assign
from hft_core.data.table import ROW, VARIANT, count_rows, read_all, read_columns, read_table, write_table
from hft_core.recipe.model import Split
from hft_plugins.augmenters.random_swap import RandomSwap
from hft_plugins.cleaners.duplicates import ExactDuplicates
from hft_plugins.cleaners.html import HtmlCleaner
from hft_plugins.cleaners.length import LengthFilter
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.text import TextReader
from hft_plugins.text_classification.task import TextClassification

ROLES = Roles(text=("text",), target=("label",))
TASK = TextClassification(type="text-classification")
QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart" / "data"


def write(file: Path, rows: list[tuple[str, str]]) -> CsvReader:
    lines = ["text,label", *(f'"{text}",{label}' for text, label in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return CsvReader(type="csv", path=file)


def many(count: int, seed: int = 0) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    return [
        (f"{' '.join(draw.choices(words, k=6))} {seed}-{n}", draw.choice(["no", "yes", "yes"])) for n in range(count)
    ]


@dataclass
class Whole:
    """All splits of a task, as the nodes of a plan leave them."""

    train: Prepared
    parts: dict[str, Prepared]

    @property
    def facts(self) -> Any:
        return self.train.facts

    @property
    def ledger(self) -> dict[str, Any]:
        return {split: part.ledger[split] for split, part in self.parts.items()}

    @property
    def checks(self) -> list[Any]:
        keys = {split: np.concatenate(list(part.text_keys(split))) for split, part in self.parts.items()}
        own = [check for part in {id(part): part for part in self.parts.values()}.values() for check in part.checks]
        return own + check_splits(keys, {})

    def file(self, split: str) -> Path:
        return self.parts[split].file(split)


def prepare_all(
    folder: Path,
    task: Any,
    sources: dict[str, Any],
    split: Any = None,
    clean: Any = (),
    augment: Any = (),
    seed: int = 0,
) -> Whole:
    out = folder / "out"
    out.mkdir()
    prepare_train(task, sources["train"], shares_of(split, list(sources)), clean, out)
    train = Prepared.load(out)
    parts = dict.fromkeys(train.ledger, train)
    for name in sources.keys() - {"train"}:
        held = folder / f"out-{name}"
        held.mkdir()
        prepare_held_out(bound_task(task, train), train.facts, sources[name], name, clean, held)
        parts[name] = Prepared.load(held)
    if augment:
        augmented = folder / "augmented.arrow"
        note = augment_split(train.file("train"), augment, train.roles, seed, augmented)
        augmented.replace(train.file("train"))
        train.ledger["train"]["made"] = note["made"]
    return Whole(train, {name: parts[name] for name in ("train", "validation", "test") if name in parts})


def prepare(tmp_path: Path, rows: list[tuple[str, str]], **options: Any) -> Whole:
    sources = {"train": write(tmp_path / "train.csv", rows)} | options.pop("more", {})
    return prepare_all(tmp_path, TASK, sources, **options)


def texts(prepared: Any, split: str) -> list[str]:
    return list(read_all(prepared.file(split))["text"])


# ---- splitting ----


def test_copies_of_a_text_stay_together_and_labels_are_stratified(tmp_path: Path) -> None:
    rows = many(600)
    copies = [(text.upper(), label) for text, label in rows[:100]] + [
        (f"  {text} ", label) for text, label in rows[50:120]
    ]
    prepared = prepare(tmp_path, rows + copies, split=Split(validation=0.2, test=0.1))
    split_of: dict[str, set[str]] = {}
    counts: dict[str, Counter[str]] = {}
    for split in ("train", "validation", "test"):
        columns = read_all(prepared.file(split))
        counts[split] = Counter(columns["label"])
        for text in columns["text"]:
            split_of.setdefault(" ".join(text.casefold().split()), set()).add(split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert sum(count.total() for count in counts.values()) == 770
    whole = sum(counts.values(), Counter())
    for split, share in (("validation", 0.2), ("test", 0.1)):
        for label in ("no", "yes"):  # to within a group of copies
            assert counts[split][label] == pytest.approx(share * whole[label], abs=3)


def by_label(columns: dict[str, list[str]]) -> list[str]:
    return columns["label"]


def test_the_split_is_a_function_of_the_texts(tmp_path: Path) -> None:
    rows = many(300)
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    chosen = assign([columns], ROLES, {"validation": 0.1}, by_label)
    order = random.Random(1).sample(range(300), 300)
    shuffled = {name: [values[index] for index in order] for name, values in columns.items()}
    parts = [{name: values[start : start + 77] for name, values in shuffled.items()} for start in range(0, 300, 77)]
    again = assign(parts, ROLES, {"validation": 0.1}, by_label)
    assert again.tolist() == chosen[order].tolist()
    assert 20 < np.count_nonzero(chosen) < 40
    # Rows that are added later move few of the others.
    more = many(60, seed=9)
    grown = {"text": columns["text"] + [t for t, _ in more], "label": columns["label"] + [label for _, label in more]}
    moved = sum(
        new != old for new, old in zip(assign([grown], ROLES, {"validation": 0.1}, by_label), chosen, strict=False)
    )
    assert moved < 15


def test_without_a_validation_source_ten_percent_of_train_is_set_aside(tmp_path: Path) -> None:
    ledger = prepare(tmp_path, many(400)).ledger
    assert ledger["validation"]["read"] == ledger["train"]["moved"] == pytest.approx(40, abs=1)
    assert ledger["train"]["kept"] + ledger["validation"]["kept"] == 400


def test_a_source_is_not_split_again(tmp_path: Path) -> None:
    validation = write(tmp_path / "dev.csv", many(30, seed=5))
    ledger = prepare(tmp_path, many(200), more={"validation": validation}).ledger
    assert (ledger["train"]["moved"], ledger["train"]["kept"], ledger["validation"]["kept"]) == (0, 200, 30)


# ---- the ledger ----


def test_the_ledger_adds_up_for_every_split(tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = many(300)
    rows += draw.sample(rows, 20)  # copies
    rows += [("", "no")] * 3 + [("a text", "")] * 2 + [("<p></p>", "yes")] * 4 + [("x" * 200, "no")] * 2
    clean = [
        HtmlCleaner(type="html"),
        ExactDuplicates(type="exact-duplicates"),
        LengthFilter(type="length", maximum=100),
    ]
    prepared = prepare(tmp_path, rows, clean=clean, augment=[RandomSwap(type="random-swap", rate=0.5, copies=2)])
    for split, ledger in prepared.ledger.items():
        lost = sum(ledger["quarantined"].values()) + sum(ledger["dropped"].values()) + ledger["moved"]
        assert ledger["read"] == ledger["kept"] + lost
        assert count_rows(prepared.file(split)) == ledger["kept"] + sum(ledger["made"].values())
    train = prepared.ledger["train"]
    assert train["read"] == len(rows)
    assert train["quarantined"] == {"empty-text": 3, "empty-label": 2}
    assert train["dropped"].keys() <= {
        "exact-duplicates: duplicate", "exact-duplicates: label-conflict", "length: too-long", "empty-after-cleaning",
    }  # fmt: skip
    assert train["made"]["random-swap"] > 0
    assert train["touched"]["html"] > 0
    assert len((prepared.train.folder / "quarantine.jsonl").read_text("utf-8").splitlines()) == 5
    assert not list(prepared.train.folder.glob("*.filtered")) + list(prepared.train.folder.glob("*.plain"))


def test_rows_keep_their_number_through_everything(tmp_path: Path) -> None:
    rows = [("", "no"), *many(200), ("kept to the end", "yes")]
    validation = write(tmp_path / "dev.csv", many(30, seed=5))
    clean = [LengthFilter(type="length", minimum=3)]
    prepared = prepare(
        tmp_path, rows, clean=clean, augment=[RandomSwap(type="random-swap")], more={"validation": validation}
    )
    columns = read_all(prepared.file("train"))
    found = list(zip(columns[ROW], columns["text"], columns[VARIANT], strict=True))
    originals = {row: text for row, text, variant in found if not variant}
    # The line in the file: the header is line 1.
    assert originals == {line: text for line, (text, _) in enumerate(rows, 2) if text}
    for row, text, variant in found:
        if variant:
            assert sorted(text.split()) == sorted(originals[row].split())  # a variant of its parent


def test_the_label_map_is_frozen_in_natural_order(tmp_path: Path) -> None:
    rows = [(f"text {n}", str(label)) for n, label in enumerate([10, 9, 1, 2, 10, "b", "a"] * 9)]
    facts = prepare(tmp_path, rows).facts
    assert facts["labels"] == ["1", "2", "9", "10", "a", "b"]
    assert sum(facts["counts"]) <= 63


# ---- cleaning and augmentation ----


def test_spans_move_with_the_edits_of_their_text() -> None:
    roles = Roles(text=("text",), spans=("tags",), protected=("tags",))
    text = "see <b>New York</b> &amp; Rome"
    columns: Columns = {
        "text": [text, "Rome"],
        "tags": [
            [[text.index("New"), text.index("New") + 8, "city"], [len(text) - 4, len(text), "city"]],
            [[0, 4, "city"]],
        ],
        ROW: [0, 1],
    }
    [cleaned] = clean_texts([columns], [HtmlCleaner(type="html")], roles, Ledger(), drop_empty=True)
    found = [
        [(text[start:end], kind) for start, end, kind in tags]
        for text, tags in zip(cleaned["text"], cleaned["tags"], strict=True)
    ]
    assert found == [[("New York", "city"), ("Rome", "city")], [("Rome", "city")]]


class Vandal(Augmenter):
    """Replaces every word by XX, whatever is protected."""

    type: Literal["vandal"]

    def edits(self, texts: Any, spans: Any, random: Any) -> list[list[Edit]]:
        return [[Edit(*match.span(), "XX") for match in re.finditer(r"\w+", text)] for text in texts]


def test_an_edit_that_touches_a_protected_span_is_refused() -> None:
    roles = Roles(text=("text",), spans=("tags",), protected=("tags",))
    columns: Columns = {"text": ["to New York by train"], "tags": [[[3, 11, "city"]]], ROW: [0]}
    original, variant = with_variants([columns], [Vandal(type="vandal")], roles, 0, Ledger())
    assert original["text"] == ["to New York by train"]
    assert variant["text"] == ["XX New York XX XX"]
    assert variant["tags"] == [[[3, 11, "city"]]]


def test_an_insertion_shifts_what_follows() -> None:
    roles = Roles(text=("text",), spans=("tags",))
    columns: Columns = {"text": ["ab cd"], "tags": [[[3, 5]]]}
    swap = RandomSwap(type="random-swap", rate=0.4)
    made = edited(columns, "text", [[Edit(0, 0, ">>> ")]], roles, swap)
    assert made == {"text": [">>> ab cd"], "tags": [[[7, 9]]]}


@pytest.mark.parametrize("edits", [[[Edit(0, 9, "x")]], [[Edit(0, 2, "a"), Edit(1, 3, "b")]], []])
def test_edits_that_do_not_fit_name_who_made_them(edits: list[list[Edit]]) -> None:
    swap = RandomSwap(type="random-swap", rate=0.4)
    with pytest.raises(PluginError, match="augmenter 'random-swap' gave edits that do not fit"):
        edited({"text": ["ab cd"]}, "text", edits, None, swap)


def test_a_variant_is_a_function_of_seed_and_row_only() -> None:
    rows = many(200)
    columns: Columns = {
        "text": [text for text, _ in rows],
        "label": [label for _, label in rows],
        ROW: list(range(200)),
    }
    swap = RandomSwap(type="random-swap", rate=0.4, copies=2)

    def variants(batches: Iterator[Columns] | list[Columns], seed: int = 7) -> dict[tuple[int, int], str]:
        made = {}
        for batch in with_variants(batches, [swap], ROLES, seed, Ledger()):
            made |= {
                (row, v): text for row, v, text in zip(batch[ROW], batch[VARIANT], batch["text"], strict=True) if v
            }
        return made

    whole = variants([columns])
    parts = [{name: values[start : start + 33] for name, values in columns.items()} for start in range(0, 200, 33)]
    assert variants(list(reversed(parts))) == whole
    only = [{name: values[120:121] for name, values in columns.items()}]
    assert variants(only) == {key: text for key, text in whole.items() if key[0] == 120}
    assert variants([columns], seed=8) != whole
    assert (
        len({whole[row, 1] == whole.get((row, 2)) for row in range(200) if (row, 1) in whole}) == 2
    )  # the copies differ


class Failing(RowFilter):
    """Drops by a rule; test rows never reach it."""

    type: Literal["failing"]
    seen: ClassVar[list[int]] = []

    def reasons(self, batches: Any, roles: Roles) -> Iterator[list[str | None]]:
        for batch in batches:
            self.seen.append(len(batch["text"]))
            yield [None if index % 2 else "even" for index in range(len(batch["text"]))]


def test_row_filters_see_the_training_split_only(tmp_path: Path) -> None:
    Failing.seen.clear()
    test = write(tmp_path / "test.csv", many(50, seed=4))
    ledger = prepare(tmp_path, many(200), clean=[Failing(type="failing")], more={"test": test}).ledger
    assert ledger["test"]["kept"] == 50
    assert sum(Failing.seen) == 200 - ledger["train"]["moved"]
    assert ledger["train"]["dropped"] == {"failing: even": sum(Failing.seen) // 2}


class Upper(TextCleaner):
    """Not a repair, but visible."""

    type: Literal["upper"]
    runtime: ClassVar[str] = "nowhere"

    def edits(self, texts: Any) -> list[list[Edit]]:
        return [[Edit(0, len(text), text.upper())] for text in texts]


def test_text_cleaners_see_every_split(tmp_path: Path) -> None:
    test = write(tmp_path / "test.csv", many(20, seed=4))
    prepared = prepare(tmp_path, many(100), clean=[Upper(type="upper")], more={"test": test})
    for split in ("train", "validation", "test"):
        assert all(text.isupper() for text in texts(prepared, split))
    assert not any(text.isupper() for text in prepared.train.raw("validation")["text"])  # what a user would give


# ---- checks ----


def checked(prepared: Whole) -> dict[str, str]:
    return {check["title"]: check["severity"] for check in prepared.checks}


def test_leakage_conflicts_and_copies_are_counted(tmp_path: Path) -> None:
    rows = many(300)
    test = write(tmp_path / "test.csv", many(95, seed=4) + [(text.title(), label) for text, label in rows[:5]])
    dev = write(tmp_path / "dev.csv", many(199, seed=5) + many(1, seed=4))
    conflicts = [(text, "no" if label == "yes" else "yes") for text, label in rows[10:13]]
    prepared = prepare(tmp_path, rows + conflicts + rows[20:22], more={"validation": dev, "test": test})
    found = checked(prepared)
    assert found["Leakage: 5 of 100 test rows stand in train too"] == "error"
    assert found["Leakage: 1 of 100 test rows stand in validation too"] == "warning"
    assert found["5 repeated rows in train"] == "info"
    assert found["3 texts of train with conflicting labels"] == "warning"


def test_clean_data_is_said_to_be_clean(tmp_path: Path) -> None:
    dev = write(tmp_path / "dev.csv", many(150, seed=5))
    found = checked(prepare(tmp_path, many(300), more={"validation": dev}))
    assert found.pop("No text stands in two splits") == "ok"
    assert all(title.startswith("Class balance") for title in found)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """The quickstart's data without any cleaner but the removal of copies."""
    out = tmp_path_factory.mktemp("quickstart")
    files = {"train": "train.csv", "validation": "dev.csv", "test": "test.csv"}
    sources = {name: CsvReader(type="csv", path=QUICKSTART / file) for name, file in files.items()}
    task = TextClassification(type="text-classification", text="review", label="sentiment")
    return prepare_all(out, task, sources, clean=[ExactDuplicates(type="exact-duplicates")])


def table() -> dict[str, list[str]]:
    """The rows of the table in the README of the quickstart's data: what, and the cells of train, dev, test."""
    lines = (QUICKSTART / "README.md").read_text("utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row[1:] for row in cells[2:]}


def test_the_quickstarts_data_is_what_its_readme_says(quickstart: Whole) -> None:
    said = table()
    ledger = quickstart.ledger
    assert [str(ledger[split]["read"]) for split in ("train", "validation", "test")] == said["rows, all told"][:3]
    [empty] = [cells for what, cells in said.items() if what.startswith("rows with empty text")]
    texts_missing, labels_missing = map(int, empty[0].split(" / "))
    assert ledger["train"]["quarantined"] == {"empty-text": texts_missing, "empty-label": labels_missing}
    exact = next(
        int(cells[0]) for what, cells in said.items() if what.startswith("extra rows that copy another exactly")
    )
    alike = next(int(cells[0]) for what, cells in said.items() if "up to case or whitespace" in what)
    conflicts = next(
        int(cells[0]) for what, cells in said.items() if what.startswith("texts that occur twice with conf")
    )
    assert ledger["train"]["dropped"] == {
        "exact-duplicates: duplicate": exact + alike,
        "exact-duplicates: label-conflict": 2 * conflicts,
    }
    assert ledger["validation"]["dropped"] == ledger["test"]["dropped"] == {}


def test_the_quickstarts_leak_is_found(quickstart: Whole) -> None:
    leaks = next(int(cells[2]) for what, cells in table().items() if "(leak)" in what)
    found = checked(quickstart)
    assert found[f"Leakage: {leaks} of 130 test rows stand in train too"] in ("warning", "error")
    assert len([title for title in found if title.startswith("Leakage")]) == 1
    assert found["1 text of train with conflicting labels"] == "warning"


# ---- unlabelled text, and tables ----


def test_text_takes_the_column_with_the_text(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    reader = write(tmp_path / "a.csv", many(20))
    prepare_text(reader, "corpus", [ExactDuplicates(type="exact-duplicates")], tmp_path / "out")
    assert len(read_all(tmp_path / "out" / "text.arrow")["text"]) == 20


def test_text_without_a_usable_row(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short\n" * 3, encoding="utf-8")
    (tmp_path / "out").mkdir()
    reader = TextReader(type="text", path=tmp_path / "a.txt")
    with pytest.raises(DataError, match="no usable row is left after cleaning"):
        prepare_text(reader, "corpus", [LengthFilter(type="length", minimum=100)], tmp_path / "out")


def test_tables_keep_values_and_batches(tmp_path: Path) -> None:
    file = tmp_path / "a.arrow"
    batches: list[Columns] = [
        {"text": ["a", None], "n": [1, 2], "tags": [[[0, 1]], []]},
        {"text": ["好", "😀"], "n": [3, None], "tags": [[], [[2, 3], [4, 5]]]},
    ]
    assert write_table(file, iter(batches)) == 4
    assert count_rows(file) == 4
    assert read_all(file) == {
        "text": ["a", None, "好", "😀"],
        "n": [1, 2, 3, None],
        "tags": [[[0, 1]], [], [], [[2, 3], [4, 5]]],
    }
    assert [len(batch["n"]) for batch in read_table(file, 3)] == [3, 1]
    assert list(read_columns(file, ["n"])) == [{"n": batch["n"]} for batch in batches]
    assert list(read_columns(file.with_name("none.arrow"), ["n"])) == []
    assert count_rows(tmp_path / "none") == 0
    assert write_table(tmp_path / "none", iter([])) == 0
    assert not (tmp_path / "none").exists()


def test_values_of_several_types_become_text_or_an_error(tmp_path: Path) -> None:
    write_table(tmp_path / "a", [{"x": ["a", 1, None, 2.5]}])
    assert read_all(tmp_path / "a")["x"] == ["a", "1", None, "2.5"]
    write_table(tmp_path / "b", [{"x": ["a"]}, {"x": [1]}])
    assert read_all(tmp_path / "b")["x"] == ["a", "1"]
    with pytest.raises(DataError, match="the column 'x' begins with numbers but has other values later"):
        write_table(tmp_path / "c", [{"x": [1]}, {"x": ["a"]}])
    with pytest.raises(DataError, match="the column 'y' is missing in a later part"):
        write_table(tmp_path / "d", [{"x": [1], "y": [1]}, {"x": [1]}])


def test_prepared_is_plain_json(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, many(200))
    content = json.loads((prepared.train.folder / "prepared.json").read_text("utf-8"))
    assert content["bound"] == {"text": "text", "label": "label"}
    named = {role: columns for role, columns in content["roles"].items() if columns}
    assert named == {"text": ["text"], "target": ["label"]}
    assert np.sum(content["facts"]["counts"]) == content["ledger"]["train"]["kept"]


def test_the_columns_that_are_given_are_not_changed(reviews: Callable[..., Any]) -> None:
    """Cleaning and augmenting make new columns."""
    columns: Columns = {"text": [row["review"] for row in reviews(10)], "label": ["a"] * 10, ROW: list(range(10))}
    before = json.dumps(columns)
    list(with_variants([columns], [RandomSwap(type="random-swap", rate=0.9)], ROLES, 0, Ledger()))
    list(clean_texts([columns], [HtmlCleaner(type="html")], ROLES, Ledger(), drop_empty=True))
    assert json.dumps(columns) == before


def test_a_lists_type_shows_with_the_first_one_that_is_not_empty(tmp_path: Path) -> None:
    """A tagging file may begin with thousands of rows without an entity."""
    entity = {"start": 0, "end": 1, "type": "x"}
    batches = [{"spans": [[], []]}, {"spans": [None, []]}, {"spans": [[], [entity]]}, {"spans": [[entity]]}]
    assert write_table(tmp_path / "a", batches) == 7
    assert read_all(tmp_path / "a")["spans"] == [[], [], None, [], [], [entity], [entity]]
    assert write_table(tmp_path / "b", [{"spans": [[]]}]) == 1
    assert read_all(tmp_path / "b")["spans"] == [[]]
