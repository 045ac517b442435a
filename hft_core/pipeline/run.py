"""A run: a recipe carried out, and the folder with what came of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hft_core.errors import DISK_ERRNOS, DamagedError, DiskError, HftError, PluginError, RecipeError, frames_of
from hft_core.pipeline.execute import execute
from hft_core.pipeline.folder import require_writable, write_run
from hft_core.pipeline.plan import build_plan
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.steps.common import read_json
from hft_core.recipe.load import LoadedRecipe, load_recipe
from hft_core.registry import Registry, load_registry
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
        """Figures by split, such as ``metrics["test"]["accuracy"]``; with several seeds the means."""
        report = json.loads((self.folder / "report.json").read_text("utf-8"))
        return {
            split: {name: figure["value"] for name, figure in figures.items()}
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
    same call continues after any of them.
    """
    registry = load_registry(plugins)
    loaded = load_recipe(recipe, registry, overrides)
    result = carry_out(loaded, registry, Path(out) if out else None, progress or Progress(), wait)
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
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "this version of hft carries out a recipe in one process; start it without torchrun or accelerate launch"
        )
    target = out or loaded.folder / "runs" / loaded.recipe.name
    require_writable(target)
    try:
        plan = build_plan(loaded, registry)
        store = store or store_of(loaded.folder)
        with watch(progress.say) as stop, in_use(store, [node.key for node in plan.nodes]):
            folders = execute(plan.nodes, store, progress, stop, wait)
            write_run(loaded, registry, plan, store, folders, target, progress.say)
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
    finally:
        progress.close()
    return Run(target)


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
