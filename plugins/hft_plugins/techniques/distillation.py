"""The technique `distillation`: learn from a trained model's outputs besides the targets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Loss, Model, Preprocessor, RecipeError, Technique
from hft_core.runtime.text import TextPreprocessor
from hft_plugins.techniques.classes import counted

if TYPE_CHECKING:
    import torch

    from hft_core import Context, Net


class Distillation(Technique):
    """Pulls the outputs towards those of a teacher (Hinton et al. 2015).

    The loss becomes (1 - weight) × the objective's + weight × T² × KL(teacher ‖ student), both softened by the temperature
    T; the factor T² keeps the gradients of the two comparable. The second sum is over what the objective's is over: rows,
    or tokens with a label. It fits objectives whose net gives `logits` over classes or the vocabulary.
    """

    type: Literal["distillation"]
    teacher: Model
    """A trained model: any that has a `source`, such as an earlier run's folder. It needs the same vocabulary, and for the
    task a head that knows its labels, in any order, and perhaps more."""
    temperature: float = Field(default=2.0, gt=0)
    """What both models' logits are divided by; a higher one tells more of the classes that the teacher thinks unlikely."""
    weight: float = Field(default=0.5, gt=0, le=1)
    """Share of the teacher in the loss; 1: the targets do not count."""

    allows_compact_table: ClassVar[bool] = True
    excludes: ClassVar[frozenset[str]] = frozenset({"mixup"})  # the teacher would see the rows unmixed
    repeatable: ClassVar[bool] = True  # several teachers
    per_row: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> torch.nn.Module:
        """Load the teacher. Raises RecipeError where it is untrained, or its tokens are not the student's."""
        start = self.teacher.locate()
        if start is None:
            raise RecipeError(
                f"technique distillation: the teacher ({self.teacher.describe()}) is untrained; set its `source:` to a "
                "trained model, such as an earlier run's folder"
            )
        self._compare(self.teacher.preprocessor(start, []), context.preprocessor)
        teacher = self.teacher.build(start, context.preprocessor, context.heads)
        return _guarded(teacher.requires_grad_(False), self.teacher.describe())

    def _compare(self, own: Preprocessor, student: Preprocessor) -> None:
        """Refuse a teacher that would read other words than the student's rows say, or cannot read their length."""
        if _vocabulary(own) != _vocabulary(student):
            raise RecipeError(
                f"technique distillation: the teacher ({self.teacher.describe()}) has another vocabulary than the model that "
                "is trained, so it cannot read its tokens; take a teacher with the same tokenizer"
            )
        most, wanted = own.settings().get("max_length"), student.settings().get("max_length")
        if most is not None and wanted is not None and most < wanted:
            raise RecipeError(
                f"technique distillation: the teacher ({self.teacher.describe()}) takes {most} tokens at most, the model that "
                f"is trained {wanted}; set `max_length: {most}` in the recipe's model"
            )

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: torch.nn.Module) -> Loss:
        """Mix the objective's sum with the divergence from the teacher."""
        import torch
        from torch.nn.functional import kl_div, log_softmax

        own = compute(batch)
        with torch.no_grad():
            taught = compute(batch, net=state.to(own.sum.device))
        chosen = counted(batch, own, "distillation")
        logits, wanted = own.outputs["logits"], taught.outputs["logits"]
        if logits.shape != wanted.shape:
            raise RecipeError(
                f"technique distillation: the teacher's logits are {list(wanted.shape)}, the student's {list(logits.shape)}; "
                "take a teacher with the same labels"
            )
        student = log_softmax(logits.flatten(0, -2)[chosen].float() / self.temperature, -1)
        teacher = log_softmax(wanted.flatten(0, -2)[chosen].float() / self.temperature, -1)
        divergence = kl_div(student, teacher, reduction="sum", log_target=True)
        total = (1 - self.weight) * own.sum + self.weight * self.temperature**2 * divergence
        return Loss(total, own.outputs)


def _guarded(teacher: Net, title: str) -> torch.nn.Module:
    """The teacher as objectives call it; a head of it that nobody trained has nothing to teach."""
    import torch

    class Teacher(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = teacher

        def forward(self, head: str, **arrays: torch.Tensor) -> dict[str, torch.Tensor]:
            if head in teacher.new_heads:
                raise RecipeError(
                    f"technique distillation: the teacher ({title}) has no trained head for {head!r} with the same labels. "
                    "Train it on this task first; where a stage has several objectives, name those to be taught in `on:`"
                )
            outputs: dict[str, torch.Tensor] = self.net(head, **arrays)
            return outputs

    return Teacher().eval()


def _vocabulary(preprocessor: Preprocessor) -> Mapping[str, Any]:
    """What says which numbers stand for what."""
    if isinstance(preprocessor, TextPreprocessor):
        return preprocessor.tokenizer.get_vocab(with_added_tokens=True)
    with tempfile.TemporaryDirectory() as folder:
        preprocessor.save(Path(folder))
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}
