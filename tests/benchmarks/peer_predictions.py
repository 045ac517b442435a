"""Runs a peer's script around transformers' Trainer, and adds to its line what it predicts of each row of the test.

usage: peer_predictions.py SCRIPT ARGUMENTS…

The script's own figures and training are left as they are. Only where it evaluates in batches of similar length the rows
are predicted in the order of the file instead. `predicted` and `right` are the numbers of the labels in alphabetical order.
"""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import sys
from typing import Any

from transformers import Trainer

_found: list[Any] = []
_predict = Trainer.predict


def _in_order(self: Trainer, *arguments: Any, **settings: Any) -> Any:
    self.args.train_sampling_strategy = "random"  # concerns training alone, which is over, but for how it is evaluated
    _found.append(_predict(self, *arguments, **settings))
    return _found[-1]


def main() -> None:
    Trainer.predict = _in_order  # type: ignore[method-assign]  # this process is there to run the script
    sys.argv = sys.argv[1:]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(sys.argv[0], run_name="__main__")
    line = json.loads(printed.getvalue().strip().splitlines()[-1])
    (output,) = _found
    predicted, right = output.predictions.argmax(-1).tolist(), output.label_ids.tolist()
    print(json.dumps(line | {"predicted": predicted, "right": right}))


main()
