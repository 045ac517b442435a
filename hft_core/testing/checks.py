"""All checks of a plugin, each with its id: those of the plugin, those of every component, those of a kind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hft_core.components import KINDS
from hft_core.errors import PluginError
from hft_core.registry import Plugin, Registry, load_registry
from hft_core.testing import (
    augmenter,
    cleaner,
    component,
    elsewhere,
    exporter,
    metric,
    model,
    objective,
    optimizer,
    plugin_checks,
    reader,
    schedule,
    task,
    technique,
)  # fmt: skip
from hft_core.testing.sample import Sample, Samples, installed_samples
from hft_core.testing.subject import Subject, Unchecked

OF_KIND: Mapping[str, tuple[Callable[[Subject], None], ...]] = {
    "reader": (*reader.CHECKS, elsewhere.is_the_same_in_another_process),
    "cleaner": (*cleaner.CHECKS, elsewhere.is_the_same_in_another_process),
    "augmenter": (*augmenter.CHECKS, elsewhere.is_the_same_in_another_process),
    "task": task.CHECKS,
    "model": model.CHECKS,
    "objective": objective.CHECKS,
    "optimizer": optimizer.CHECKS,
    "schedule": schedule.CHECKS,
    "technique": technique.CHECKS,
    "metric": metric.CHECKS,
    "exporter": exporter.CHECKS,
}
"""The checks of a kind's components, beside those of every component."""


@dataclass(frozen=True)
class Check:
    """One check of one plugin or component. Calling it raises AssertionError if it fails, Unchecked if it cannot be made."""

    id: str
    """``check`` for a plugin, ``kind/type:check`` for a component."""
    run: Callable[[], None]
    """Does it."""
    summary: str
    """What it holds, in a sentence."""

    def __call__(self) -> None:
        """Do it."""
        self.run()


def checks_of(
    name: str, samples: Samples | None = None, files: Iterable[Path | str] = (), only: Iterable[str] = ()
) -> list[Check]:
    """Give the checks of a plugin.

    Args:
        name: of the plugin, or of its distribution if that has one plugin.
        samples: what its components are checked with; default: what its distribution offers as ``hft.samples``.
        files: plugin files to load besides.
        only: types of components; default: all.

    Raises PluginError for a plugin that is not installed.
    """
    registry = load_registry(files, strict=False)
    plugin = find(registry, name)
    given = installed_samples(plugin) if samples is None else samples
    wanted = set(only)
    checks = [_check(function.__name__, function, plugin, registry) for function in plugin_checks.CHECKS]
    for cls in plugin.components:
        sample = given.get(f"{cls.kind}/{cls.type_name()}", given.get(cls.type_name(), Sample()))
        subject = Subject(plugin, cls, sample, registry)
        if not wanted or cls.type_name() in wanted:
            checks += _of_component(subject)
    return checks


def find(registry: Registry, name: str) -> Plugin:
    """Give the plugin of this name. Raises PluginError where there is none, or several."""
    found = [plugin for plugin in registry.plugins if name in (plugin.name, plugin.distribution)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(plugin.title for plugin in found)
        raise PluginError(f"{name!r} are several plugins: {names}; name one of them")
    known = ", ".join(sorted({plugin.name for plugin in registry.plugins}))
    raise PluginError(f"there is no plugin {name!r}. Installed: {known}")


def _of_component(subject: Subject) -> Iterator[Check]:
    for function in (*component.CHECKS, *OF_KIND[subject.cls.kind]):
        if subject.cls.kind == "cleaner" and not cleaner.applies(subject.cls, function):
            continue
        run = function
        if reason := subject.sample.skip.get(function.__name__):
            run = partial(_left_out, reason)
        yield _check(f"{subject.title}:{function.__name__}", run, subject, said=function)


def _left_out(reason: str, subject: Subject) -> None:
    raise Unchecked(reason)


def _check(id: str, function: Callable[..., None], *arguments: Any, said: Callable[..., None] | None = None) -> Check:
    summary = " ".join((inspect.getdoc(said or function) or "").split())
    return Check(id, partial(function, *arguments), summary)


assert set(OF_KIND) == set(KINDS)
