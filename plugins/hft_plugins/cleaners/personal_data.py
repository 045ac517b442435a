"""Cleaner of personal data."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hft_core import TextCleaner


class PersonalDataCleaner(TextCleaner):
    """Masks personal data that patterns can find: e-mail, phone, card, bank account, IPv4 address, Chinese identity number.

    Cards, accounts and identity numbers must pass their check digits; full-width digits count after the cleaner `width`. Names
    and postal addresses follow no pattern and stay: this is no anonymisation.
    """

    type: Literal["personal-data"]
    kinds: list[Literal["email", "iban", "identity", "card", "ip", "phone"]] = Field(
        default=["email", "iban", "identity", "card", "ip", "phone"], min_length=1
    )
    """What is masked."""
    mask: str = "[{kind}]"
    """What stands in its place; `{kind}` becomes `EMAIL`, `IBAN`, `IDENTITY`, `CARD`, `IP` or `PHONE`."""

    runtime: ClassVar[str] = "hft_plugins.cleaners.personal_data_runtime"
