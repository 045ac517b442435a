"""Augmenter that translates sentences into another language and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from hft_core import Edit, Editor, LearningAugmenter, PluginError, RowRandom, TextBatch, Training
from hft_plugins.augmenters.words import is_free, sentences, words


class BackTranslation(LearningAugmenter):
    """Translates each sentence into another language and back, by two sequence-to-sequence models of your own.

    A sentence with a protected span stays as it is (Sennrich, Haddow and Birch 2016).
    """

    type: Literal["back-translation"]
    lexical: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    forward: Path
    """Folder of a model that translates into another language, as transformers' `AutoModelForSeq2SeqLM` loads it."""
    back: Path
    """Folder of one that translates back."""
    beams: int = Field(default=4, ge=1, le=32)
    """Width of the search; of the way back all beams are kept, and one is drawn."""
    batch_size: int = Field(default=32, ge=1)
    """Sentences that are translated together."""
    max_tokens: int = Field(default=128, ge=2)
    """Most tokens of a translation."""

    def editor(self, training: Training) -> Editor:
        """Load both models. Raises PluginError where one cannot be loaded."""
        forward, back = _Translator(self.forward, self), _Translator(self.back, self)

        def edits(batch: TextBatch, random: RowRandom) -> list[list[Edit]]:
            places = [
                (row, start, start + len(text[start:end].rstrip()))
                for row, (text, own) in enumerate(zip(batch.texts, batch.spans, strict=True))
                for start, end in sentences(text)
                if is_free(start, end, own) and next(words(text[start:end]), None)
            ]
            away = [beams[0] for beams in forward([batch.texts[row][start:end] for row, start, end in places], 1)]
            returned = back(away, self.beams)
            numbers = random.uniform(1)[:, 0].tolist()
            result: list[list[Edit]] = [[] for _ in batch.texts]
            for (row, start, end), beams in zip(places, returned, strict=True):
                found = beams[int(numbers[row] * len(beams))].strip()
                if found and found != batch.texts[row][start:end]:
                    result[row].append(Edit(start, end, found))
            return result

        return edits


class _Translator:
    def __init__(self, folder: Path, settings: BackTranslation):
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        self.settings = settings
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self.model: Any = AutoModelForSeq2SeqLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            ).eval()
        except (OSError, ValueError) as error:
            raise PluginError(
                f"back-translation: {folder} cannot be loaded: {error}; name the folder of a sequence-to-sequence model"
            ) from error

    def __call__(self, texts: Sequence[str], keep: int) -> list[list[str]]:
        """Translate; gives the best `keep` translations of each text."""
        import torch

        order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), texts[at]))
        result: list[list[str]] = [[] for _ in texts]
        for begin in range(0, len(order), self.settings.batch_size):
            part = order[begin : begin + self.settings.batch_size]
            inputs = self.tokenizer([texts[at] for at in part], return_tensors="pt", padding=True, truncation=True)
            inputs.pop("token_type_ids", None)
            with torch.no_grad():
                tokens = self.model.generate(
                    **inputs, num_beams=self.settings.beams, num_return_sequences=keep,
                    do_sample=False, max_new_tokens=self.settings.max_tokens,
                )  # fmt: skip
            found = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
            for place, at in enumerate(part):
                result[at] = found[place * keep : (place + 1) * keep]
        return result
