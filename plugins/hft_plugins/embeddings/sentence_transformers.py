"""The files by which sentence-transformers loads a folder of transformers: which modules it consists of, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MODES = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "last": "lasttoken"}
"""Our poolings by their names there."""
_MODULES = "modules.json"


def write(folder: Path, pooling: str, normalise: bool) -> None:
    """Describe the model in `folder`: tokens, pooling, and with `normalise` vectors of length 1.

    The form is that of version 2, which later ones read too. Of several tasks the first one describes the folder; nothing
    is written for a model that is not in transformers' form.
    """
    config = folder / "config.json"
    if (folder / _MODULES).exists() or not config.is_file():
        return
    settings = json.loads(config.read_text("utf-8"))
    width = settings.get("hidden_size") or settings.get("n_embd") or settings.get("dim") or settings.get("d_model")
    parts = [("", "Transformer"), ("1_Pooling", "Pooling"), *([("2_Normalize", "Normalize")] if normalise else [])]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(parts)
    ]
    modes = {f"pooling_mode_{theirs}": pooling == ours for ours, theirs in _MODES.items()}
    longest = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["model_max_length"]
    _write(folder / _MODULES, modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    _write(folder / "config_sentence_transformers.json", {"prompts": {}, "similarity_fn_name": "cosine"})
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    if normalise:
        _write(folder / "2_Normalize" / "config.json", {})


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
