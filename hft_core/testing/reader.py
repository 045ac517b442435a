"""Checks of readers."""

from __future__ import annotations

from collections import Counter

from hft_core.components import Refusal, Rows
from hft_core.testing.subject import Subject, digest


def gives_rows_and_refusals(subject: Subject) -> None:
    """It yields Rows, whose columns are as long as their places and have the same names in every batch, and Refusals."""
    names: set[str] | None = None
    for item in subject.make().read():
        if isinstance(item, Refusal):
            assert item.reason, f"the refusal of record {item.place} has no reason"
            assert isinstance(item.raw, bytes), f"`raw` of record {item.place} has to be the record's bytes"
            continue
        assert isinstance(item, Rows), f"read() gives Rows and Refusals, found {type(item).__name__}"
        lengths = {name: len(values) for name, values in item.columns.items()} | {"places": len(item.places)}
        assert len(set(lengths.values())) == 1, f"columns and places have to be equally long, found {lengths}"
        names = names or set(item.columns)
        assert set(item.columns) == names, f"all batches have the same columns; found {set(item.columns)} after {names}"


def accounts_for_every_record(subject: Subject) -> None:
    """Every record comes out once, as a row or as a refusal; with `Sample.records`, as many as the source has."""
    places: Counter[tuple[str | None, int]] = Counter()
    for item in subject.make().read():
        if isinstance(item, Refusal):
            places[item.file, item.place] += 1
        else:
            places.update((None, place) for place in item.places)
    twice = [place for (_, place), count in places.items() if count > 1]
    assert not twice, f"record {twice[0]} comes out twice"
    if subject.sample.records is not None:
        assert len(places) == subject.sample.records, f"{len(places)} records come out of {subject.sample.records}"


def reads_the_same_again(subject: Subject) -> None:
    """Reading twice gives the same, from the same component and from a new one."""
    first = subject.make()
    found = [digest([repr(item) for item in reader.read()]) for reader in (first, first, subject.make())]
    assert len(set(found)) == 1, "reading the same source again gives something else"


def outcome(subject: Subject) -> object:
    """What it reads, for a comparison with another process."""
    return [repr(item) for item in subject.make().read()]


CHECKS = (gives_rows_and_refusals, accounts_for_every_record, reads_the_same_again)
