"""The plugin loader: entry points → drop disabled names → sort → load one by one → check → file each class.

A plugin that fails is filed with its reason and keeps nobody from working; only a recipe that needs
it fails. ``HFT_STRICT=1`` makes any problem an error. Nothing is loaded from the working folder
unless its file is named.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType

import pluggy
from pydantic import PydanticUndefinedAnnotation, PydanticUserError

from hft_core import hookspecs
from hft_core.components import KINDS, Component
from hft_core.errors import PluginError
from hft_core.registry.importing import Hangs, import_plugin, watched
from hft_core.registry.registry import DISABLED, FILE, Plugin, Registry
from hft_core.registry.requirements import CORE, missing, newer_core
from hft_core.registry.signatures import misfits

GROUP = "hft"
_HOOKS = {f"register_{kind}s": kind for kind in KINDS}
_NONE: Mapping[str, str] = MappingProxyType({})


def load_registry(
    files: Iterable[Path | str] = (),
    strict: bool | None = None,
    disabled: Mapping[str, str] = _NONE,
    recipe_files: Iterable[Path | str] = (),
) -> Registry:
    """Load all plugins that are installed and not disabled, and the named plugin files.

    ``HFT_DISABLED_PLUGINS`` and ``HFT_ALLOWED_PLUGINS`` hold plugin or distribution names, separated by
    commas; they are applied before anything is imported.

    Args:
        files: plugin files, as `--plugin` names them.
        strict: see below.
        disabled: names of plugins or distributions that are not imported, each with who says so (for messages).
        recipe_files: plugin files that the recipe names.

    Raises PluginError where a named file cannot be loaded; with `strict` (or HFT_STRICT=1) where any plugin cannot;
    with `strict=False` never.
    """
    without = dict.fromkeys(_names("HFT_DISABLED_PLUGINS"), "HFT_DISABLED_PLUGINS") | dict(disabled)
    allowed = _names("HFT_ALLOWED_PLUGINS")
    plugins = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _distribution(point))):
        plugin = Plugin(
            point.name, _distribution(point), point.dist.version if point.dist else "?", module=point.module
        )
        names = {plugin.name, plugin.distribution}
        if by := [without[name] for name in sorted(names & set(without))]:
            plugin.problem = DISABLED + by[0]
        elif allowed and not names & allowed:
            plugin.problem = f"{DISABLED}HFT_ALLOWED_PLUGINS"
        elif point.dist and plugin.distribution != CORE and (reason := newer_core(point.dist)):
            plugin.problem = reason
        else:
            _fill(plugin, partial(import_plugin, point.module), point)
        plugins.append(plugin)
    named = dict.fromkeys((Path(file).absolute() for file in files), "--plugin ")
    for file in recipe_files:
        named.setdefault(Path(file).absolute(), "the recipe's plugin ")
    plugins += [_from_file(file, by, without) for file, by in named.items()]
    broken = [plugin for plugin in plugins if plugin.problem and not plugin.disabled]
    if strict is None and os.environ.get("HFT_STRICT") != "1":
        broken = [plugin for plugin in broken if plugin.distribution == FILE]
    if strict is not False and broken:
        raise PluginError("\n".join(map(_unusable, broken)))
    return Registry(plugins)


def _unusable(plugin: Plugin) -> str:
    named = f"{plugin.named_by}{plugin.source}" if plugin.distribution == FILE else f"plugin {plugin.title}"
    return f"{named} cannot be loaded: {plugin.problem}"


def _names(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "?"


def _from_file(file: Path, named_by: str, without: Mapping[str, str]) -> Plugin:
    if not file.is_file():
        return Plugin(file.stem, FILE, "?", source=file, problem="there is no such file", named_by=named_by)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    # The name holds place and content: an edited file is a new module, and a copy of it one with a place of its own.
    place = hashlib.sha256(str(file.absolute()).encode("utf-8", "surrogateescape")).hexdigest()
    name = f"hft_plugin_file_{file.stem}_{place[:12]}_{digest[:12]}"
    plugin = Plugin(file.stem, FILE, digest[:12], file, module=name, sha256=digest, named_by=named_by)
    if file.stem in without:
        plugin.problem = DISABLED + without[file.stem]
    else:
        _fill(plugin, partial(import_plugin, name, file))
    return plugin


def _fill(plugin: Plugin, load: Callable[[], ModuleType], point: EntryPoint | None = None) -> None:
    """Import a plugin and file its classes, or why that is not possible."""
    try:
        with watched() as watch:
            module = load()
            plugin.components = _offered(module)
            for component in plugin.components if plugin.distribution != CORE else ():
                _require_types(component)  # the built-ins are built where they are needed
        plugin.source = _source(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may even call sys.exit; the others must still work
        told = isinstance(error, (_Refused, Hangs))
        reason = str(error) if told else f"{type(error).__name__}: {error}"
        plugin.problem = " ".join((reason + _lacking(error, point)).split())
        plugin.components = []
    plugin.seconds, plugin.said = watch.seconds, " ".join(watch.said.split())


def _lacking(error: BaseException, point: EntryPoint | None) -> str:
    """What an import that failed needs, as far as its metadata tells."""
    if not isinstance(error, ImportError) or point is None or point.dist is None:
        return ""
    if isinstance(error, ModuleNotFoundError) and error.name and point.module.startswith(error.name):
        return f"; its entry point names {point.value}, which its distribution does not have"
    found = missing(point.dist) if point.dist.name != CORE else []
    return "".join(f"; {said}" for said in found)


class _Refused(Exception):
    """A plugin that breaks the rules; the message says which."""


def _offered(module: ModuleType) -> list[type[Component]]:
    """Call the module's hooks and check what they offer."""
    manager = pluggy.PluginManager("hft")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        unknown = [name for name, value in vars(module).items() if hasattr(value, "hft_impl") and name not in _HOOKS]
        near = [match for name in unknown for match in get_close_matches(name, _HOOKS, n=1)]
        hint = f"did you mean {', '.join(near)}?" if near else f"hooks are {', '.join(_HOOKS)}"
        raise _Refused(f"there is no hook {', '.join(unknown)}; {hint}") from error
    components: list[type[Component]] = []
    for hook, kind in _HOOKS.items():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            offered = implementation.function()
            if not isinstance(offered, (list, tuple)):
                raise _Refused(f"{hook}() returned {type(offered).__name__}, not a list of classes")
            for component in offered:
                _check(component, hook, kind)
            components += offered
    for (kind, name), count in Counter((c.kind, c.type_name()) for c in components).items():
        if count > 1:
            raise _Refused(f"it offers {count} classes for the {kind} {name!r}")
    return components


