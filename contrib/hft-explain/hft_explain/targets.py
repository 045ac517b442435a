"""What of a prediction is explained: one number, computed from the model's outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from hft_core import Arrays, Facts, Finished, PluginError, Prediction, Ragged
from hft_explain.forms import form_of, refusal

Outputs = Mapping[str, torch.Tensor]
Score = Callable[[Outputs], torch.Tensor]


@dataclass(frozen=True)
class Target:
    """One thing to explain."""

    what: str
    """The label or the number; the type of an entity; that it is an answer."""
    entry: int
    """The entry of the model's input that it comes from: of a text in several windows the one that decides."""
    score: Score
    """Of a padded batch of outputs, float [rows]."""
    words: str = ""
    """The words of the text that it is about, if it is about words."""

    def said(self, texts: bool) -> str:
        """Give it in words; with `texts` also those of the text."""
        return ": ".join(filter(None, [self.what, self.words if texts else ""]))


def targets(run: Finished, prediction: Prediction, arrays: Arrays, outputs: Arrays, most: int) -> list[Target]:
    """Give what can be explained of one row's prediction; nothing where nothing is predicted.

    Args:
        run: the task, and what it has learned.
        prediction: of the row.
        arrays: the row's entries.
        outputs: those of the net for them.
        most: entities or labels at most.
    """
    form = form_of(run.task)
    if form == "label":
        return [_label(prediction["label"], run.facts, outputs)]
    if form == "labels":
        return [_one_of_a_set(label, run.facts, outputs) for label in _likeliest(prediction, most)]
    if form == "number":
        _sized(outputs, 1)
        return [Target(f"{prediction['score']:.4g}", 0, lambda out: out["logits"][:, 0])]
    if form == "entities":
        return [_entity(one, arrays, outputs) for one in prediction["entities"][:most]]
    if form == "answer":
        found = _answer(prediction, arrays, outputs)
        return [found] if found else []
    raise PluginError(refusal(run.task))


def log_odds(logits: torch.Tensor, index: int) -> torch.Tensor:
    """How much likelier one class is than all others together, [rows] of logits [rows, classes]: log p / (1 - p).

    Unlike a logit, it does not change where all logits move; unlike a probability, it has no plateau for a sure model.
    """
    others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=1)
    return logits[:, index] - others.logsumexp(dim=1)


def _label(label: str, facts: Facts, outputs: Arrays) -> Target:
    index = facts["labels"].index(label)
    _sized(outputs, len(facts["labels"]))
    return Target(str(label), 0, lambda out: log_odds(out["logits"], index))


def _one_of_a_set(label: str, facts: Facts, outputs: Arrays) -> Target:
    index = facts["labels"].index(label)
    _sized(outputs, len(facts["labels"]))
    return Target(str(label), 0, lambda out: out["logits"][:, index])  # of a label on its own the logit is the log-odds


def _likeliest(prediction: Prediction, most: int) -> list[str]:
    """Its labels, the likeliest first; where it has none, the likeliest of all, which the text speaks against."""
    scores: Mapping[str, float] = prediction["scores"]
    ranked = sorted(prediction["labels"] or scores, key=lambda label: -scores[label])
    return ranked[: most if prediction["labels"] else 1]


def _entity(entity: Mapping[str, int | str], arrays: Arrays, outputs: Arrays) -> Target:
    """The tag of its first token, in the window where that has most context."""
    begin = int(entity["start"])
    places = [
        (min(token, len(offsets) - 1 - token), entry, token)
        for entry, offsets in enumerate(_entries(arrays, "offsets"))
        for token in np.flatnonzero((offsets[:, 0] <= begin) & (begin < offsets[:, 1]))[:1].tolist()
    ]
    if not places:
        raise PluginError(
            f"no token stands for the beginning of the entity {dict(entity)}; the task's `offsets` lack it"
        )
    _, entry, token = max(places, key=lambda place: (place[0], -place[1]))
    tag = int(_entries(outputs, "logits")[entry][token].argmax())
    words = str(entity["text"])
    return Target(str(entity["type"]), entry, lambda out: log_odds(out["logits"][:, token], tag), words)


def _answer(prediction: Prediction, arrays: Arrays, outputs: Arrays) -> Target | None:
    """Its first and last token, or the one that stands for no answer, in the window that is surest of them."""
    best: tuple[float, int, int, int] | None = None
    for entry, offsets in enumerate(_entries(arrays, "offsets")):
        if prediction["answer"] is None:
            first = last = np.flatnonzero(offsets[:, 0] < 0)  # what a task that knows no answer marks so
        else:
            own = offsets[:, 1] > offsets[:, 0]
            first = np.flatnonzero(own & (offsets[:, 1] > prediction["start"]))
            last = np.flatnonzero(own & (offsets[:, 0] < prediction["end"]))
        if not (len(first) and len(last)) or first[0] > last[-1]:
            continue
        start, end = int(first[0]), int(last[-1])
        sure = float(_entries(outputs, "start_logits")[entry][start] + _entries(outputs, "end_logits")[entry][end])
        if best is None or sure > best[0]:
            best = (sure, entry, start, end)
    if best is None:
        return None
    _, entry, start, end = best
    what, words = ("no answer", "") if prediction["answer"] is None else ("answer", str(prediction["answer"]))
    return Target(what, entry, partial(_of_answer, start=start, end=end), words)


def _of_answer(outputs: Outputs, start: int, end: int) -> torch.Tensor:
    return log_odds(outputs["start_logits"], start) + log_odds(outputs["end_logits"], end)


def _entries(arrays: Arrays, name: str) -> Sequence[NDArray[np.number]]:
    """The entries of an array by its name. Raises PluginError where the task has none of that name."""
    array = arrays.get(name)
    if array is None:
        raise PluginError(
            f"the task gives no {name!r}, by which the tokens of a prediction are found; remove this export"
        )
    return [array[entry] for entry in range(len(array))] if isinstance(array, Ragged) else list(array)


def _sized(outputs: Arrays, size: int) -> None:
    """Raises PluginError where outputs are not one logit for each label."""
    logits = outputs.get("logits")
    found = None if logits is None or isinstance(logits, Ragged) else logits.shape[1:]
    if found != (size,):
        said = ", ".join(sorted(outputs))
        raise PluginError(
            f"what is explained is a logit for each of {size} outputs, and this head gives {said} "
            f"{'' if found is None else f'of shape {found}'}; remove this export"
        )
