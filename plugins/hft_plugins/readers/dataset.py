"""Reader of data sets of the Hugging Face hub, of folders in their layout, and of what `datasets` has saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from hft_core import DataError, LabelNames, Reader, Refusal, Rows
from hft_plugins.readers.delimited import CsvReader
from hft_plugins.readers.jsonl import JsonlReader
from hft_plugins.readers.parquet import ParquetReader, rows_of
from hft_plugins.readers.source import BATCH, first_line, one_after_another
from hft_plugins.readers.text import TextReader

if TYPE_CHECKING:
    import datasets

_FETCHED = [f"*.{ending}" for ending in ["md", "yaml", "csv", "tsv", "txt", "json", "jsonl", "parquet", "gz", "zip"]]
"""Files of a hub's repository that are fetched: its card, and what can be read."""


class DatasetReader(Reader):
    """A data set of the hub by its name, a folder in the hub's layout, or one that `save_to_disk` wrote.

    `datasets` finds out which files make a split, but hft's own readers (csv, jsonl, parquet, text) read them: no row
    vanishes, no text `NA` becomes a missing value, and each refusal says its file and line. Numbers that stand for classes
    become their names. A row's place is its number over all files of the split, plus one for each line that is no row.
    """

    type: Literal["dataset"]
    hub: str | None = Field(default=None, pattern=r"^[\w.\-]+(/[\w.\-]+)?$")
    """The name on the hub, such as `stanfordnlp/sst2`; its files are fetched into the hub's cache, or taken from there."""
    path: Path | None = None
    """A folder: a copy of the hub's repository, or of `save_to_disk`. Either this or `hub`."""
    subset: str | None = None
    """The part of the data set that the hub calls configuration; default: its only one, or `default`."""
    split: str = "train"
    """The split of the data set. What was saved as one split is read as it is, and refused where another one is asked for."""
    revision: str = "main"
    """The hub's branch, tag or commit; a commit is what stays the same."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.hub is None) == (self.path is None):
            raise ValueError("name either `hub`, a name on the hub, or `path`, a folder")
        return self

    def hub_name(self) -> str | None:
        """The name on the hub."""
        return self.hub

    def identity(self) -> dict[str, Any]:
        """A data set of the hub counts by its commit, which its folder in the cache is called after."""
        return super().identity() | ({"revision": self._folder().name} if self.hub else {})

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and the refusals of the files' readers."""
        folder = self._folder()
        yield from self._saved(folder) if _is_saved(folder) else self._files(folder)

    def label_names(self) -> list[LabelNames]:
        """Give the recipe's names and, for other columns of classes, those of the data set."""
        of_classes = [
            LabelNames(column=column, names=list(feature.names), first=0)
            for column, feature in self._features().items()
            if type(feature).__name__ == "ClassLabel" and not (self.labels and self.labels.column == column)
        ]
        return super().label_names() + of_classes

    def _folder(self) -> Path:
        if self.path is not None:
            if not self.path.is_dir():
                raise DataError(f"{self.path}: there is no such folder; `path` names the folder of a data set")
            return self.path
        assert self.hub is not None
        return _fetched(self.hub, self.revision)

    def _features(self) -> Mapping[str, Any]:
        """What the data set says about its columns."""
        folder = self._folder()
        if _is_saved(folder):
            return dict(self._load(folder).features)
        builder = self._builder(folder)
        if builder.info.features:
            return dict(builder.info.features)
        if builder.name != "parquet":
            return {}
        import pyarrow.parquet as pq
        from datasets import Features

        schema = pq.read_schema(self._split_of(builder.config.data_files or {})[0])
        return dict(Features.from_arrow_schema(schema)) if b"huggingface" in (schema.metadata or {}) else {}

    def _builder(self, folder: Path) -> datasets.DatasetBuilder:
        """What `datasets` makes of the folder: the form of its files, and which belong to a split. It reads no rows."""
        from datasets import load_dataset_builder

        try:
            return load_dataset_builder(str(folder), self.subset)
        except Exception as error:  # many kinds, too: no files, no such configuration, a card that is no YAML
            raise DataError(f"{folder}: `datasets` cannot read this folder: {first_line(error)}") from error

    def _split_of(self, splits: Mapping[Any, Any]) -> Any:
        known = {str(name): value for name, value in splits.items()}
        if self.split not in known:
            raise DataError(
                f"data set {self.hub or self.path}: there is no split {self.split!r}; it has {', '.join(known) or 'none'}"
            )
        return known[self.split]

    def _files(self, folder: Path) -> Iterator[Rows | Refusal]:
        """Read the split's files one after the other, in the columns of the first."""
        builder = self._builder(folder)
        files = list(map(Path, self._split_of(builder.config.data_files or {})))
        yield from one_after_another(files, lambda file: _reader_of(builder, file).read(), fill=True)

    def _load(self, folder: Path) -> datasets.Dataset:
        """Open a saved data set; its files are mapped into memory, not read."""
        from datasets import DatasetDict, load_from_disk

        try:
            saved = load_from_disk(str(folder))
        except Exception as error:
            raise DataError(f"{folder}: this data set cannot be loaded ({first_line(error)}); save it again") from error
        if isinstance(saved, DatasetDict):
            return self._split_of(saved)
        own = re.split(r"[\[+]", str(saved.split or ""))[0]  # `train[:10]`, `train+test`; many have none
        if own and "split" in self.model_fields_set and self.split != own:
            raise DataError(
                f"data set {self.path}: it is the split {own!r}, not {self.split!r}; correct `split`, or leave it out"
            )
        return saved

    def _saved(self, folder: Path) -> Iterator[Rows | Refusal]:
        before = 0
        for table in self._load(folder).with_format("arrow").iter(BATCH):
            for batch in table.to_batches():
                yield from rows_of(batch, before)
                before += batch.num_rows


@cache
def _fetched(hub: str, revision: str) -> Path:
    """The folder of a data set in the hub's cache. It is asked for once: what counts in the store is what is read then."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub, repo_type="dataset", revision=revision, allow_patterns=_FETCHED))
    except Exception as error:  # the hub's client raises many kinds; to a user they mean the same
        raise DataError(
            f"data set {hub!r} (revision {revision}) is not in the cache, and the hub could not give it "
            f"({type(error).__name__}: {first_line(error)}). Check name and network, or set `path:` to a copy of it"
        ) from error


def _is_saved(folder: Path) -> bool:
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _reader_of(builder: datasets.DatasetBuilder, file: Path) -> Reader:
    """The reader for a file, with what the data set's card says about its form."""
    settings = builder.config
    match builder.name:
        case "csv":
            names = settings.names or settings.column_names
            delimiter = settings.sep if settings.sep != "," else None  # the comma is the default; hft looks itself
            header = names is None and settings.header is not None
            return CsvReader(
                type="csv", path=file, delimiter=delimiter, header=header, columns=names, encoding=settings.encoding
            )
        case "json":
            return JsonlReader(type="jsonl", path=file)
        case "parquet":
            return ParquetReader(type="parquet", path=file)
        case "text":
            return TextReader(type="text", path=file, encoding=settings.encoding)
    raise DataError(
        f"{file}: this data set has the form {builder.name!r}; hft reads csv, json (one object a line), parquet and text. "
        "Load it with `datasets`, write it with `save_to_disk`, and set `path:` to that folder"
    )
