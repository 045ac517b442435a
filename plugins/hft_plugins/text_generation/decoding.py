"""What a recipe says of how texts are written; `text-to-text` takes the same."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from hft_core import Settings


class DecodingSettings(Settings):
    """How the next token is chosen; by default the most likely one (greedy). Goes into the bundle."""

    beams: int = Field(default=1, ge=1, le=64)
    """Beginnings that are kept for each text (beam search); 1: greedy. Costs as many times the work."""
    length_penalty: float = 1.0
    """With beams: a text's log-probability is divided by its length to this power; more than 1 favours long texts."""
    early_stopping: bool = False
    """With beams: stop when as many texts have ended as there are beams, even if one that goes on might be better."""
    sample: bool = False
    """Draw the next token by its probability. The same text and `seed` give the same draws, whatever else is in the batch."""
    temperature: float = Field(default=1.0, gt=0)
    """For sampling: logits are divided by it; below 1 likely tokens get likelier."""
    top_k: int | None = Field(default=None, ge=1)
    """For sampling: only the so many likeliest tokens."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """For sampling: only the likeliest tokens that together have this probability (Holtzman et al. 2020)."""
    seed: int = Field(default=0, ge=0)
    """For sampling: another seed gives other texts."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        """Refuse what would be without effect."""
        if self.sample and self.beams > 1:
            raise ValueError(
                f"`sample: true` and `beams: {self.beams}` are two ways to choose a token; leave one of them out"
            )
        if not self.sample and (idle := self._set_among("seed", "temperature", "top_k", "top_p")):
            raise ValueError(f"`{idle[0]}` is for sampling; set `sample: true` with it, or leave it out")
        if self.beams == 1 and (idle := self._set_among("early_stopping", "length_penalty")):
            raise ValueError(f"`{idle[0]}` is for beam search; set `beams:` above 1 with it, or leave it out")
        return self

    def _set_among(self, *names: str) -> list[str]:
        """Those of some fields that are not as by default."""
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
