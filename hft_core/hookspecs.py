"""The whole extension surface of hft: eleven hooks, each returns a list of component classes.

A plugin is a module named in the entry-point group ``hft``. It implements the hooks that it
needs; hooks only *offer* classes, the recipe chooses and orders them::

    from typing import Literal
    from hft_core import Augmenter, Edit, hookimpl

    class Shout(Augmenter):
        \"\"\"Upper-case every text.\"\"\"
        type: Literal["shout"]

        def edits(self, texts, spans, random):
            return [[Edit(0, len(text), text.upper())] for text in texts]

    @hookimpl
    def register_augmenters():
        return [Shout]

Keep torch, transformers and other heavy packages out of the module's top level: it is imported
whenever components are listed or a recipe is checked.
"""

from __future__ import annotations

import pluggy

from hft_core.components import (
    Augmenter,
    Cleaner,
    Exporter,
    Metric,
    Model,
    Objective,
    Optimizer,
    Reader,
    Schedule,
    Task,
    Technique,
)

hookspec = pluggy.HookspecMarker("hft")
hookimpl = pluggy.HookimplMarker("hft")


@hookspec
def register_readers() -> list[type[Reader]]:
    """Offer readers: files or databases to rows."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_cleaners() -> list[type[Cleaner]]:
    """Offer cleaners: repairs of text, and filters of rows."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_augmenters() -> list[type[Augmenter]]:
    """Offer augmenters: edits that make variants of training texts."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_tasks() -> list[type[Task]]:
    """Offer tasks: what rows mean, and how outputs become predictions."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_models() -> list[type[Model]]:
    """Offer models: architectures with their preprocessors."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_objectives() -> list[type[Objective]]:
    """Offer objectives: what is minimised on a stream of data."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_optimizers() -> list[type[Optimizer]]:
    """Offer optimizers."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_schedules() -> list[type[Schedule]]:
    """Offer learning-rate schedules."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_techniques() -> list[type[Technique]]:
    """Offer techniques: changes of parameters, loss or weights, orthogonal to task and model."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_metrics() -> list[type[Metric]]:
    """Offer metrics of predictions against targets."""
    raise AssertionError("a hook specification is never called")


@hookspec
def register_exporters() -> list[type[Exporter]]:
    """Offer exporters: anything that is made of a finished model."""
    raise AssertionError("a hook specification is never called")
