"""A run: a recipe carried out, and the folder with what came of it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hft_core.errors import DISK_ERRNOS, DamagedError, DiskError, HftError, PluginError, RecipeError, frames_of
from hft_core.pipeline.execute import execute
from hft_core.pipeline.folder import require_writable, write_run
from hft_core.pipeline.gates import Settled, as_written, has_gates
from hft_core.pipeline.gates_run import Carrier, carry_out_gates
from hft_core.pipeline.journal import Journal
from hft_core.pipeline.plan import Plan, build_plan
from hft_core.pipeline.progress import Progress, Several
from hft_core.pipeline.ranks import Ranks, joined
from hft_core.pipeline.steps.common import read_json
from hft_core.pipeline.trackers import Trackers
from hft_core.recipe.check import check_processes
from hft_core.recipe.load import LoadedRecipe, load_recipe
from hft_core.recipe.plugins import registry_for
from hft_core.registry import Registry
from hft_core.store.gc import in_use
from hft_core.store.store import Store
from hft_core.training.stopping import watch


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Open a run folder. Raises RecipeError where it is none."""
        folder = Path(folder)
        if not (folder / "run.json").is_file():
            raise RecipeError(f"{folder} is no run folder (it has no run.json)")
        return cls(folder)

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures by split, such as ``metrics["test"]["accuracy"]``; with several seeds the means. NaN where one is undefined."""
        report = json.loads((self.folder / "report.json").read_text("utf-8"))
        return {
            split: {name: math.nan if figure["value"] is None else figure["value"] for name, figure in figures.items()}
            for split, figures in report["metrics"].items()
        }

    @property
    def bundle(self) -> Path:
        """The exported bundle. Raises RecipeError where the recipe has no export, or several tasks: see `bundles`."""
        if len(self.bundles) > 1:
            raise RecipeError(f"{self.folder} has a bundle for each task: {', '.join(self.bundles)}; see Run.bundles")
        if not (self.folder / "bundle").is_dir():
            raise RecipeError(f"{self.folder} has no bundle: the recipe has no `export`. Run: hft export {self.folder}")
        return self.folder / "bundle"

    @property
    def bundles(self) -> dict[str, Path]:
        """The exported bundles by task, where the recipe has several."""
        return {path.name.removeprefix("bundle-"): path for path in sorted(self.folder.glob("bundle-*"))}

    @property
    def model(self) -> Path:
        """The finished model, as transformers loads it."""
        return self.folder / "model"

    def require_whole(self) -> None:
        """Raise DamagedError where an exporter refused a variant that does not behave like the model."""
        if refused := read_json(self.folder / "report.json").get("refused"):
            raise DamagedError("\n".join((*refused, f"everything else is in {self.folder}")))

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def predict(self, inputs: Sequence[str] | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Predict texts, or rows with the task's columns, through the bundle."""
        from hft_core.runtime import load

        return load(self.bundle).predict(inputs)


def run(
    recipe: Path | str | Mapping[str, Any],
    *,
    out: Path | str | None = None,
    overrides: Iterable[str] = (),
    plugins: Iterable[Path | str] = (),
    progress: Progress | None = None,
    wait: bool = True,
) -> Run:
    """Carry out a recipe, given as file or dict, and give its Run.

    Args:
        recipe: a YAML file, or the same as a dict; paths in a dict start at the working folder.
        out: the run folder; default `runs/NAME` beside the recipe.
        overrides: changes such as ``"stages.1.optimizer.lr=3e-5"``.
        plugins: files with components, without packaging.
        progress: told about what happens; default: silence.
        wait: wait where another process computes the same, instead of raising LockedError.

    Raises the errors of `hft_core`, each saying what to do. What is finished stays in the store, so the
    same call continues after any of them. Under torchrun every process calls it, and trains; one of them does the rest.
    What it raises in one, it raises in all, as an HftError with the same `exit_code`.
    """
    with joined() as ranks:
        overrides = list(overrides)
        registry = registry_for(recipe, plugins, overrides=overrides)
        loaded = load_recipe(recipe, registry, overrides)
        result = carry_out(loaded, registry, Path(out) if out else None, progress or Progress(), wait)
        if ranks.first:
            result.require_whole()
    return result


