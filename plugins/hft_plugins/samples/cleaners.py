"""Samples of the cleaners."""

from hft_core.testing import ROWS, TEXTS, Sample

_TEXTS = (
    *TEXTS,
    "<p>Hello&nbsp;<b>world</b></p>",
    "See https://example.org/x?y=1 or write to me@example.org, phone +49 30 1234567.",
    "ＦＵＬＬ　ｗｉｄｔｈ，１２３",
    "schÃ¶n, itâ€™s fine",
    "繁體中文與简体中文",
)
_TEXT_CLEANERS = (
    "mojibake", "unicode", "html", "links", "personal-data", "width", "chinese-script", "whitespace",
)  # fmt: skip

SAMPLES = {name: Sample(texts=_TEXTS) for name in _TEXT_CLEANERS}
SAMPLES |= {
    "language": Sample(settings={"keep": ["en", "zh"]}),
    "near-duplicates": Sample(columns={name: [*values, values[0]] for name, values in ROWS.items()}),
    "label-noise": Sample(columns={name: values * 8 for name, values in ROWS.items()}),
}
