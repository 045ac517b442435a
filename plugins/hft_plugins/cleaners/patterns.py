"""Patterns of URLs, e-mail addresses and personal data, and their checksums. Standard library only: used at predict time.

`\\w` and `\\b` would take Chinese characters for letters, so that an address within unsegmented text were not found
(`请发到a@b.com谢谢`): borders are ASCII here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_NOT_AFTER = "(?<![A-Za-z0-9._%+-])"
_NO_DIGIT_BEFORE, _NO_DIGIT_AFTER = "(?<![0-9A-Za-z])(?<![0-9][.-])", "(?![0-9A-Za-z])(?![.-][0-9])"

URL = re.compile(
    r"(?:https?|ftp)://[!-;=?-Z\\^-z|~]+|(?<![A-Za-z0-9.@/-])www\.[A-Za-z0-9-]+\.[!-;=?-Z^-z|~]+", re.IGNORECASE
)
EMAIL = re.compile(
    _NOT_AFTER + r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_CLOSING = {")": "(", "]": "[", "}": "{", ">": "<"}


def url_end(text: str, start: int, end: int) -> int:
    """Give where a URL ends, without the punctuation of the sentence that it stands in."""
    while end > start:
        last = text[end - 1]
        if last in ".,;:!?'\"*~" or (
            last in _CLOSING and text.count(last, start, end) > text.count(_CLOSING[last], start, end)
        ):
            end -= 1
        else:
            return end
    return end


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def _luhn(text: str) -> bool:
    """Whether digits are a card number by the check digit of ISO/IEC 7812."""
    digits = [int(digit) for digit in reversed(_digits(text))]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _iban(text: str) -> bool:
    """Whether letters and digits are a bank account by the check digits of ISO 13616."""
    compact = text.replace(" ", "").upper()
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _chinese_id(text: str) -> bool:
    """Whether 18 characters are a resident identity number by the check digit of GB 11643."""
    total = sum(
        int(digit) * weight
        for digit, weight in zip(text, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2), strict=False)
    )
    return text[-1].upper() == "10X98765432"[total % 11]


def _ip(text: str) -> bool:
    return all(int(part) <= 255 for part in text.split("."))


def _phone(text: str) -> bool:
    """Whether a number that is written as a phone number is long enough to be one, and no date or range of years."""
    return 7 <= len(_digits(text)) <= 15 and not re.fullmatch(r"(?:19|20)\d\d[-. /]\d{1,4}(?:[-. /]\d{1,4})?", text)


class Kind(NamedTuple):
    """How personal data of one kind is found."""

    pattern: re.Pattern[str]
    valid: Callable[[str], bool]


PERSONAL: dict[str, Kind] = {
    "email": Kind(EMAIL, lambda text: True),
    "iban": Kind(
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"), _iban
    ),
    "identity": Kind(
        re.compile(
            _NO_DIGIT_BEFORE
            + r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
        ),
        _chinese_id,
    ),
    "card": Kind(re.compile(_NO_DIGIT_BEFORE + r"[0-9](?:[ -]?[0-9]){12,18}" + _NO_DIGIT_AFTER), _luhn),
    "ip": Kind(re.compile(_NO_DIGIT_BEFORE + r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}" + _NO_DIGIT_AFTER), _ip),
    "phone": Kind(
        re.compile(
            _NO_DIGIT_BEFORE
            + r"(?:(?:\+|00)[1-9][0-9]{0,2}[ .-]?(?:\(?[0-9]{1,5}\)?[ .-]?){2,5}[0-9]{2,4}"  # international
            r"|1[3-9][0-9](?:[ -]?[0-9]{4}){2}"  # a Chinese mobile phone
            r"|0[0-9]{2,3}-[0-9]{7,8}"  # a Chinese land line
            r"|\(?[0-9]{3}\)?[ .-][0-9]{3}[ .-][0-9]{4})"  # North America
             + _NO_DIGIT_AFTER
        ),
        _phone,
    ),
}
"""Kinds of personal data, the most specific first: what one has found no later one takes."""
