"""hft: the engine for hybrid fine-tuning of language models.

The names below are the public interface, for programs and for plugins. They are loaded when first
used, so that ``import hft_core.runtime`` costs nothing but numpy, tokenizers and onnxruntime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hft_core.components import *  # noqa: F403  # the same names as in _HOMES, for type checkers
    from hft_core.components.net import Net as Net
    from hft_core.components.net import Part as Part
    from hft_core.components.pooling import pooled as pooled
    from hft_core.data.keys import target_text as target_text
    from hft_core.data.languages import detect_languages as detect_languages
    from hft_core.data.similarity import TextIndex as TextIndex
    from hft_core.data.survey import joined_texts as joined_texts
    from hft_core.errors import DamagedError as DamagedError
    from hft_core.errors import DataError as DataError
    from hft_core.errors import DiskError as DiskError
    from hft_core.errors import HftError as HftError
    from hft_core.errors import Interrupted as Interrupted
    from hft_core.errors import LockedError as LockedError
    from hft_core.errors import NonFiniteError as NonFiniteError
    from hft_core.errors import OutOfMemoryError as OutOfMemoryError
    from hft_core.errors import PluginError as PluginError
    from hft_core.errors import RecipeError as RecipeError
    from hft_core.evidence.label_noise import doubted_labels as doubted_labels
    from hft_core.evidence.temperature import fitted_temperature as fitted_temperature
    from hft_core.evidence.thresholds import best_threshold as best_threshold
    from hft_core.hookspecs import hookimpl as hookimpl
    from hft_core.pipeline.run import Run as Run
    from hft_core.pipeline.run import run as run
    from hft_core.runtime.edits import Edit as Edit
    from hft_core.runtime.ragged import Arrays as Arrays
    from hft_core.runtime.ragged import Ragged as Ragged
    from hft_core.runtime.randomness import RowRandom as RowRandom

_COMPONENTS = (
    "Augmenter Call Cleaner Columns Component Context Editor Exporter Facts Finished Graph HeadSpec LabelNames "
    "LearningAugmenter Loss Mark Metric Model Objective Optimizer ParamGroup Passage Prediction Preprocessor Ramp Reader "
    "Refusal Roles RowFilter Rows Schedule Section Settings Spans Stream Task Technique TextBatch TextCleaner "
    "TextEncoder Training resolve_path"
)
_ERRORS = (
    "DamagedError DataError DiskError HftError Interrupted LockedError NonFiniteError OutOfMemoryError PluginError "
    "RecipeError"
)
_HOMES = {
    **dict.fromkeys(_COMPONENTS.split(), "hft_core.components"),
    **dict.fromkeys(_ERRORS.split(), "hft_core.errors"),
    "Net": "hft_core.components.net",
    "Part": "hft_core.components.net",
    "pooled": "hft_core.components.pooling",
    "hookimpl": "hft_core.hookspecs",
    "Edit": "hft_core.runtime.edits",
    "Arrays": "hft_core.runtime.ragged",
    "Ragged": "hft_core.runtime.ragged",
    "RowRandom": "hft_core.runtime.randomness",
    "TextIndex": "hft_core.data.similarity",
    "detect_languages": "hft_core.data.languages",
    "joined_texts": "hft_core.data.survey",
    "target_text": "hft_core.data.keys",
    "doubted_labels": "hft_core.evidence.label_noise",
    "best_threshold": "hft_core.evidence.thresholds",
    "fitted_temperature": "hft_core.evidence.temperature",
    "Run": "hft_core.pipeline.run",
    "run": "hft_core.pipeline.run",
}
__all__ = sorted(_HOMES)  # a computed list: the names stand once


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("hft-core")
    if name not in _HOMES:
        raise AttributeError(f"module 'hft_core' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
