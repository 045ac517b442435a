"""What a component is checked with: settings, rows, hand-made cases. Plain data, given by whoever writes the component."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hft_core.components import Columns, Facts, Prediction
from hft_core.errors import PluginError
from hft_core.registry import Plugin

GROUP = "hft.samples"
"""The entry-point group in which a plugin's samples are found, under the plugin's own name."""

TEXTS = (
    "The film was good, and the music was even better than the first time.",
    "我很喜欢这家店，味道不错，下次还会再来。",
    "",
    "a",
    "  Spaced   out\ttext, with a line\nbreak.  ",
    "naïve café: 12.5 km, see [[Marie Curie]] & <<Paris>>!",
    "Don't stop. It wasn't bad; he said so twice. Nobody believed him, though.",
    "🙂 thanks 👩‍👩‍👧, that's all.",
    "今天天气很好。我们去公园散步吧！你觉得怎么样？",
)
"""Texts that every text component has to survive: English, Chinese, empty, one letter, odd spaces, emoji, markers."""

ROWS: Columns = {
    "text": [
        "a good film, and warm music",
        "a bad film with poor sound",
        "这家店很好，我喜欢",
        "这个东西很差，我不喜欢",
        "the phone is great and the case is fine",
        "the battery was awful, and so is the case",
        "lovely rooms and a quiet street",
        "a sad and broken machine",
    ],
    "label": ["pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg"],
}
"""Rows of a sample that names none: a text and one of two labels each."""


@dataclass(frozen=True)
class Case:
    """One hand-made case of a metric."""

    predictions: Sequence[Prediction]
    """As a task's `decode` gives them, one per row."""
    truths: Sequence[Prediction]
    """As a task's `truths` gives them."""
    expected: Mapping[str, float]
    """The figures that have to come out, worked out by hand; those that are left out are not compared."""
    facts: Facts = field(default_factory=dict)
    """What the task has learned, such as ``{"labels": ["neg", "pos"]}``."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The metric's settings in this case, on top of the sample's."""


@dataclass(frozen=True)
class Sample:
    """What one component is checked with. Everything has a default: give what yours needs."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    """As a recipe says them, without `type`. A relative path starts in the folder with `files`."""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    """Files by name, written into an empty folder before the component is made."""
    prepare: Callable[[Path], None] | None = None
    """Writes into that folder what is no plain file, such as a trained model."""
    texts: Sequence[str] = TEXTS
    """What cleaners and augmenters are given."""
    columns: Columns = field(default_factory=lambda: ROWS)
    """Rows for row filters, learning augmenters, tasks, objectives, techniques and exporters."""
    records: int | None = None
    """How many records a reader's source has: rows and refusals together."""
    cases: Sequence[Case] = ()
    """Hand-made cases of a metric; one at least."""
    task: Mapping[str, Any] = field(default_factory=lambda: {"type": "text-classification"})
    """The task whose rows `columns` are, for objectives, techniques and exporters."""
    model: Mapping[str, Any] = field(
        default_factory=lambda: {
            "type": "bert",
            "source": {"scratch": "tiny", "tokenizer": {"type": "wordpiece", "size": 300}},
            "max_length": 32,
        }
    )
    """The model that tasks, objectives, techniques and exporters work with; any that is installed."""
    objective: Mapping[str, Any] = field(default_factory=dict)
    """The objective that a technique changes the loss of; default: the task's."""
    heads: Mapping[str, int | None] = field(default_factory=lambda: {"sequence-classification": 2})
    """Heads that a model is tried with, by stock name, with their sizes."""
    inputs: Callable[[Any, list[str]], Mapping[str, Any]] | None = None
    """Makes a padded batch of a model's preprocessor and some texts, where its `encode` and `pad` alone do not."""
    reload: Callable[[Path], Callable[[list[dict[str, Any]]], list[Prediction]]] | None = None
    """Reads what an exporter wrote into a folder, and gives what predicts rows with it. A bundle needs none."""
    skip: Mapping[str, str] = field(default_factory=dict)
    """Checks that cannot be made of this component, each with the reason, which the tests show."""


Samples = Mapping[str, Sample]
"""Samples by the component's type, or by ``kind/type`` where two kinds have one type."""


def installed_samples(plugin: Plugin) -> Samples:
    """Give the samples that a plugin's distribution offers in the group ``hft.samples``; none where it offers none.

    Raises PluginError where they cannot be imported, or are no mapping of samples.
    """
    for point in entry_points(group=GROUP, name=plugin.name):
        if point.dist and point.dist.name == plugin.distribution:
            try:
                samples = point.load()
            except Exception as error:  # whatever the module does
                raise PluginError(
                    f"{point.value}, the samples of plugin {plugin.title}: {type(error).__name__}: {error}"
                ) from error
            if not isinstance(samples, Mapping) or not all(isinstance(sample, Sample) for sample in samples.values()):
                raise PluginError(
                    f"{point.value}, the samples of plugin {plugin.title}, has to be a dict from type to Sample"
                )
            return samples
    return {}
