"""Carries out a plan through the store: what is there is reused, what is missing is made, one node after another.

Of several processes the first one decides and makes; the others work along on nodes that are made together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from hft_core.errors import DISK_ERRNOS, DiskError, Interrupted, NonFiniteError, RecipeError
from hft_core.pipeline.divergence import divergence, note_divergence
from hft_core.pipeline.nodes import Node, difference
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.ranks import ALONE, Ranks
from hft_core.pipeline.steps.common import Process
from hft_core.store.store import Store
from hft_core.training.allocator import give_back
from hft_core.training.stopping import StopRequest


def execute(
    nodes: Sequence[Node],
    store: Store,
    progress: Progress,
    stop: StopRequest,
    wait: bool = True,
    ranks: Ranks = ALONE,
    spared: Collection[str] = (),
) -> dict[str, Path]:
    """Make all nodes; gives their folders by name. Raises Interrupted between two where `stop` was asked for.

    Where one of the keys `spared` comes to figures that are no numbers, that is noted in the store, and it and what reads
    it have no folder; any other node raises NonFiniteError.
    """
    folders: dict[str, Path] = {}
    for number, node in enumerate(nodes, 1):
        process = Process(progress.say, progress.advance, progress.tell, stop, store.work(node.key), ranks.first)
        if not ranks.first:
            if folder := _followed(number, node, store, process, ranks, node.key in spared):
                folders[node.name] = folder
            continue
        if stop.asked:
            raise Interrupted(f"stopped before {node.name} as asked; run the same command to continue")
        progress.node(number, len(nodes), node.name)
        try:
            if node.key in spared:
                _need_inputs(number, node, store, ranks)
            folders[node.name] = _made(number, node, store, process, progress, wait, ranks)
        except NonFiniteError as error:
            if node.key not in spared:
                raise
            note_divergence(store, node.key, str(error))
            progress.say(f"{node.name} diverged, which is noted: {error}")
        ranks.tell(f"{number} is there", node.name in folders)
    return folders


def _need_inputs(number: int, node: Node, store: Store, ranks: Ranks) -> None:
    """Raise NonFiniteError where the node, or one that it reads, is known to diverge."""
    for item in (node, *node.inputs):
        if message := divergence(store, item.key):
            ranks.tell(f"{number} begins", [node.key, node.parts, False])
            raise NonFiniteError(message)


def _followed(number: int, node: Node, store: Store, process: Process, ranks: Ranks, may_diverge: bool) -> Path | None:
    """The node's folder once the first process has made it; where that takes all, with this one's help. None: it diverged."""
    key, parts, together = ranks.hear(f"{number} begins")
    if key != node.key:
        raise RecipeError(
            f"{ranks.title} plans another {node.name} than the first process: {difference(node, parts) or 'other inputs'}. "
            "All machines need the same recipe, files, versions and kind of hardware"
        )
    if together:
        with suppress(*([NonFiniteError] if may_diverge else [])):
            node.work(store.folder(node.key), _inputs(node, store), process)
    if not ranks.hear(f"{number} is there"):
        return None
    if not ranks.sees(store.folder(node.key)):
        raise RecipeError(
            f"{ranks.title} does not see {store.folder(node.key)}, which the first process wrote: all processes need a store "
            "on a file system that all machines share; set HFT_STORE"
        )
    return store.folder(node.key)


def _made(
    number: int, node: Node, store: Store, process: Process, progress: Progress, wait: bool, ranks: Ranks
) -> Path:
    """The node's folder, from the store or made now, while holding its lock."""
    try:
        with store.lock(node.key, progress.say, wait, lambda: process.stop.asked):
            there = store.sound(node.key)
            ranks.tell(f"{number} begins", [node.key, node.parts, node.together and not there])
            if there:
                progress.reused()
                return store.folder(node.key)
            folder = store.write(node.key, lambda out: node.work(out, _inputs(node, store), process))
            progress.done()
            give_back()
            return folder
    except OSError as error:
        if error.errno in DISK_ERRNOS and _ours(error, store):
            raise DiskError(
                f"{node.name}: the store {store.root} cannot be written ({error.strerror}: {error.filename or store.root}). "
                "Free some space (hft gc) or choose another place with HFT_STORE; what is finished is kept"
            ) from error
        raise


def _inputs(node: Node, store: Store) -> dict[str, Path]:
    """The folders of what a node reads, under the names by which its work knows them."""
    return {item.name: store.folder(item.key) for item in node.inputs}


def _ours(error: OSError, store: Store) -> bool:
    """Whether it is the store that cannot be written, and not, say, a data file that cannot be read."""
    return error.filename is None or store.root in Path(str(error.filename)).parents
