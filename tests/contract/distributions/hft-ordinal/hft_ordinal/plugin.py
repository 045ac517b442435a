"""The task `ordinal-rating` and its objective: one yes or no for each step of a scale (Cao, Mirjalili & Raschka 2020)."""

from functools import partial
from typing import ClassVar, Literal

import numpy as np

from hft_core import HeadSpec, Loss, Objective, Roles, Task, hookimpl


class OrdinalRating(Task):
    """A whole number on a scale whose order counts, such as one to five stars."""

    type: Literal["ordinal-rating"]
    text: str = "text"
    """Column with the text."""
    rating: str = "rating"
    """Column with the rating."""
    highest: int = 5
    """The upper end of the scale, which begins at 1."""

    objective: ClassVar = "cumulative-link"
    runtime: ClassVar = "hft_ordinal.runtime"
    gives: ClassVar = frozenset({"label", "score", "scores"})
    default_metrics: ClassVar = ({"type": "mae"}, {"type": "spearman"}, {"type": "accuracy"})
    target_form: ClassVar = "number"

    def roles(self):
        return Roles(text=(self.text,), target=(self.rating,))

    def refusals(self, columns):
        scale = self.learn([])["labels"]
        rows = zip(columns[self.text], columns[self.rating], strict=True)
        return ["empty-text" if not text else None if str(own) in scale else "not-on-the-scale" for text, own in rows]

    def learn(self, train):
        return {"labels": [str(rating) for rating in range(1, self.highest + 1)]}

    def targets(self, columns, arrays, facts):
        return {"labels": np.array(columns[self.rating], np.int64)}

    def head(self, facts):
        from hft_ordinal.head import CumulativeHead

        return HeadSpec("ordinal", factory=partial(CumulativeHead, steps=self.highest - 1))

    def truths(self, columns, facts):
        return [{"label": str(rating), "score": float(rating)} for rating in columns[self.rating]]


class CumulativeLink(Objective):
    """Binary cross-entropy of "the rating is above this step", for each step of the scale."""

    type: Literal["cumulative-link"]
    needs_task: ClassVar = True

    def count(self, batch):
        return len(batch["labels"])

    def loss(self, net, batch):
        import torch

        outputs = net(**{name: array for name, array in batch.items() if name != "labels"})
        found = outputs["above"].float()
        above = batch["labels"][:, None] > torch.arange(1, 1 + found.shape[1], device=found.device)
        return Loss(
            torch.nn.functional.binary_cross_entropy_with_logits(found, above.float(), reduction="sum"), outputs
        )


@hookimpl
def register_tasks():
    return [OrdinalRating]


@hookimpl
def register_objectives():
    return [CumulativeLink]
