"""Reader of databases, through SQLAlchemy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hft_core import DataError, PluginError, Reader, Refusal, Rows, resolve_path
from hft_plugins.readers.source import BATCH, first_line

if TYPE_CHECKING:
    import sqlalchemy as sa

_SQLITE = "sqlite:///"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class SqlReader(Reader):
    """Rows of a database: a table, ordered by its primary key, or a query. Any database that SQLAlchemy knows.

    A place is the number of the row in the result: a query needs `ORDER BY` to give the same numbers, and so the same
    run, again. Nothing is written: the transaction is rolled back. Numbers and texts keep their types; decimals, dates and
    others become texts. `hft plan` reads the rows too, for a changed database is another input.
    """

    type: Literal["sql"]
    url: str = Field(min_length=1)
    """Where the database is, as SQLAlchemy writes it: `sqlite:///reviews.db`, `postgresql://host/name`. `${NAME}` in it
    comes from the environment when the rows are read, so that a password stands in no file."""
    table: str | None = None
    """The table to read. Either this or `query`."""
    query: str | None = None
    """A `SELECT` whose result is read."""

    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy",)

    @field_validator("url")
    @classmethod
    def _starts_beside_the_recipe(cls, value: str, info: ValidationInfo) -> str:
        """Make the file of SQLite absolute, as all paths are."""
        for name in _VARIABLE.findall(value):
            if name not in os.environ:
                raise ValueError(f"the environment variable {name} is not set; set it, or write the value out")
        file, mark, options = value.removeprefix(_SQLITE).partition("?")
        if not value.startswith(_SQLITE) or file in ("", ":memory:") or _VARIABLE.match(file):
            return value
        return f"{_SQLITE}{resolve_path(file, (info.context or {}).get('folder'))}{mark}{options}"

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self

    def identity(self) -> dict[str, Any]:
        """The rows count by content; where the database is does not."""
        digest = blake2b(digest_size=16)
        for names, records in self._results():
            digest.update(repr(names).encode(errors="surrogatepass"))
            for record in records:
                digest.update(repr(tuple(record)).encode(errors="surrogatepass"))
        return {**super().identity(), "url": None, "rows": digest.hexdigest()}

    def read(self) -> Iterator[Rows | Refusal]:
        """Yield batches and refusals (`invalid-utf8`)."""
        before = 0
        for names, records in self._results():
            rows: list[list[Any]] = []
            places: list[int] = []
            for place, record in enumerate(records, before + 1):
                try:
                    rows.append([_plain(value) for value in record])
                    places.append(place)
                except UnicodeDecodeError as error:
                    yield Refusal(place, "invalid-utf8", f"a value is no UTF-8 text: {error}", bytes(error.object))
            before += len(records)
            if places:
                yield Rows({name: [row[index] for row in rows] for index, name in enumerate(names)}, places)

    def _results(self) -> Iterator[tuple[list[str], Sequence[Any]]]:
        """Give the columns' names with each batch of records as the database gives them."""
        with self._connection() as connection:
            if self.table is not None:
                result = connection.execute(_select(connection, self.table))
            else:
                result = connection.exec_driver_sql(str(self.query))
            if not result.returns_rows:
                raise DataError("sql: the query gives no rows; write a SELECT")
            names = list(result.keys())
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise DataError(f"sql: the result has two columns {twice!r}; name them differently with AS")
            for records in result.partitions(BATCH):
                yield names, records

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        """Connect; whatever the database says against it becomes a DataError, without the password."""
        try:
            import sqlalchemy as sa
        except ImportError as error:
            raise PluginError('the reader sql needs SQLAlchemy; run: pip install "hft-core[sql]"') from error
        try:
            url = sa.make_url(_VARIABLE.sub(lambda match: os.environ.get(match[1], ""), self.url))
            shown = url.render_as_string(hide_password=True)
            _require_file(url)
            engine = sa.create_engine(url)
            if url.get_backend_name() == "sqlite":
                sa.event.listen(engine, "connect", _give_bytes_that_are_no_text)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise DataError(
                f"sql: the url cannot be used ({first_line(error)}); correct it, or install the driver"
            ) from error
        try:
            with engine.connect() as connection:
                yield connection.execution_options(stream_results=True, yield_per=BATCH)
        except sa.exc.SQLAlchemyError as error:
            raise DataError(f"sql: {shown}: {first_line(getattr(error, 'orig', None) or error)}") from error
        finally:
            engine.dispose()


def _require_file(url: sa.URL) -> None:
    """Raise DataError for a missing file, which SQLite would make."""
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        file = Path(url.database)
        if not file.is_file():
            near = get_close_matches(file.name, [item.name for item in file.parent.glob("*")], n=1)
            raise DataError(f"sql: there is no file {file}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _select(connection: sa.Connection, name: str) -> sa.Select[Any]:
    """All rows of a table (`schema.table` where it is not in the usual schema), by its primary key."""
    import sqlalchemy as sa

    schema, _, table = name.rpartition(".")
    try:
        found = sa.Table(table, sa.MetaData(), schema=schema or None, autoload_with=connection)
    except sa.exc.NoSuchTableError as error:
        tables = sa.inspect(connection).get_table_names(schema or None)
        listed = ", ".join(tables[:10]) or "no tables"
        raise DataError(f"sql: there is no table {name!r}; the database has {listed}") from error
    return sa.select(found).order_by(*found.primary_key)


def _give_bytes_that_are_no_text(connection: Any, _: object) -> None:
    """Make SQLite give a text that is no UTF-8 as bytes; otherwise one such value ends the whole query."""

    def text(raw: bytes) -> str | bytes:
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw

    connection.text_factory = text


def _plain(value: Any) -> Any:
    """A value as files have them. Raises UnicodeDecodeError for bytes that are no text."""
    if value is None or isinstance(value, (str, bool, int, float, list, dict)):
        return value
    return bytes(value).decode() if isinstance(value, (bytes, memoryview)) else str(value)
