from __future__ import annotations

import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from hft_core import Refusal, Roles, TextCleaner
from hft_core.runtime.edits import OffsetMap, apply, checked
from hft_plugins.cleaners import unicode_runtime
from hft_plugins.cleaners.duplicates import ExactDuplicates
from hft_plugins.cleaners.html import HtmlCleaner
from hft_plugins.cleaners.length import LengthFilter
from hft_plugins.cleaners.unicode import UnicodeCleaner
from hft_plugins.cleaners.whitespace import WhitespaceCleaner
from hft_plugins.readers.delimited import CsvReader

UNICODE = UnicodeCleaner(type="unicode")
NFKC = UnicodeCleaner(type="unicode", form="NFKC")
HTML = HtmlCleaner(type="html")
WHITESPACE = WhitespaceCleaner(type="whitespace")
TEXT_CLEANERS = [UNICODE, NFKC, HTML, WHITESPACE]
EXAMPLES = Path(__file__).parents[2] / "examples"


def cleaned(cleaner: TextCleaner, text: str) -> str:
    return apply(text, cleaner.edits([text])[0])


def column(path: Path, name: str) -> list[str]:
    parts = CsvReader(type="csv", path=path).read()
    return [text for part in parts if not isinstance(part, Refusal) for text in part.columns[name]]


@pytest.mark.parametrize(
    ("damaged", "repaired"),
    [
        ("Itâ€™s naÃ¯ve", "It’s naïve"),
        ("â€œHiâ€\x9d", "“Hi”"),
        ("voilÃ\xa0 tout", "voilà tout"),
        ("CLICHÃ‰S", "CLICHÉS"),
        ("ä½\xa0å¥½ï¼Œä¸–ç•Œ", "你好，世界"),
        ("ðŸ˜Š", "😊"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("wÅ‚aÅ›ciwie", "właściwie"),
        ("Ã¢â‚¬â„¢", "’"),  # read wrongly twice
        ("e\u0301te\u0301", "été"),
        ("e\u200b\u0301", "é"),
        ("\ufeff好\u200b吃\u200d吗\x07", "好吃吗"),
        ("a\xa0b\x0cc", "a b c"),
    ],
)
def test_unicode_repairs(damaged: str, repaired: str) -> None:
    assert cleaned(UNICODE, damaged) == repaired


@pytest.mark.parametrize(
    "text",
    [
        "",
        "…!?，。",
        "很好吃，送餐快！ＡＢＣ１",
        "Úžasný večer",
        "“IRMÃ” disse",
        "À LA “CARTEÀ”",
        "é»…",
        "the rest‚Ä¶",  # UTF-8 read as Mac Roman: not ours to repair
        "👨‍👩‍👧 ❤️",
        "می‌خواهم",
        "tab\tand\r\nline",
    ],
)
def test_unicode_leaves_sound_text_alone(text: str) -> None:
    assert UNICODE.edits([text]) == [[]]


def test_french_spaces_are_no_mojibake() -> None:
    assert cleaned(UNICODE, "« CAFÉ\xa0» et «\xa0thé\xa0»") == "« CAFÉ » et « thé »"


def test_nfkc() -> None:
    assert cleaned(NFKC, "ＡＢＣ１２，ﬁn ﾊﾞ ①") == "ABC12,fin バ 1"


def test_edits_are_small_and_offsets_exact() -> None:
    text = "好\u200b吃 cafe\u0301 Itâ€™s"
    edits = UNICODE.edits([text])[0]
    assert [(edit.start, edit.end, edit.replacement) for edit in edits] == [(1, 2, ""), (7, 9, "é"), (12, 15, "’")]
    after = apply(text, edits)
    start = after.index("café")
    assert OffsetMap(text, edits).back(start, start + 4) == (4, 9)


def test_second_halves_of_compositions_join_their_cluster() -> None:
    for code in range(0x110000):
        character = chr(code)
        parts = unicodedata.decomposition(character).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            assert unicode_runtime._joins(chr(int(parts[1], 16))), hex(code)
        if unicodedata.combining(character):
            assert unicode_runtime._joins(character), hex(code)
    assert all(unicode_runtime._joins(chr(code)) for code in [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p>Good.</p><p>Very <b>good</b>!</p>", " Good.  Very good! "),
        ('a<br />b<br>c <a href="x.html" target=_blank>d</a>', "a b c d"),
        ("很好<br/>下次&nbsp;再来<b>！</b>", "很好 下次 再来！"),
        ("&quot;Tom &amp; Jerry&quot; &#39;x&#x27; &lt;3", "\"Tom & Jerry\" 'x' <3"),
        ("x<!-- no -->y<script>if (a < b) {}</script>z", "xy z"),
        ("<input disabled>x", " x"),
    ],
)
def test_html_goes(before: str, after: str) -> None:
    assert cleaned(HTML, before) == after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a < b",
        "I <3 you",
        "a <b and c> d",
        "<unk> <user>",
        "AT&T &c; &nonsense;",
        "x<y>z",
        "<<",
        "价格<10元>5元",
        "=>",
    ],
)
def test_html_leaves_other_text_alone(text: str) -> None:
    assert HTML.edits([text]) == [[]]


def test_whitespace() -> None:
    assert cleaned(WHITESPACE, "\u3000很好 \t 吃\n\n再来 ") == "很好 吃 再来"
    assert cleaned(WHITESPACE, " \n ") == ""
    assert WHITESPACE.edits(["", "a b", "很好"]) == [[], [], []]


