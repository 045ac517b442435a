"""The base classes of all components, one file per kind. Imports neither torch nor transformers."""

from hft_core.components.augmenter import Augmenter, Editor, LearningAugmenter, Spans, TextBatch, Training
from hft_core.components.base import NAME, Component, Settings, resolve_path
from hft_core.components.cleaner import Cleaner, RowFilter, TextCleaner
from hft_core.components.exporter import Exporter, Finished, Mark, Passage, Section
from hft_core.components.metric import Metric
from hft_core.components.model import Graph, Model, Preprocessor, TextEncoder
from hft_core.components.objective import Loss, Objective, Ramp, Stream
from hft_core.components.optimizer import Optimizer, ParamGroup
from hft_core.components.reader import Columns, LabelNames, Reader, Refusal, Rows
from hft_core.components.schedule import Schedule
from hft_core.components.task import Call, Facts, HeadSpec, Prediction, Roles, Task
from hft_core.components.technique import Context, Technique

KINDS: dict[str, type[Component]] = {
    base.kind: base
    for base in (
        Reader, Cleaner, Augmenter, Task, Model, Objective, Optimizer, Schedule, Technique, Metric, Exporter,
    )
}  # fmt: skip
"""The base class of each kind, by the kind's word."""

__all__ = [
    "KINDS",
    "NAME",
    "Augmenter",
    "Call",
    "Cleaner",
    "Columns",
    "Component",
    "Context",
    "Editor",
    "Exporter",
    "Facts",
    "Finished",
    "Graph",
    "HeadSpec",
    "LabelNames",
    "LearningAugmenter",
    "Loss",
    "Mark",
    "Metric",
    "Model",
    "Objective",
    "Optimizer",
    "ParamGroup",
    "Passage",
    "Prediction",
    "Preprocessor",
    "Ramp",
    "Reader",
    "Refusal",
    "Roles",
    "RowFilter",
    "Rows",
    "Schedule",
    "Section",
    "Settings",
    "Spans",
    "Stream",
    "Task",
    "Technique",
    "TextBatch",
    "TextCleaner",
    "TextEncoder",
    "Training",
    "resolve_path",
]