def store_of(folder: Path) -> Store:
    """The store: HFT_STORE, or `.hft` beside the recipe."""
    return Store(Path(os.environ.get("HFT_STORE") or folder / ".hft").absolute())


def carry_out(
    loaded: LoadedRecipe,
    registry: Registry,
    out: Path | None,
    progress: Progress,
    wait: bool = True,
    store: Store | None = None,
) -> Run:
    """Execute a loaded recipe and write its run folder; `store` defaults to `store_of` the recipe's folder.

    Whether all exports were written is for the caller to ask, with `Run.require_whole`.
    """
    target = out or loaded.folder / "runs" / loaded.recipe.name
    with joined() as ranks:
        _carried_out(loaded, registry, target, progress, wait, store or store_of(loaded.folder), ranks)
    return Run(target)


def _carried_out(
    loaded: LoadedRecipe, registry: Registry, target: Path, progress: Progress, wait: bool, store: Store, ranks: Ranks
) -> None:
    check_processes(loaded, ranks.count)
    if ranks.first:
        require_writable(target)
    else:
        progress = Progress()
    try:
        with typed_errors(registry, target):
            ranks.begin(store.root)
            plan = _planned(as_written(loaded, registry), registry, ranks)
        if not ranks.first:
            with typed_errors(registry, target), watch(progress.say) as ranks.stop:
                execute(plan.nodes, store, progress, ranks.stop, wait, ranks, plan.spared)
            return
        names = [tracker.type for tracker in loaded.recipe.trackers]
        with (
            in_use(store, [node.key for node in plan.nodes]),
            Journal(
                loaded.recipe.name, plan, store, target, progress.say, names, loaded.recipe.report.texts
            ) as journal,
            typed_errors(registry, target),
        ):
            told = Several(progress, journal)
            with watch(told.say) as ranks.stop, Carrier(store, told, ranks.stop, wait, journal) as carrier:
                settled = Settled(loaded)
                if has_gates(loaded):
                    settled = carry_out_gates(loaded, registry, plan, carrier)
                    begun = {node.key for node in plan.nodes}
                    plan = journal.plan = build_plan(settled.loaded, registry)
                    carrier.keep([node.key for node in plan.nodes if node.key not in begun])
                with Trackers(loaded, journal, target, told.say) as trackers:
                    folders = execute(plan.nodes, store, Several(told, trackers), ranks.stop, wait, ranks, plan.spared)
                write_run(loaded, settled, registry, plan, store, folders, target, told.say, journal)
    finally:
        progress.close()


def _planned(loaded: LoadedRecipe, registry: Registry, ranks: Ranks) -> Plan:
    """The plan; the first process makes its own before the others, which then find a hub's model on the disk."""
    if not ranks.first:
        ranks.hear("planned")
    plan = build_plan(loaded, registry)
    ranks.tell("planned", True)
    return plan


@contextmanager
def typed_errors(registry: Registry, target: Path) -> Iterator[None]:
    """Turn what goes wrong into the errors of `hft_core`; what remains is a defect."""
    try:
        yield
    except HftError:
        raise
    except Exception as error:
        if culprit := _culprit(error, registry):
            raise PluginError(culprit) from error
        if isinstance(error, ModuleNotFoundError):
            raise PluginError(
                f'{error}: training needs more than the base; run: pip install "hft-core[train]"'
            ) from error
        if isinstance(error, OSError) and error.errno in DISK_ERRNOS:
            raise DiskError(f"{target} cannot be written: {error.strerror}; choose another place with --out") from error
        raise


def _culprit(error: Exception, registry: Registry) -> str | None:
    """Name the plugin in whose code an error arose, unless it is one of ours."""
    for filename, line in reversed(frames_of(error)):
        for plugin in registry.plugins:
            inside = plugin.source and (Path(filename) == plugin.source or plugin.source in Path(filename).parents)
            if inside and plugin.distribution != "hft-core":
                return (
                    f"plugin {plugin.title} failed in {filename}, line {line}: {type(error).__name__}: {error}. "
                    "Correct it, or leave its component out of the recipe; what is finished is kept"
                )
    return None
