"""The technique `fgm`: adversarial training on the embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from hft_core import Context, Loss, ParamGroup, RecipeError, Technique
from hft_plugins.techniques.by_part import owners, trained
from hft_plugins.techniques.passes import draws_again, embedding_changed, embedding_of

if TYPE_CHECKING:
    import torch

    from hft_core import Net


class FGM(Technique):
    """Adds the loss under a small change of the embeddings that makes it worse (Miyato, Dai & Goodfellow 2017).

    The fast gradient method: the gradient of the clean loss by the output of the embedding layer is scaled, row by row, to
    the length `epsilon`, and added to that output, as a constant, in a second pass with the same dropout. The loss becomes
    clean + adversarial. A step has two forward and three backward passes.

    While only heads are trained, such as new ones that settle, the loss is the clean one alone. Frozen embeddings are
    perturbed as others are. With techniques listed before this one, the loss that is made worse is theirs.
    """

    type: Literal["fgm"]
    epsilon: float = Field(default=1.0, gt=0)
    """Length (L2) of a row's perturbation over all its tokens, in the units of the embeddings."""

    allows_compact_table: ClassVar[bool] = True

    def prepare(self, net: Net, context: Context) -> Net:
        """Keep the net at hand. Raises RecipeError where it has no embedding layer."""
        embedding_of(net, "fgm")
        return net

    def groups(self, net: Net, groups: list[ParamGroup]) -> list[ParamGroup]:
        """Change nothing. Raises RecipeError where only heads will be trained, so that there is nothing to do."""
        owner = owners(net)
        parts = {owner[id(p)].name: owner[id(p)].kind for group in groups for p in group.params if id(p) in owner}
        if parts and set(parts.values()) == {"head"}:
            raise RecipeError(
                f"technique fgm: only heads are trained in this stage ({', '.join(parts)}), where it does nothing; remove "
                "it, or freeze less"
            )
        return groups

    def loss(self, compute: Callable[..., Loss], batch: dict[str, Any], state: Net) -> Loss:
        """Give the sum of the clean and the adversarial loss."""
        if all(part.kind == "head" for part, _ in trained(state)):
            return compute(batch)
        seen: list[torch.Tensor] = []  # one for each time that a pass embeds something

        def watch(vectors: torch.Tensor) -> torch.Tensor:
            seen.append(vectors if vectors.requires_grad else vectors.detach().requires_grad_())
            return seen[-1]

        with draws_again(batch), embedding_changed(state, "fgm", watch):
            clean = compute(batch)
        coming = iter(self._perturbations(clean, seen))
        with embedding_changed(state, "fgm", lambda vectors: vectors + next(coming).to(vectors.dtype)):
            adversarial = compute(batch)
        return Loss(clean.sum + adversarial.sum, clean.outputs)

    def _perturbations(self, loss: Loss, seen: list[torch.Tensor]) -> list[torch.Tensor]:
        """The gradient by each of `seen`, each of its rows (the first axis) of length `epsilon`; float32.

        A row whose gradient is shorter than 1e-12 gets less: the model is certain of it, and rounding has the rest.
        """
        import torch
        from torch.nn.functional import normalize

        with torch.autocast(loss.sum.device.type, enabled=False):
            found = torch.autograd.grad(loss.sum, seen, retain_graph=True, allow_unused=True, materialize_grads=True)
        return [self.epsilon * normalize(g.flatten(1).float(), dim=1, eps=1e-12).view_as(g) for g in found]
