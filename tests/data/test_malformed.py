"""Ten thousand malformed rows of many kinds: each is accounted for, the sums match, and nothing raises."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hft_core import Columns, DataError, Reader, Refusal
from hft_core.data.ledger import Ledger, Quarantine
from hft_core.data.prepare import prepare_train, shares_of
from hft_core.data.reading import read_source
from hft_plugins.readers.conll import ConllReader
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.squad import SquadReader
from hft_plugins.readers.text import TextReader
from hft_plugins.text_classification.task import TextClassification
from hft_plugins.token_classification.task import TokenClassification

# A record is made of a mark, by which it is found again, and a text; each kind has the reason that it is refused for.
Kinds = dict[str, tuple[str, Callable[[bytes], bytes]]]

CSV: Kinds = {
    "a field too few": ("wrong-field-count", lambda text: text),
    "a field too many": ("wrong-field-count", lambda text: text + b",pos,more"),
    "another delimiter": ("wrong-field-count", lambda text: text + b";pos"),
    "a tab as delimiter": ("wrong-field-count", lambda text: text + b"\tpos"),
    "a quote that is not closed": ("unclosed-quote", lambda text: b'"' + text + b",pos"),
    "a quote in the label": ("unclosed-quote", lambda text: text + b',"pos'),
    "words after a quote": ("stray-quote", lambda text: b'"' + text + b'" he said,pos'),
    "a byte that is never UTF-8": ("invalid-utf8", lambda text: text + b"\xff,pos"),
    "a character cut short": ("invalid-utf8", lambda text: text + b"\xe6\x96,pos"),
    "an overlong character": ("invalid-utf8", lambda text: text + b"\xc0\xaf,pos"),
    "half a character": ("invalid-utf8", lambda text: text + b"\xed\xa0\x80,pos"),
    "NUL": ("nul-byte", lambda text: text + b"\0,pos"),
    "no text": ("empty-text", lambda text: b"," + text),
    "a text of spaces": ("empty-text", lambda text: " \u3000\u00a0,".encode() + text),
    "no label": ("empty-label", lambda text: text + b","),
    "a label of spaces": ("empty-label", lambda text: text + b',"  "'),
}
JSONL: Kinds = {
    "an object cut short": ("invalid-json", lambda text: b'{"text": "' + text),
    "single quotes": ("invalid-json", lambda text: b"{'text': '" + text + b"'}"),
    "a comma too many": ("invalid-json", lambda text: b'{"text": "' + text + b'", "label": "pos",}'),
    "two objects": ("invalid-json", lambda text: b'{"text": "' + text + b'"} {}'),
    "NaN": ("invalid-json", lambda text: b'{"label": NaN, "text": "' + text + b'"}'),
    "a key twice": ("invalid-json", lambda text: b'{"text": "a", "label": "pos", "text": "' + text + b'"}'),
    "a number without end": ("invalid-json", lambda text: b'{"text": "' + text + b'", "label": ' + b"9" * 5000 + b"}"),
    "brackets without end": ("invalid-json", lambda text: b"[" * 100_000 + text),
    "a control character": ("invalid-json", lambda text: b'{"label": "pos", "text": "\x01' + text + b'"}'),
    "a comment": ("invalid-json", lambda text: b"// " + text),
    "a list": ("not-an-object", lambda text: b'["' + text + b'", "pos"]'),
    "a word": ("not-an-object", lambda text: b'"' + text + b'"'),
    "half of a pair": ("lone-surrogate", lambda text: b'{"label": "pos", "text": "\\ud83d ' + text + b'"}'),
    "another encoding": ("invalid-utf8", lambda text: b'{"label": "\xb2\xee", "text": "' + text + b'"}'),
    "NUL": ("nul-byte", lambda text: b'{"label": "pos", "text": "\0' + text + b'"}'),
    "a text that is a list": ("not-a-text", lambda text: b'{"label": "pos", "text": ["' + text + b'"]}'),
    "a text that is a number": ("not-a-text", lambda text: b'{"text": 1, "label": "' + text + b'"}'),
    "a text that is null": ("empty-text", lambda text: b'{"text": null, "label": "' + text + b'"}'),
    "no text": ("empty-text", lambda text: b'{"label": "' + text + b'"}'),
    "no label": ("empty-label", lambda text: b'{"text": "' + text + b'"}'),
    "a label that is a list": ("not-a-label", lambda text: b'{"text": "a", "label": ["' + text + b'"]}'),
    "a label that is an object": ("not-a-label", lambda text: b'{"text": "a", "label": {"is": "' + text + b'"}}'),
}
CONLL: Kinds = {
    "no tag": ("missing-tag", lambda text: text + b"\tO\nalone\n"),
    "no token": ("missing-token", lambda text: text + b"\tO\n\tO\n"),
    "an unknown prefix": ("unknown-tag", lambda text: text + b"\tX-per\n"),
    "a tag without type": ("unknown-tag", lambda text: text + b"\tB-\n"),
    "a type without prefix": ("unknown-tag", lambda text: text + b"\tper\n"),
    "a token that is no UTF-8": ("invalid-utf8", lambda text: text + b"\xff\tO\n"),
    "NUL": ("nul-byte", lambda text: text + b"\0\tO\n"),
}
CONTEXT = {"context": "水煮鱼很好吃，😀 isn't it?"}
SQUAD: dict[str, tuple[str, Callable[[str], Any]]] = {
    "an answer elsewhere": ("bad-answer-offset", lambda mark: _question(mark, [{"text": "鱼", "answer_start": 1}])),
    "an answer before the text": (
        "bad-answer-offset",
        lambda mark: _question(mark, [{"text": "it", "answer_start": -3}]),
    ),
    "an answer behind the text": (
        "bad-answer-offset",
        lambda mark: _question(mark, [{"text": "鱼", "answer_start": 99}]),
    ),
    "an answer too long": ("bad-answer-offset", lambda mark: _question(mark, [{"text": "it? No", "answer_start": 15}])),
    "a second answer elsewhere": (
        "bad-answer-offset",
        lambda mark: _question(mark, [{"text": "鱼", "answer_start": 2}, {"text": "鱼", "answer_start": 3}]),
    ),
    "a place that is a text": ("malformed-answer", lambda mark: _question(mark, [{"text": "鱼", "answer_start": "2"}])),
    "a place that is no whole number": (
        "malformed-answer",
        lambda mark: _question(mark, [{"text": "鱼", "answer_start": 2.0}]),
    ),
    "no place": ("malformed-answer", lambda mark: _question(mark, [{"text": "鱼"}])),
    "an empty answer": ("malformed-answer", lambda mark: _question(mark, [{"text": " ", "answer_start": 2}])),
    "an answer that is a text": ("malformed-answer", lambda mark: _question(mark, ["鱼"])),
    "no answers": ("missing-answer", lambda mark: {"id": mark, "question": "?"}),
    "a list of no answers": ("missing-answer", lambda mark: _question(mark, [])),
    "answers that are null": ("missing-answer", lambda mark: _question(mark, None)),
    "no question": ("missing-question", lambda mark: {"id": mark, "answers": []}),
    "a question that is null": ("missing-question", lambda mark: _question(mark, []) | {"question": None}),
    "a question that is a list": ("malformed-question", lambda mark: [mark]),
}
FORMATS = {"csv": CSV, "jsonl": JSONL, "conll": CONLL, "squad": SQUAD}
WORDS = st.text(st.sampled_from("aZé好吃不😀𝔘 -.1\u200b"), max_size=8)
GENERATED = settings(
    max_examples=14, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
ROWS = 200  # malformed ones in a file


def _question(mark: str, answers: Any) -> dict[str, Any]:
    return {"id": mark, "question": "?", "answers": answers}


def mark(number: int) -> str:
    return f"<{number}>"


def marks_in(text: str) -> list[str]:
    return re.findall(r"<\d+>", text)


def account(reader: Reader, folder: Path, task: Any) -> tuple[Ledger, list[Columns], list[dict[str, Any]]]:
    """Read a source; the sums are held here."""
    ledger, quarantine = Ledger(), Quarantine(folder / "quarantine.jsonl")
    wanted = ["id"] if task is None else [*task.roles().text, *task.roles().target]
    try:
        batches = list(read_source(reader, "train", ledger, quarantine, wanted, task and task.refusals))
    finally:
        quarantine.close()
    refused = [json.loads(line) for line in (folder / "quarantine.jsonl").read_text("utf-8").splitlines()]
    kept = sum(len(batch["_row"]) for batch in batches)
    assert (kept, len(refused)) == (ledger.kept, ledger.quarantined.total())
    assert ledger.read == kept + len(refused)
    assert Counter(record["reason"] for record in refused) == ledger.quarantined
    assert all(record["file"] and record["line"] and record["component"] for record in refused)
    return ledger, batches, refused


def each_row_once(batches: Sequence[Columns], refused: Sequence[dict[str, Any]]) -> tuple[set[str], dict[str, str]]:
    """The marks that were kept, and those that were refused with their reason; none may occur twice."""
    kept = marks_in(json.dumps(batches))
    reasons = [(found, record["reason"]) for record in refused for found in marks_in(record["raw"])]
    assert max(Counter([*kept, *(found for found, _ in reasons)]).values()) == 1
    return set(kept), dict(reasons)


def test_ten_thousand_malformed_rows(tmp_path: Path) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    classification = TextClassification(type="text-classification", text="text", label="label")
    tokens = TokenClassification(type="token-classification")
    path = tmp_path / "a"
    readers: dict[str, tuple[Reader, Any]] = {
        "csv": (CsvReader(type="csv", path=path, delimiter=",", bad_rows=None), classification),
        "jsonl": (JsonlReader(type="jsonl", path=path, bad_rows=None), classification),
        "conll": (ConllReader(type="conll", path=path, bad_rows=None), tokens),
        "squad": (SquadReader(type="squad", path=path, bad_rows=None), None),
    }
    good: dict[str, Callable[[str, str], Any]] = {
        "csv": lambda mark, word: f"{mark}{word} 好,pos".encode(),
        "jsonl": lambda mark, word: json.dumps({"text": mark + word, "label": "pos"}, ensure_ascii=False).encode(),
        "conll": lambda mark, word: f"{mark}好\tB-per\n".encode(),
        "squad": lambda mark, word: _question(mark, [{"text": "鱼", "answer_start": 2}]),
    }

    def check(form: str, kinds: list[str], words: list[str]) -> None:
        """Write a file with a good record behind each malformed one, and read it."""
        records: list[Any] = []
        for number, kind in enumerate(kinds):
            bad, word = mark(2 * number), words[number % len(words)]
            records.append(FORMATS[form][kind][1](bad if form == "squad" else (bad + word.strip()).encode()))
            records.append(good[form](mark(2 * number + 1), word))
            seen[form, kind] += 1
        # One valid line beyond ASCII at the beginning, or two damaged ones may pass for another encoding.
        if form == "squad":
            paragraph = CONTEXT | {"qas": records}
            path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}), encoding="utf-8")
        else:
            head = {"csv": "text,label\n好,neg\n", "jsonl": '{"text": "好", "label": "neg"}\n', "conll": "好\tO\n\n"}[
                form
            ]
            path.write_bytes(head.encode() + b"\n".join(records) + b"\n")
        reader, task = readers[form]
        ledger, batches, refused = account(reader, tmp_path, task)
        assert ledger.read == len(records) + (form != "squad")
        kept, reasons = each_row_once(batches, refused)
        assert kept == {mark(2 * number + 1) for number in range(len(kinds))}
        assert reasons == {mark(2 * number): FORMATS[form][kind][0] for number, kind in enumerate(kinds)}

    for form, kinds in FORMATS.items():
        drawn = st.lists(st.sampled_from(sorted(kinds)), min_size=ROWS, max_size=ROWS)
        GENERATED(given(st.just(form), drawn, st.lists(WORDS, min_size=5, max_size=5))(check))()
        check(form, sorted(kinds), ["a", "好"])  # each kind at least once
    assert sum(seen.values()) > 10_000
    assert len(seen) == sum(map(len, FORMATS.values())) > 25


PIECES = st.lists(
    st.sampled_from([b'"', b",", b"a", "好".encode(), b"\xff", b"\0", b"\r", b" ", b"\t", b"O", b"{"]), max_size=6
)
LINES = st.lists(st.tuples(PIECES.map(b"".join), PIECES.map(b"".join)), min_size=1, max_size=20)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(LINES, st.sampled_from(["csv", "jsonl", "conll", "text"]))
@example([(b'"', b","), (b"", b""), (b'"', b'","')], "csv")
def test_lines_of_any_bytes_come_out_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[bytes, bytes]], form: str
) -> None:
    """Quotes may join lines, and a bad line refuses its sentence; but each line comes out in one place."""
    path = tmp_path_factory.mktemp("bytes") / "a"
    marked = [before + mark(number).encode() + after + b"\n" for number, (before, after) in enumerate(lines)]
    path.write_bytes(b"text,label\n" + b"".join(marked))
    classes = {"csv": CsvReader, "jsonl": JsonlReader, "conll": ConllReader, "text": TextReader}
    try:
        items = list(classes[form](type=form, path=path).read())
    except DataError as error:  # of a file as a whole
        assert "lines are not" in str(error)  # noqa: PT017
        return
    texts = [item.raw.decode(errors="replace") if isinstance(item, Refusal) else str(item) for item in items]
    assert sorted(found for text in texts for found in marks_in(text)) == sorted(map(mark, range(len(lines))))


def test_the_sums_match_when_all_of_it_is_prepared(tmp_path: Path) -> None:
    rows = [f"text {number},{'neg' if number % 2 else 'pos'}".encode() for number in range(300)]
    bad = [make(mark(number).encode()) for number, (_, make) in enumerate(CSV.values())]
    (tmp_path / "a.csv").write_bytes("text,label\n好,neg\n".encode() + b"\n".join(rows + bad) + b"\n")
    (tmp_path / "out").mkdir()
    reader = CsvReader(type="csv", path=tmp_path / "a.csv")
    prepare_train(TextClassification(type="text-classification"), reader, shares_of(None, []), [], tmp_path / "out")
    content = json.loads((tmp_path / "out" / "prepared.json").read_text("utf-8"))["ledger"]
    train, validation = content["train"], content["validation"]
    assert train["read"] == 301 + len(bad) == train["kept"] + train["moved"] + sum(train["quarantined"].values())
    assert sum(train["quarantined"].values()) == len(bad)
    assert train["moved"] == validation["read"] == validation["kept"] == 30
