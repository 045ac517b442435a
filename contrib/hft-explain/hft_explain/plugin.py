"""The exporter `explain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hft_core import Exporter, Finished, Section, Task, hookimpl
from hft_explain.forms import form_of, refusal

if TYPE_CHECKING:
    from hft_core import Net


class Explain(Exporter):
    """What a prediction rests on: how much each token of a few validation rows speaks for it, or against it.

    In the report as coloured texts, in `attributions.jsonl` as numbers with their places in the texts that were read.

    A classification's label, a number, each label out of a set, each entity (by the tag of its first token), and an answer
    (by its first and last token) can be explained. What is divided among the tokens is the prediction's log-odds (of a
    number: its logit) less those of the same text with nothing in it.
    """

    type: Literal["explain"]

    packages: ClassVar[tuple[str, ...]] = ("captum",)

    method: Literal["integrated-gradients", "occlusion"] = "integrated-gradients"
    """`integrated-gradients` (Sundararajan et al. 2017): the gradient by the embeddings, along the straight line from a text
    with nothing in it to this one. What tokens get adds up to the difference between the two; the report says how nearly.
    `occlusion` (Zeiler & Fergus 2014): how much the prediction loses with a token hidden; one pass for each token."""
    rows: int = Field(default=8, ge=1, le=10_000)
    """Validation rows to explain: evenly spaced, the same for every model and method. A row of which nothing is predicted,
    such as one without an entity, makes room for another."""
    most: int = Field(default=3, ge=1)
    """Most entities, or labels out of a set, to explain in one row."""
    steps: int | None = Field(default=None, ge=2, le=10_000)
    """Integrated gradients: points on the line at first, 50 by default. They are doubled, at most four times, until the sum
    misses the difference by no more than 5 %: the line may cross a cliff of the model's."""
    window: int | None = Field(default=None, ge=1)
    """Occlusion: tokens that are hidden together, 1 by default. With more, each gets the mean of all windows it is in."""
    baseline: Literal["mask", "padding", "zero"] | None = None
    """What stands for a token that is not there: the tokenizer's `mask` token, its `padding` token, or (integrated gradients
    only) an embedding of zeros. Default: the mask token where the tokenizer has one, else the padding token. Special tokens
    stay."""
    shown: int = Field(default=24, ge=0)
    """Most explanations that the report shows; the file has all of them."""

    @model_validator(mode="after")
    def _settings_belong_to_the_method(self) -> Self:
        occludes = self.method == "occlusion"
        if self.steps is not None and occludes:
            raise ValueError("`steps` belongs to integrated-gradients; remove it")
        if self.window is not None and not occludes:
            raise ValueError("`window` belongs to occlusion; remove it, or write `method: occlusion`")
        if self.baseline == "zero" and occludes:
            raise ValueError("`baseline: zero` is an embedding, and occlusion hides tokens; take mask or padding")
        return self

    def refusal(self, task: Task) -> str | None:
        """Say of which tasks there is nothing to divide among tokens."""
        return refusal(task) if form_of(task) is None else None

    def export(self, net: Net, run: Finished, folder: Path, log: Callable[[str], None]) -> Section:
        """Explain rows, write attributions.jsonl, and give a section for the report.

        Raises PluginError where a model has no embedding layer, no such baseline, or outputs that do not fit the task.
        """
        from hft_explain.export import export

        return export(self, net, run, folder, log)


@hookimpl
def register_exporters() -> list[type[Exporter]]:
    """Offer the exporter."""
    return [Explain]
