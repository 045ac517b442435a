"""What is installed: plugins, and the component classes that they offer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from hft_core.components import KINDS, Component

FILE = "file"
"""Instead of a distribution: the plugin is a file given with --plugin."""
DISABLED = "disabled by "
"""How the problem of a plugin begins that was left out on purpose; the variable follows."""


@dataclass
class Plugin:
    """One plugin, loaded or not."""

    name: str
    """The entry point's name, or the file's stem."""
    distribution: str
    """The distribution it comes from; `file` for one given with --plugin."""
    version: str
    source: Path | None = None
    """Its source for the store's keys: the folder of its module, or its file."""
    components: list[type[Component]] = field(default_factory=list)
    problem: str = ""
    """Why it is not loaded, empty if it is."""
    module: str = ""
    """The module that its entry point names."""
    sha256: str = ""
    """Of a file: the hash of its content."""
    named_by: str = ""
    """Of a file: how messages say who named it."""
    seconds: float = 0.0
    """CPU time that importing it took."""
    said: str = ""
    """What it printed while it was imported, which was kept off standard output."""

    @property
    def title(self) -> str:
        """Name, distribution and version for messages."""
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def disabled(self) -> bool:
        """Whether it was left out on purpose."""
        return self.problem.startswith(DISABLED)


def _switches(plugins: list[Plugin]) -> list[str]:
    """How to do without each; by its distribution where the names are the same."""
    alike = len({plugin.name for plugin in plugins}) < len(plugins)
    return [
        f"leave out {plugin.named_by}{plugin.name}.py"
        if plugin.distribution == FILE
        else f"HFT_DISABLED_PLUGINS={plugin.distribution if alike else plugin.name}"
        for plugin in plugins
    ]


class Registry:
    """Component classes by kind and type, with the plugin of each."""

    def __init__(self, plugins: list[Plugin]):
        self.plugins = plugins
        self._offers: dict[str, dict[str, list[tuple[type[Component], Plugin]]]] = {kind: {} for kind in KINDS}
        for plugin in plugins:
            for component in plugin.components:
                offers = self._offers[component.kind].setdefault(component.type_name(), [])
                offers.append((component, plugin))

    def classes(self, kind: str) -> dict[str, type[Component]]:
        """The usable classes of a kind by type; a type that two plugins offer is not usable."""
        return {name: offers[0][0] for name, offers in sorted(self._offers[kind].items()) if len(offers) == 1}

    def plugin_of(self, component: type[Component]) -> Plugin:
        """The plugin that offers a class."""
        return self._offers[component.kind][component.type_name()][0][1]

    def explain_missing(self, kind: str, name: object, also: Iterable[str] = ()) -> str:
        """Say why a type cannot be used, and what can: what is installed, and `also`."""
        offers = self._offers[kind].get(str(name), [])
        if len(offers) > 1:
            plugins = [plugin for _, plugin in offers]
            return (
                f"{kind} {name!r} is offered by {len(plugins)} plugins, {' and '.join(p.title for p in plugins)}, so it "
                f"cannot be used; disable one: {', or '.join(_switches(plugins))}"
            )
        known = sorted({*self.classes(kind), *also})
        near = get_close_matches(str(name), known, n=1, cutoff=0.5)
        message = f"there is no {kind} {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
        message += f" Installed: {', '.join(known) or 'none'}."
        if broken := [plugin for plugin in self.plugins if plugin.problem and not plugin.disabled]:
            message += " Not loaded: " + "; ".join(f"{plugin.title}: {plugin.problem}" for plugin in broken) + "."
        if disabled := [plugin for plugin in self.plugins if plugin.disabled]:
            for problem in dict.fromkeys(plugin.problem for plugin in disabled):
                names = ", ".join(plugin.name for plugin in disabled if plugin.problem == problem)
                message += f" D{problem.removeprefix('d')}: {names}."
        return message
