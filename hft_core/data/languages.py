"""The language of a text: by its script where that says it, else by py3langid, which ships its model (97 languages)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from functools import cache
from typing import Any

from hft_core.errors import PluginError

UNKNOWN = "und"
"""What a text without letters is in, by ISO 639."""
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]")
_HANGUL = re.compile("[\uac00-\ud7af\u1100-\u11ff\u3130-\u318f]")
_SURE = 8
"""Han characters from which on a text without kana is hardly Japanese."""


def detect_languages(texts: Iterable[str]) -> list[tuple[str, float]]:
    """Give for each text its language, a code of ISO 639-1 such as `en` or `zh`, and its probability, 0 to 1.

    A text without letters has the language `und`. One mostly in Han characters is Chinese, or Japanese where a tenth of them
    are kana; in Hangul it is Korean: there py3langid, which reads bytes, is often wrong. Other short texts are uncertain, and
    their probability says so. Raises PluginError where py3langid (extra `clean`) is not installed, or cannot unpack its model.
    """
    classify = _identifier().classify
    return [_language(classify, text) for text in texts]


def _language(classify: Any, text: str) -> tuple[str, float]:
    letters = sum(map(str.isalpha, text))
    if not letters:
        return UNKNOWN, 1.0
    han, kana, hangul = (len(script.findall(text)) for script in (_HAN, _KANA, _HANGUL))
    if max(han + kana, hangul) > letters / 2:
        if hangul > han + kana:
            return "ko", 1.0
        return ("ja", 1.0) if kana > (han + kana) / 10 else ("zh", 1.0 if han >= _SURE else 0.9)
    language, probability = classify(text)
    return str(language), float(probability)


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise PluginError("telling languages apart needs py3langid; run: pip install 'hft-core[clean]'") from error
    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError as error:
        raise PluginError(
            f"py3langid cannot unpack its model in {tempfile.gettempdir()} ({error.strerror}); make room, or set TMPDIR"
        ) from error
