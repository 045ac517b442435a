"""Makes the checks of a plugin in this process, one JSON object a line: `hft plugins check` starts it and watches.

python -m hft_core.testing NAME [FILE …]
"""

from __future__ import annotations

import json
import os
import sys
import time

from hft_core.errors import HftError
from hft_core.testing.checks import Check, checks_of
from hft_core.testing.subject import Unchecked


def _outcome(check: Check) -> tuple[str, str]:
    try:
        check()
    except Unchecked as reason:
        return "not checked", str(reason)
    except AssertionError as error:
        return "failed", str(error) or check.summary
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a plugin raises is its own failure
        return "failed", f"{type(error).__name__}: {error}"
    return "passed", ""


def main(name: str, files: list[str]) -> int:
    """Check, and give the exit code: 0, or 4 where a check failed."""
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")  # what a plugin prints must not stand between
    os.dup2(2, 1)
    failed = False
    for check in checks_of(name, files=files):
        told.write(json.dumps({"begun": check.id}) + "\n")
        told.flush()
        start = time.monotonic()
        state, why = _outcome(check)
        failed |= state == "failed"
        line = {"id": check.id, "state": state, "why": why, "seconds": round(time.monotonic() - start, 3)}
        told.write(json.dumps(line | {"summary": check.summary}, ensure_ascii=False) + "\n")
        told.flush()
    return 4 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except HftError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