def _check(component: object, hook: str, kind: str) -> None:
    base = KINDS[kind]
    if not (isinstance(component, type) and issubclass(component, base)):
        raise _Refused(f"{hook}() offers {component!r}, which is not a subclass of {base.__name__}")
    if "type" not in component.model_fields:
        raise _Refused(f'{hook}() offers {component.__name__}, which does not declare `type: Literal["its-name"]`')
    undefined = {name for name in component.__class_vars__ if not hasattr(component, name)}
    if missing := sorted(undefined | set(getattr(component, "__abstractmethods__", ()))):
        raise _Refused(f"{component.__name__} lacks {', '.join(missing)}")
    if wrong := misfits(component):
        raise _Refused("; ".join(wrong))
    if kind == "objective" and component.type_name() == "task":
        raise _Refused(f"{component.__name__}: the type 'task' stands for the task's own objective; choose another")


def _require_types(component: type[Component]) -> None:
    try:
        component.model_rebuild()
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        reason = str(error).splitlines()[0].partition(". Set ")[0]
        raise _Refused(
            f"{component.__name__} has a field whose type cannot be checked: {reason}; use numbers, strings, paths, lists and "
            "dicts of these, or a class of pydantic's"
        ) from error


def _source(module: ModuleType) -> Path | None:
    """What is hashed for a plugin: the folder of its module inside a package, else its one file."""
    if not module.__file__:
        return None
    file = Path(module.__file__)
    inside_package = "." in module.__name__ or file.name == "__init__.py"
    return file.parent if inside_package else file
