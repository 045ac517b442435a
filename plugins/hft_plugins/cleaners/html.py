"""Cleaner of HTML."""

from __future__ import annotations

from typing import ClassVar, Literal

from hft_core import TextCleaner


class HtmlCleaner(TextCleaner):
    """Removes HTML tags and decodes entities (`&amp;`, `&#39;`).

    Only elements of HTML count as tags, so `a < b`, `<3` and `<unk>` stay. Tags that separate (`<br>`,
    `<p>`, `<td>`, …) become a space, others nothing; comments, scripts and style sheets go. List
    `whitespace` after it to merge the spaces.
    """

    type: Literal["html"]
    runtime: ClassVar[str] = "hft_plugins.cleaners.html_runtime"
