"""The technique `fitted-head`: a logistic regression on the embeddings, in place of a trained layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Context, Loss, Preprocessor, Ragged, RecipeError, Technique
from hft_fewshot.passes import outputs_of
from hft_fewshot.task import EMBEDDED

if TYPE_CHECKING:
    import torch

    from hft_core import Net, ParamGroup

_NEVER = -1e4
"""The logit of a label that no row has been seen of."""


@dataclass
class State:
    """The rows that training has seen, and where the fitted weights go."""

    head: str
    linear: torch.nn.Linear
    preprocessor: Preprocessor
    rows: dict[tuple[bytes, int], NDArray[np.int64]] = field(default_factory=dict)
    """Tokens by themselves and their label: a row that comes again counts once."""


class FittedHead(Technique):
    """Fits the head of `few-shot-classification` to convergence, whenever the model is measured and at the stage's end.

    As SetFit does (Tunstall et al. 2022): a logistic regression of the labels on the embeddings, which the model of that
    moment makes of all rows that training has seen. It is found by scikit-learn, draws nothing at random, and makes the
    validations of a contrastive stage mean something. Embedding the rows costs one pass without gradients for each
    validation; their tokens are kept in memory, as befits a few thousand rows. One process only.
    """

    type: Literal["fitted-head"]
    penalty: float = Field(default=1.0, gt=0)
    """Strength of the weights' penalty, half their squares against the sum of the rows' losses (scikit-learn's 1 / C)."""

    allows_compact_table: ClassVar[bool] = True
    follows: ClassVar[frozenset[str]] = frozenset({"ema", "swa"})  # it fits to the weights that these give

    def prepare(self, net: Net, context: Context) -> State:
        """Find the head. Raises RecipeError where there is none with an embedding, or training has several processes."""
        import torch

        from hft_fewshot.head import EmbeddedClassifier

        names = [name for name, spec in context.heads.items() if spec.name == EMBEDDED]
        found = [module for module in net.modules() if isinstance(module, EmbeddedClassifier)]
        if len(names) != 1 or len(found) != 1:
            raise RecipeError(
                "technique fitted-head: it fits the head of one task few-shot-classification, and the heads here are "
                f"{', '.join(f'{name} ({spec.name})' for name, spec in context.heads.items())}"
            )
        if (
            torch.distributed.is_available()
            and torch.distributed.is_initialized()
            and torch.distributed.get_world_size() > 1
        ):
            raise RecipeError(
                "technique fitted-head: each of several processes would see a part of the rows; start one process"
            )
        return State(names[0], found[0].linear, context.preprocessor)

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Change nothing. Raises RecipeError where another technique freezes the head, which would keep it as it was."""
        from hft_fewshot.head import EmbeddedClassifier

        own = next(module for module in net.modules() if isinstance(module, EmbeddedClassifier)).linear
        if not any(parameter is own.weight for group in groups for parameter in group.params):
            raise RecipeError(
                "technique fitted-head: another technique freezes the head, which is to be fitted; freeze less"
            )
        return groups

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: State) -> Loss:
        """Remember the rows; the loss is the objective's."""
        if "labels" not in batch or "input_ids" not in batch:
            raise RecipeError(
                f"technique fitted-head: an objective's batch has no tokens with labels (but {', '.join(batch)}); name in `on:` "
                "those of the task"
            )
        ids, real = batch["input_ids"].cpu().numpy(), batch["attention_mask"].cpu().numpy().astype(bool)
        for row, label in enumerate(batch["labels"].tolist()):
            tokens = ids[row][real[row]]
            state.rows.setdefault((tokens.tobytes(), label), tokens)
        return compute(batch)

    @contextmanager
    def averaged(self, net: Net, state: State) -> Iterator[None]:
        """The head has the fitted weights while in this context; those of labels that no row has stay."""
        import torch

        if len({label for _, label in state.rows}) < 2:
            yield
            return
        before = {name: tensor.detach().clone() for name, tensor in state.linear.named_parameters()}
        labels, weight, bias = self._fitted(net, state)
        with torch.no_grad():
            state.linear.weight.zero_()
            state.linear.bias.fill_(_NEVER)
            state.linear.weight[labels] = torch.from_numpy(weight).to(state.linear.weight)
            state.linear.bias[labels] = torch.from_numpy(bias).to(state.linear.bias)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in state.linear.named_parameters():
                    parameter.copy_(before[name])

    def _fitted(self, net: Net, state: State) -> tuple[list[int], NDArray[np.float64], NDArray[np.float64]]:
        """Give the labels that rows have, and their weights [labels, width] and biases [labels]."""
        from sklearn.linear_model import LogisticRegression

        keys = sorted(state.rows)  # by content: the order in which rows came is none of the result's business
        labels = np.array([label for _, label in keys])
        tokens = Ragged.from_rows([state.rows[key].tolist() for key in keys])
        embeddings = outputs_of(net, state.head, "embedding", tokens, state.preprocessor)
        model = LogisticRegression(C=1 / self.penalty, max_iter=1000).fit(embeddings, labels)
        weight, bias = model.coef_, model.intercept_
        if len(weight) == 1:  # of two labels, the odds of the second against the first
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        return model.classes_.tolist(), weight, bias

    def tensors(self, state: State) -> dict[str, Any]:
        """Give the rows that were seen."""
        import torch

        if not state.rows:
            return {}
        return {
            "tokens": torch.from_numpy(np.concatenate(list(state.rows.values()))),
            "lengths": torch.tensor([len(tokens) for tokens in state.rows.values()]),
            "labels": torch.tensor([label for _, label in state.rows]),
        }

    def load(self, state: State, tensors: dict[str, Any]) -> None:
        """Take them back."""
        state.rows.clear()
        if tensors:
            parts = tensors["tokens"].cpu().split(tensors["lengths"].tolist())
            for part, label in zip(parts, tensors["labels"].tolist(), strict=True):
                tokens = part.numpy()
                state.rows[(tokens.tobytes(), label)] = tokens
