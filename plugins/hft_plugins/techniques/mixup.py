"""The technique `mixup`: train between two rows, and between their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Context, Loss, RecipeError, Technique
from hft_plugins.techniques.passes import draws_again, embedding_changed, embedding_of

if TYPE_CHECKING:
    import torch

    from hft_core import Net

_LABELS, _MASK = "labels", "attention_mask"


class Mixup(Technique):
    """Mixes the embeddings of each row with those of another, and their losses alike (Zhang et al. 2018).

    For texts: Guo, Mao & Zhang 2019, "Augmenting data with mixup for sentence classification".
    In each micro-batch, a permutation says which row is mixed into which, and a share λ from Beta(alpha, alpha) how much of
    each row stays. The loss becomes λ × that with each row's own label + (1 - λ) × that with the other's; both are computed
    with the same dropout. Where the two rows differ in length, the tokens that only one has are mixed with zero. It fits
    objectives with one label per row. A step has two passes. A micro-batch of one row is mixed with
    nothing, and what is mixed depends on how a batch is divided.
    """

    type: Literal["mixup"]
    alpha: float = Field(default=0.2, gt=0)
    """Parameter of the Beta distribution: small ones leave most rows nearly as they are, 1 makes every share equally likely."""

    allows_compact_table: ClassVar[bool] = True
    # The two passes of r-drop would mix different rows; a teacher would see the rows as they were.
    excludes: ClassVar[frozenset[str]] = frozenset({"r-drop", "distillation"})
    per_row: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> Net:
        """Keep the net at hand. Raises RecipeError where it has no embedding layer."""
        embedding_of(net, "mixup")
        return net

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: Net) -> Loss:
        """Give the loss of the mixed rows. Raises RecipeError for an objective without one label per row."""
        import torch

        rows = _labels_per_row(batch)
        mask = batch.get(_MASK)
        # Drawn on the CPU, so that they are the same wherever training runs.
        kept = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        other = torch.randperm(rows).to(batch[_LABELS].device)
        inputs = {name: array for name, array in batch.items() if array.ndim > 1}
        own = {name: array for name, array in batch.items() if name not in inputs}  # labels, and weights of rows
        if mask is not None:
            inputs = {name: torch.where(mask.bool(), array, array[other]) for name, array in inputs.items()}

        def mix(vectors: torch.Tensor) -> torch.Tensor:
            # Padding holds the other's tokens; they are no part of the row itself.
            real = vectors if mask is None else vectors * mask.unsqueeze(-1).to(vectors.dtype)
            return kept * real + (1 - kept) * real[other]

        with embedding_changed(state, "mixup", mix):
            with draws_again(batch):
                first = compute(inputs | own)
            second = compute(inputs | {name: array[other] for name, array in own.items()})
        return Loss(kept * first.sum + (1 - kept) * second.sum, first.outputs)


def _labels_per_row(batch: dict[str, torch.Tensor]) -> int:
    """Give the number of rows, each of which has one label and otherwise only what the embedding layer reads."""
    labels = batch.get(_LABELS)
    if labels is None or labels.ndim != 1:
        found = "no `labels`" if labels is None else f"`labels` {list(labels.shape)}"
        raise RecipeError(
            f"technique mixup: an objective's batch has {found} (but {', '.join(batch)}), and mixing needs one label per "
            "row; name in `on:` only objectives that classify whole rows"
        )
    inputs = {name: array.shape for name, array in batch.items() if array.ndim > 1}
    read = batch[_MASK].shape if _MASK in batch else next(iter(inputs.values()), None)
    strange = [name for name, shape in inputs.items() if shape != read]
    strange += [name for name, array in batch.items() if len(array) != len(labels)]
    if strange:
        raise RecipeError(
            f"technique mixup: {strange[0]!r} {list(batch[strange[0]].shape)} is neither one number per row nor what the "
            f"embedding layer reads ({len(labels)} rows), so it cannot be mixed; remove the technique"
        )
    return len(labels)
