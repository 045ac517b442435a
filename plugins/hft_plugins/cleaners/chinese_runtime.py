"""Edits of the cleaner `chinese-script`, by OpenCC. This runs at predict time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from hft_core.runtime.edits import Edit
from hft_plugins.cleaners.difference import smallest

REQUIRES = ("opencc",)
"""Distributions that a bundle with this cleaner needs."""
_HAN = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")


def edits(settings: dict[str, Any], texts: Sequence[str]) -> list[list[Edit]]:
    """Give the edits of each text; `settings` has `conversion`. Runs of Chinese characters are converted one by one."""
    convert = _converter(settings["conversion"]).convert
    result: list[list[Edit]] = []
    for text in texts:
        found: list[Edit] = []
        for match in () if text.isascii() else _HAN.finditer(text):
            after = convert(match[0])
            if after != match[0]:
                found += smallest(match.start(), match[0], after)
        result.append(found)
    return result


@cache
def _converter(conversion: str) -> Any:
    from hft_core import PluginError

    try:
        from opencc import OpenCC
    except ImportError as error:
        raise PluginError("the cleaner chinese-script needs OpenCC; run: pip install 'hft-core[clean]'") from error
    return OpenCC(conversion)
