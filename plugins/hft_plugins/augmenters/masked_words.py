"""Augmenter that lets the model's own masked language model replace words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hft_core import Edit, Editor, HeadSpec, LearningAugmenter, PluginError, RowRandom, TextBatch, Training
from hft_core.runtime.ragged import Ragged, take
from hft_plugins.augmenters.neighbours import one_token
from hft_plugins.augmenters.protected import PROTECTED
from hft_plugins.augmenters.words import chosen, draws, fits_article, is_free, plain, share, spelt_like, words

_HEAD = "masked-lm"

Place = tuple[int, int, int, float]
"""A word that is hidden: row, start, end, and the random number that chooses among its candidates."""


class MaskedWords(LearningAugmenter):
    """Hides words and lets the recipe's own masked language model fill the gaps; protected words stay.

    Words (in Chinese: characters) of one token are replaced by others of one token, in one pass over all texts of a batch.
    The label is not seen: in small data, `check` the result. Kumar, Choudhary and Cho 2020 condition on the label instead.
    """

    type: Literal["masked-words"]
    lexical: ClassVar[bool] = False
    reads_model: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    rate: float = Field(default=0.1, gt=0, le=1)
    """Share of the words that are hidden: at least one."""
    candidates: int = Field(default=5, ge=1, le=100)
    """How many of the likeliest fillings one is drawn from; the word itself is none."""
    batch_size: int = Field(default=64, ge=1)
    """Windows that go through the model together."""
    protect: list[str] = Field(default_factory=list)
    """Further words that stay."""

    def editor(self, training: Training) -> Editor:
        """Build the model. Raises PluginError where it has no trained masked-LM head."""
        if training.net is None:
            raise PluginError("masked-words: there is no model to fill gaps with")
        net, preprocessor = training.net({_HEAD: HeadSpec(_HEAD)})
        if _HEAD in net.new_heads or "mask" not in preprocessor.settings().get("special", {}):
            raise PluginError(
                "masked-words: the recipe's model has no trained masked-LM head; start from an earlier run with a stage "
                "of masked-lm, or use `neighbours`"
            )
        filler = _Filler(net, preprocessor, self.batch_size, PROTECTED.union(word.lower() for word in self.protect))
        return lambda batch, random: self._edits(filler, batch, random)

    def _edits(self, filler: _Filler, batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
        rows = [
            [
                match.span()
                for match in words(text)
                if plain(match[0]) not in filler.protected and is_free(*match.span(), own)
            ]
            for text, own in zip(batch.texts, batch.spans, strict=True)
        ]
        counts = [min(share(self.rate, len(row)), len(row)) for row in rows]
        places: list[Place] = []
        for row, (found, count, numbers) in enumerate(
            zip(rows, counts, draws(random, [2 * count for count in counts]), strict=True)
        ):
            taken = chosen(len(found), numbers[:count])
            places += [(row, *found[at], number) for at, number in zip(taken, numbers[count : 2 * count], strict=True)]
        result: list[list[Edit]] = [[] for _ in batch.texts]
        for (row, start, end, number), others in filler.fill(batch.texts, sorted(places), self.candidates):
            if others:
                word = others[int(number * len(others))]
                result[row].append(Edit(start, end, spelt_like(batch.texts[row][start:end], word)))
        return result


class _Filler:
    """The model, and what it has said about its tokens."""

    def __init__(self, net: Any, preprocessor: Any, batch_size: int, protected: frozenset[str]):
        self.net, self.preprocessor, self.batch_size, self.protected = net, preprocessor, batch_size, protected
        self.mask: int = preprocessor.settings()["special"]["mask"]
        self._words: dict[int, str | None] = {}

    def fill(self, texts: Sequence[str], places: Sequence[Place], most: int) -> list[tuple[Place, list[str]]]:
        """Give the likeliest words for each place, at most so many."""
        arrays = self.preprocessor.windows(list(texts), offsets=True)
        ids, offsets = arrays["input_ids"].values.copy(), arrays["offsets"].values
        windows = np.repeat(np.arange(len(arrays["row"])), arrays["input_ids"].lengths)
        token_of = {
            (int(arrays["row"][window]), start, end): token
            for token, (window, (start, end)) in enumerate(zip(windows.tolist(), offsets.tolist(), strict=True))
            if start < end
        }
        # Some tokenizers count the space before a word as its own.
        hidden = {
            place: token
            for place in places
            if (token := token_of.get(place[:3], token_of.get((place[0], place[1] - 1, place[2])))) is not None
        }
        ids[list(hidden.values())] = self.mask
        inputs = {"input_ids": Ragged(ids, arrays["input_ids"].offsets)}
        tops = self._tops(inputs, sorted(hidden.values()), windows, 4 * most)
        return [(place, self._fitting(texts, place, tops[token], most)) for place, token in hidden.items()]

    def _tops(
        self, inputs: dict[str, Any], tokens: Sequence[int], windows: NDArray[Any], count: int
    ) -> dict[int, list[int]]:
        """Give the likeliest tokens of each hidden one, by its position over all windows."""
        import torch

        device = next(self.net.parameters()).device
        starts = inputs["input_ids"].offsets
        tops: dict[int, list[int]] = {}
        of_window: dict[int, list[int]] = {}
        for token in tokens:
            of_window.setdefault(int(windows[token]), []).append(token)
        by_length = sorted(of_window, key=lambda window: (int(inputs["input_ids"].lengths[window]), window))
        for begin in range(0, len(by_length), self.batch_size):
            part = by_length[begin : begin + self.batch_size]
            batch = self.preprocessor.pad(take(inputs, np.array(part)))
            width = batch["input_ids"].shape[1]
            left = getattr(self.preprocessor, "padding_side", "right") == "left"
            own = [token for window in part for token in of_window[window]]
            flat = [
                at * width + token - int(starts[window]) + (width - int(inputs["input_ids"].lengths[window])) * left
                for at, window in enumerate(part)
                for token in of_window[window]
            ]
            tensors = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            with torch.no_grad():
                logits = self.net(_HEAD, **tensors, positions=torch.tensor(flat, device=device))["logits"]
            best = logits.reshape(-1, logits.shape[-1]).topk(min(count, logits.shape[-1])).indices.tolist()
            tops |= dict(zip(own, best, strict=True))
        return tops

    def _fitting(self, texts: Sequence[str], place: Place, tokens: Sequence[int], most: int) -> list[str]:
        row, start, end, _ = place
        text = texts[row]
        own = text[start:end].lower()
        before = text[:start].rsplit(None, 1)[-1].lower() if text[:start].strip() else ""
        found = [word for token in tokens if (word := self._word(token)) is not None]
        return [word for word in found if word.lower() != own and fits_article(before, word)][:most]

    def _word(self, token: int) -> str | None:
        """The word that a token is behind a space, None where it is none or protected."""
        if token not in self._words:
            text = self.preprocessor.decode(Ragged.from_rows([[token]]))[0].strip()
            found = [match[0] for match in words(text)]
            whole = found == [text] and text.lower() not in self.protected
            self._words[token] = text if whole and one_token([text], self.preprocessor).get(text) == token else None
        return self._words[token]
