"""The database of a search: what is wrong with it is told before anything is trained, or where it shows."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hft_core.errors import DamagedError, DiskError, HftError, LockedError, PluginError, RecipeError

PATIENCE = 20.0
"""Seconds to wait for a database that another program holds; before anything has begun 2 do."""
_AGAIN = "what it has trained is kept: the same command tries the same values again, out of the store"


@contextmanager
def told_errors(url: str, begun: bool) -> Iterator[None]:
    """Turn what databases say into errors of hft; where the search has `begun`, a file has to be there still.

    Raises LockedError, DiskError, DamagedError, or PluginError where the driver is missing.
    """
    import optuna.exceptions
    import sqlalchemy.exc

    file = sqlite_file(url)
    if file and not file.parent.is_dir():
        raise DiskError(f"the folder {file.parent} of the search's database is gone; {_AGAIN}")
    if file and begun and not file.is_file():
        raise DiskError(f"the search's database {file} is gone; {_AGAIN}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    except HftError:
        raise
    except ImportError as error:
        raise PluginError(f"{shown_url(url)}: {error}; install the driver, such as psycopg") from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise _told(error, url) from error


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for any other database."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def sqlite_url(file: Path) -> str:
    """The URL of an SQLite file."""
    return f"sqlite:///{file.absolute()}"


def shown_url(url: str) -> str:
    """A database's URL without its password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):  # it is not repeated: a password may stand anywhere in it
        raise RecipeError(
            "what --storage (or HFT_SEARCH_STORAGE) gives is no database URL; write it as postgresql://USER@HOST/DATABASE or "
            "sqlite:////FOLDER/FILE.db"
        ) from None


def _told(error: BaseException, url: str) -> HftError:
    said = str(error.__cause__ or error).splitlines()[0]
    if "locked" in said:
        return LockedError(f"the search's database {shown_url(url)} is locked by another program ({said}); {_AGAIN}")
    if "not a database" in said or "malformed" in said or "no such table" in said:
        return DamagedError(
            f"the search's database {shown_url(url)} is damaged ({said}); move it away, and run the same command: {_AGAIN}"
        )
    return DiskError(f"the search's database {shown_url(url)} cannot be used ({said}); {_AGAIN}")


def require_usable(file: Path) -> None:
    """Find out before anything is trained whether a file is a database that this process may write."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=2)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("SELECT name FROM sqlite_master").fetchall()
            connection.rollback()
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise _told(error, sqlite_url(file)) from error


def optuna_module() -> Any:
    """Optuna, which is an extra, without its own lines on the terminal."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise PluginError(f'{error}: a search needs Optuna; run: pip install "hft-core[train,search]"') from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