@pytest.mark.parametrize("cleaner", TEXT_CLEANERS, ids=lambda cleaner: cleaner.model_dump_json())
def test_any_text(cleaner: TextCleaner) -> None:
    draw = random.Random(1)
    alphabet = [
        *"abÉÃâÂ€™œ»\xa0 \t\n<>b/&amp;\x07\u200b\u200d\u0301\u3099好吃，１Ａﾊﾞ각\u1100\u1161\u11a8😀👩\ufe0f",
        "<br>",
        "Ã©",
        "â€™",
    ]
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(14))) for _ in range(3_000)]
    edits = cleaner.edits(texts)
    for text, own in zip(texts, edits, strict=True):
        assert checked(text, own) == own
        after = apply(text, own)
        # One level of entities is decoded (&amp;lt; to &lt;); a repair may make mojibake together with its neighbour.
        if cleaner.type_name() != "html" and not set("ÉÃâÂ").intersection(text):
            assert cleaner.edits([after]) == [[]], (text, after)
        if isinstance(cleaner, UnicodeCleaner):
            assert unicodedata.is_normalized(cleaner.form, after)
    assert [cleaner.edits([text])[0] for text in texts[:300]] == edits[:300]


def test_runtime_modules_import_only_the_standard_library() -> None:
    names = sorted({cleaner.runtime for cleaner in TEXT_CLEANERS})
    code = (
        "import sys, importlib; sys.modules['pydantic'] = None\n"
        f"for name in {names}: assert importlib.import_module(name).edits({{'form': 'NFC'}}, ['a  b']) is not None\n"
        "assert not {'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


ROLES = Roles(text=("text",), target=("label",))


def reasons(row_filter: Any, *batches: dict[str, list[Any]], roles: Roles = ROLES) -> list[list[str | None]]:
    return list(row_filter.reasons(iter(batches), roles))


def test_labels_are_the_same_by_what_they_say() -> None:
    """A JSON file may have a label as a number here and as a text there."""
    roles = Roles(text=("text",), target=("label",))
    batch = {"text": ["好吃"] * 4 + ["差"] * 2, "label": [1, "1", " 1", 1, "0", True]}
    [found] = ExactDuplicates(type="exact-duplicates").reasons(iter([batch]), roles)
    assert found == [None, "duplicate", "duplicate", "duplicate", "label-conflict", "label-conflict"]
    lists = {"text": ["a b", "a b"], "label": [[{"start": 0, "end": 1}], [{"end": 1, "start": 0}]]}
    assert list(ExactDuplicates(type="exact-duplicates").reasons(iter([lists]), roles)) == [[None, "duplicate"]]


def test_exact_duplicates() -> None:
    first = {"text": ["Good", "很好", None, "bad"], "label": ["1", "1", "0", "0"]}
    second = {"text": ["good ", "很好", "", "new"], "label": ["1", "0", "1", "1"]}
    drop = ExactDuplicates(type="exact-duplicates")
    assert reasons(drop, first, second) == [
        [None, "label-conflict", None, None],
        ["duplicate", "label-conflict", None, None],
    ]
    keep = ExactDuplicates(type="exact-duplicates", conflicts="keep", normalise=False)
    assert reasons(keep, first, second, first)[1:] == [[None] * 4, ["duplicate", "duplicate", None, "duplicate"]]


def test_duplicates_of_several_columns_and_without_target() -> None:
    batch = {"a": ["x", "x", "xy"], "b": ["yz", "yz", "z"]}
    assert reasons(ExactDuplicates(type="exact-duplicates"), batch, roles=Roles(text=("a", "b"))) == [
        [None, "duplicate", None]
    ]


def test_length() -> None:
    row_filter = LengthFilter(type="length", minimum=2, maximum=4)
    batch = {"text": ["很好", "好", " a ", None, "12345"], "label": ["1"] * 5}
    assert reasons(row_filter, batch) == [[None, "too-short", "too-short", "too-short", "too-long"]]
    with pytest.raises(ValueError, match="no row would stay"):
        LengthFilter(type="length", minimum=5, maximum=4)


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("quickstart/data/train.csv", "review", {"unicode": 14, "html": 14}),
        ("quickstart/data/dev.csv", "review", {"unicode": 2, "html": 4}),
        ("quickstart/data/test.csv", "review", {"unicode": 2, "html": 4}),
        ("quickstart-zh/data/train.csv", "评论", {"unicode": 4, "html": 12}),
        ("quickstart-zh/data/dev.csv", "评论", {"unicode": 0, "html": 0}),
    ],
)
def test_planted_dirt_is_found(path: str, name: str, expected: dict[str, int]) -> None:
    texts = column(EXAMPLES / path, name)
    found = {cleaner.type_name(): sum(map(bool, cleaner.edits(texts))) for cleaner in (UNICODE, HTML)}
    assert found == expected


def test_real_chinese_text_is_left_alone(data_dir: Path) -> None:
    texts = column(data_dir / "waimai_10k" / "waimai_10k.csv", "review")
    changed = [text for text, edits in zip(texts, UNICODE.edits(texts), strict=True) if edits]
    assert len(changed) == 1
    assert "\x08" in changed[0]
    assert not any(HTML.edits(texts))
