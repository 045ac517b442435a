"""Tokenizer gate: the bundle's files make of every text what the trained model was given."""

from __future__ import annotations

from typing import Any

import numpy as np

from hft_core import Arrays, Columns, Ragged
from hft_core.runtime.ragged import take
from hft_plugins.onnx.gates import Gate
from hft_plugins.onnx.ways import Way

ADVERSARIAL = (
    "", " ", "\n\t", "\x00", "a\x00b", "\ud83d half a surrogate", "\ufeffbyte order mark", "\ufffd",
    "e\u0301 and é", "ﬁ ﬃ ǆ Å Ω", "İstanbul ISPARTA ß ẞ", "ｆｕｌｌ　ｗｉｄｔｈ １２３",
    "\u200b\u200d\u202e\u00ad", "a\u00a0b\u2003c\u3000d",
    "今天天气不错，我们去公园吧！", "中英 mixed 混排 text，标点。", "繁體與简体", "𠮷野家", "東京都に行く", "한국어 문장",
    "שלום עולם", "مرحبا بالعالم", "สวัสดีชาวโลก", "नमस्ते दुनिया", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽",
    "1,000.50 € $3.99 50%", "http://a.b/c?d=e&f#g", "a@b.cd #tag @name", "don't can't it's", "▁ Ġ Ċ ##ing",
    "[CLS] [SEP] [MASK] [PAD] [UNK]", "<s> </s> <pad> <unk> <mask> <|endoftext|>", "\\n \\u0000 {} [] \"quoted\" 'too'",
    "very" + "y" * 5000, "word " * 3000, "。" * 600, "x" * 200 + " " + "很" * 200,
)  # fmt: skip
"""Texts that tokenizers have been seen to disagree on: empty and blank, control and invisible characters, composed and
compatibility forms, case that changes lengths, scripts without spaces, beyond the basic plane, joined emoji, words of
special tokens, one word of thousands of letters, more tokens than any model reads."""
_PADDED = 16
"""Rows in one padded batch; of short and long ones, so that the side shows."""


def tokenizer_gates(rows: Columns, live: Way, shipped: Way) -> list[Gate]:
    """Compare what both ways make of all validation rows, and of an adversarial list in place of their texts."""
    real = len(next(iter(rows.values())))
    hard = {name: [values[place % real] for place in range(len(ADVERSARIAL))] for name, values in rows.items()}
    hard |= {name: list(ADVERSARIAL) for name in live.texts}
    return [
        _gate("tokenizer: validation rows", rows, live, shipped),
        _gate("tokenizer: adversarial texts", hard, live, shipped, hard=True),
    ]


def _gate(name: str, rows: Columns, live: Way, shipped: Way, hard: bool = False) -> Gate:
    count = len(next(iter(rows.values())))
    try:
        wanted = live.encode(rows)
    except Exception as error:  # a task whose texts have a form of their own
        return Gate(
            name, f"the same arrays for {count} rows", f"not compared: the task reads no such texts ({error})", hard
        )
    found = shipped.encode(rows)
    differing = _differing(wanted, found)
    if not differing:
        for start in range(0, _entries(wanted), _PADDED):
            chosen = np.arange(start, min(start + _PADDED, _entries(wanted)))
            differing = _differing(
                live.preprocessor.pad(take(wanted, chosen)), shipped.preprocessor.pad(take(found, chosen))
            )
            if differing:
                differing = f"padded: {differing}"
                break
    advice = "what the preprocessor saves gives the model other inputs than it was trained on; nothing was written"
    return Gate(name, f"the same arrays for {count} rows", differing or "the same", not differing, advice)


def _entries(arrays: Arrays) -> int:
    return len(next(iter(arrays.values())))


def _differing(wanted: dict[str, Any], found: dict[str, Any]) -> str:
    """Name the first array that differs, and its first entry that does; empty: none."""
    if wanted.keys() != found.keys():
        return f"arrays {sorted(found)} instead of {sorted(wanted)}"
    for name, one in wanted.items():
        other = found[name]
        if len(one) != len(other):
            return f"{name}: {len(other)} entries instead of {len(one)}"
        same = _flat(one), _flat(other)
        if not all(np.array_equal(a, b) for a, b in zip(*same, strict=True)):
            entry = next((row for row in range(len(one)) if not np.array_equal(one[row], other[row])), 0)
            return f"{name} of entry {entry}: {_short(other[entry])} instead of {_short(one[entry])}"
    return ""


def _flat(array: Any) -> list[Any]:
    return [array.values, array.offsets] if isinstance(array, Ragged) else [np.asarray(array)]


def _short(values: Any) -> str:
    listed = np.asarray(values).tolist()
    return f"{listed[:12]} …" if isinstance(listed, list) and len(listed) > 12 else f"{listed}"
