"""Variants as the engine makes them of rows: checked, in processes, and with their spans."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from hft_core import Augmenter, Columns, Edit, PluginError, Roles, RowRandom, Spans, Training
from hft_core.data.augmentation import augment_split, with_variants
from hft_core.data.ledger import Ledger
from hft_core.data.table import ROW, VARIANT, read_all, write_table
from hft_core.evidence.judge import tfidf_judge
from hft_core.registry import load_registry
from hft_core.training.stopping import watch


def test_the_check_drops_what_flips(tmp_path: Path) -> None:
    good, bad = "superb warm lovely", "dull cold awful"
    texts = [f"{good if row % 2 else bad} film number {row}" for row in range(80)]
    columns: Columns = {"text": texts, "label": [str(row % 2) for row in range(80)], ROW: list(range(80))}
    source = tmp_path / "train.arrow"
    write_table(source, [columns | {VARIANT: [0] * 80}])
    table = tmp_path / "t.tsv"
    opposite = zip(good.split(), bad.split(), strict=True)
    table.write_text("".join(f"{one}\t{other}\n{other}\t{one}\n" for one, other in opposite) + "film\tmovie\n")
    kind = load_registry().classes("augmenter")["synonyms"]
    settings = {"type": "synonyms", "table": table, "rate": 1.0, "check": "tfidf", "keep_labels": False}
    roles = Roles(text=("text",), target=("label",))
    training = Training(lambda: iter([columns]), roles, "label")
    judge = tfidf_judge(training)
    note = augment_split(
        source, [kind.model_validate(settings)], roles, 0, tmp_path / "out.arrow", training, lambda _: judge
    )
    assert note["made"] == {"synonyms": 0}
    assert note["checked"] == {"synonyms": {"compared": 80, "dropped": 80}}
    harmless = kind.model_validate(settings | {"protect": (good + " " + bad).split()})
    note = augment_split(source, [harmless], roles, 0, tmp_path / "out.arrow", training, lambda _: judge)
    assert note["made"] == {"synonyms": 80}
    assert note["checked"] == {"synonyms": {"compared": 80, "dropped": 0}}


@pytest.mark.parametrize("wrong", [None, [None], [[], []], "ab"])
def test_a_plugin_that_gives_no_edits_is_named(wrong: Any, tmp_path: Path) -> None:
    class Wrong(Augmenter):
        """Gives something else."""

        type: Literal["wrong"]

        def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
            result: list[list[Edit]] = wrong
            return result

    source = tmp_path / "train.arrow"
    write_table(source, [{"text": ["a"], ROW: [0], VARIANT: [0]}])
    with pytest.raises(PluginError, match="augmenter 'wrong' gave edits that do not fit"):
        augment_split(source, [Wrong(type="wrong")], Roles(text=("text",)), 0, tmp_path / "out.arrow")


def test_processes_make_the_same_variants(tmp_path: Path) -> None:
    rows = 10_000
    texts = [f"the movie number {row} seems long . it helps" for row in range(rows)]
    source = tmp_path / "train.arrow"
    write_table(
        source,
        (
            {"text": texts[at : at + 500], ROW: list(range(at, at + 500)), VARIANT: [0] * 500}
            for at in range(0, rows, 500)
        ),
    )
    classes = load_registry().classes("augmenter")
    both = [classes[name].model_validate({"type": name, "copies": 2}) for name in ("synonyms", "random-swap")]
    roles = Roles(text=("text",))
    notes, tables = [], []
    for workers in (0, 2):
        notes.append(augment_split(source, both, roles, 3, tmp_path / f"{workers}.arrow", workers=workers))
        tables.append((tmp_path / f"{workers}.arrow").read_bytes())
    assert tables[0] == tables[1]
    assert notes[0] == notes[1]
    assert notes[0]["made"]["synonyms"] == 2 * rows


def test_relation_markers_stay() -> None:
    text = "the << old movie >> helps the [[ long story ]] seems"
    columns: Columns = {"text": [text] * 40, ROW: list(range(40))}
    classes = load_registry().classes("augmenter")
    for name in ("synonyms", "random-swap", "random-insert", "random-delete", "punctuation", "character-noise"):
        augmenter = classes[name].model_validate({"type": name, "rate": 1.0})
        _, variants = with_variants([columns], [augmenter], Roles(text=("text",)), 0, Ledger())
        assert set(variants["text"]) != {text}, name
        for after in variants["text"]:
            assert "<< old movie >>" in after, name
            assert "[[ long story ]]" in after, name


def test_entities_are_replaced_by_others_of_their_type() -> None:
    texts = ["Ann went to Rome", "Bob left Paris", "张三去北京了"]
    tags = [
        [{"start": 0, "end": 3, "type": "who"}, {"start": 12, "end": 16, "type": "where"}],
        [[0, 3, "who"], [9, 14, "where"]],
        [[0, 2, "who"], [3, 5, "where"], [4, 5, "inner"]],
    ]
    # Dicts and lists do not mix in one table, so each form is a batch of its own.
    roles = Roles(text=("text",), spans=("tags",), protected=("tags",))
    batches = [
        {"text": [text], "tags": [own], ROW: [row]} for row, (text, own) in enumerate(zip(texts, tags, strict=True))
    ]
    swap = (
        load_registry()
        .classes("augmenter")["entity-swap"]
        .model_validate({"type": "entity-swap", "rate": 1.0, "copies": 4})
    )
    training = Training(lambda: iter(batches), roles)
    pools = {"who": {"Ann", "Bob", "张三"}, "where": {"Rome", "Paris", "北京"}, "inner": {"京"}}
    for batch in with_variants(batches, [swap], roles, 1, Ledger(), training):
        for text, own in zip(batch["text"], batch["tags"], strict=True):
            for tag in own:
                start, end, kind = (tag["start"], tag["end"], tag["type"]) if isinstance(tag, dict) else tag
                assert text[start:end] in pools[kind]
            if batch[VARIANT][0]:
                assert text not in texts
    assert "北京" in list(with_variants(batches[2:], [swap], roles, 1, Ledger(), training))[1]["text"][0]


def spans_of(data: Path) -> Iterator[Columns]:
    """Texts with their answers or entities: XQuAD in three languages, WNUT 17, resume_ner."""
    texts: list[str] = []
    spans: list[list[list[Any]]] = []
    for file in sorted((data / "xquad").glob("*.json")):
        for article in json.loads(file.read_text("utf-8"))["data"]:
            for paragraph in article["paragraphs"][:1]:
                answers = {
                    (a["answer_start"], a["answer_start"] + len(a["text"]))
                    for qa in paragraph["qas"]
                    for a in qa["answers"]
                }
                texts.append(paragraph["context"])
                spans.append([[*span, "answer"] for span in sorted(answers)])
    for file, join in ((data / "wnut17" / "wnut17train.conll", " "), (data / "resume_ner" / "dev.char.bmes", "")):
        for block in re.split(r"\n\s*\n", file.read_text("utf-8")):
            text, own = "", []
            for line in block.splitlines():
                word, _, tag = line.replace("\t", " ").partition(" ")
                if tag and tag != "O":
                    kind = tag.partition("-")[2]
                    if tag[0] in "BS" or not own:
                        own.append([len(text), len(text) + len(word), kind])
                    else:
                        own[-1][1] = len(text) + len(word)
                text += word + join
            if own:
                texts.append(text)
                spans.append(own)
    for start in range(0, len(texts), 1000):
        part = slice(start, start + 1000)
        rows = range(start, start + len(texts[part]))
        yield {"text": texts[part], "spans": spans[part], ROW: list(rows)}


@pytest.mark.slow
def test_no_span_breaks_in_100_000_augmentations(data_dir: Path, folders: dict[str, Path]) -> None:
    roles = Roles(text=("text",), spans=("spans",), protected=("spans",))
    batches = list(spans_of(data_dir))
    classes = load_registry().classes("augmenter")
    lexical = [
        {"type": "synonyms", "rate": 0.3},
        {"type": "synonyms", "rate": 0.3, "table": folders["zh.tsv"]},
        {"type": "random-swap", "rate": 0.3},
        {"type": "random-insert", "rate": 0.2},
        {"type": "random-delete", "rate": 0.3},
        {"type": "punctuation"},
        {"type": "character-noise", "rate": 0.3},
        {"type": "character-noise", "rate": 0.3, "table": folders["sounds.tsv"]},
        {"type": "sentence-order"},
        {"type": "entity-swap", "rate": 1.0},
    ]
    augmenters = [classes[own["type"]].model_validate(own | {"copies": 11}) for own in lexical]
    training = Training(lambda: iter(batches), roles)
    made = broken = swapped = 0
    for batch in batches:
        before = {row: (text, own) for row, text, own in zip(batch[ROW], batch["text"], batch["spans"], strict=True)}
        for variants in with_variants([batch], augmenters, roles, 0, Ledger(), training):
            if variants[VARIANT][0] == 0:
                continue
            entity = variants[VARIANT][0] > 99
            for row, text, own in zip(variants[ROW], variants["text"], variants["spans"], strict=True):
                old, old_spans = before[row]
                made += 1
                for (start, end, kind), (first, last, old_kind) in zip(own, old_spans, strict=True):
                    same = text[start:end] == old[first:last]
                    swapped += not same and entity
                    broken += kind != old_kind or not (same or entity) or not text[start:end].strip()
    assert made >= 100_000
    assert broken == 0
    assert swapped > 1000


def test_processes_can_be_ended_while_a_request_to_stop_is_watched_for(tmp_path: Path) -> None:
    """A pool ends its processes by SIGTERM, which a run notes and does not follow; they inherit what notes it."""

    class Tells(Augmenter):
        """Says what SIGTERM does."""

        type: Literal["tells"]

        def edits(self, texts: Sequence[str], spans: Sequence[Spans], random: RowRandom) -> list[list[Edit]]:
            ends = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            return [[Edit(0, 0, f"{ends} {os.getpid()} ")] for _ in texts]

    rows = list(range(2000))
    write_table(tmp_path / "train.arrow", [{"text": ["a"] * 2000, ROW: rows, VARIANT: [0] * 2000}])
    with watch(print):
        augment_split(
            tmp_path / "train.arrow", [Tells(type="tells")], Roles(text=("text",)), 0, tmp_path / "out.arrow", workers=2
        )
    told = {text for text in read_all(tmp_path / "out.arrow")["text"] if text != "a"}
    assert told
    assert all(text.startswith("True ") and str(os.getpid()) not in text for text in told)
