"""A search on two machines that share a PostgreSQL database; skipped where there is no server to start."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_NEVER = 600
"""Seconds after which a test gives up."""


def _programs() -> Path | None:
    """The folder of PostgreSQL's own programs, which Debian keeps out of the path."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a fresh database, on a server of the test's own, with a password."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="the driver is missing (pip install 'psycopg[binary]')")
    user = _unprivileged()
    folder = tmp_path_factory.mktemp("postgresql")
    for place in (folder, *folder.parents):
        if user and "pytest" in place.name:
            place.chmod(0o755)
    (folder / "password").write_text("secret\n")
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    who: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [programs / "initdb", "-D", folder / "data", "-U", "me", "-A", "password", f"--pwfile={folder / 'password'}"]
    subprocess.run([*map(str, made)], check=True, capture_output=True, cwd="/", **who)
    run = [programs / "postgres", "-D", folder / "data", "-p", port, "-k", folder, "-h", "127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen([*map(str, run)], cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who)
    try:
        yield _made(port)
    finally:
        server.terminate()
        server.wait(30)


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server, where the tests run as root, whom it refuses."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _made(port: int) -> str:
    """Wait for the server, and make the database."""
    import psycopg

    until = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(
                host="127.0.0.1", port=port, user="me", password="secret", dbname="postgres", autocommit=True
            ) as connection:
                connection.execute("CREATE DATABASE searches")
            return f"postgresql+psycopg://me:secret@127.0.0.1:{port}/searches"
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_two_machines_and_one_that_dies(
    make_searched: Callable[[Path], Any], start: Callable[..., Any], database: str, tmp_path: Path
) -> None:
    """No trial is lost or done twice; a dead machine's is taken up by the other; no password stands anywhere."""
    machines = [make_searched(tmp_path / name) for name in ("one", "two")]
    for machine in machines:
        machine.recipe["search"] |= {"trials": 6, "prune": None}
    begun = [start("search", machine.write(), "--storage", database) for machine in machines]
    time.sleep(12)
    begun[1].kill()  # with its trials, which listen to it
    begun[1].communicate()
    out, err = begun[0].communicate(timeout=_NEVER)
    assert begun[0].returncode == 0, err
    found = json.loads((machines[0].folder / "runs" / "searched.search" / "search.json").read_text("utf-8"))
    assert [trial["number"] for trial in found["trials"]] == [*range(len(found["trials"]))]
    assert 6 <= len(found["trials"]) <= 8
    assert {trial["state"] for trial in found["trials"]} == {"complete"}
    assert found["storage"] == database.replace("secret", "***")
    for text in (out, err, *(file.read_text("utf-8") for file in machines[0].folder.rglob("*.json"))):
        assert "secret" not in text
    assert "secret" not in (machines[0].folder / "runs" / "searched-best" / "report.html").read_text("utf-8")

    # Another call finds all of them done, and the same best.
    again = start("search", machines[0].write(), "--storage", database)
    _, err = again.communicate(timeout=_NEVER)
    assert again.returncode == 0, err
    assert f"{len(found['trials'])} are there already" in err


def test_a_server_that_is_not_there(searched: Any, hft_here: Any) -> None:
    """It is said before anything is trained, without the password."""
    pytest.importorskip("psycopg", reason="the driver is missing (pip install 'psycopg[binary]')")
    outcome = hft_here("search", searched.write(), "--storage", "postgresql+psycopg://me:secret@127.0.0.1:9/searches")
    assert outcome.code == 7, outcome.err
    assert "postgresql+psycopg://me:***@127.0.0.1:9/searches cannot be used" in outcome.err
    assert "secret" not in outcome.err
    assert not list(searched.folder.parent.glob("store/objects/*/stage.json"))
