"""Carries out a plan through the store: what is there is reused, what is missing is made, one node after another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hft_core.errors import DISK_ERRNOS, DiskError, Interrupted
from hft_core.pipeline.nodes import Node
from hft_core.pipeline.progress import Progress
from hft_core.pipeline.steps.common import Process
from hft_core.store.store import Store
from hft_core.training.stopping import StopRequest


def execute(
    nodes: Sequence[Node], store: Store, progress: Progress, stop: StopRequest, wait: bool = True
) -> dict[str, Path]:
    """Make all nodes; gives their folders by name. Raises Interrupted between two where `stop` was asked for."""
    folders: dict[str, Path] = {}
    for number, node in enumerate(nodes, 1):
        if stop.asked:
            raise Interrupted(f"stopped before {node.name} as asked; run the same command to continue")
        progress.node(number, len(nodes), node.name)
        process = Process(progress.say, progress.advance, stop, store.work(node.key))
        folders[node.name] = _made(node, store, folders, process, progress, wait)
    return folders


def _made(node: Node, store: Store, folders: dict[str, Path], process: Process, progress: Progress, wait: bool) -> Path:
    """The node's folder, from the store or made now, while holding its lock."""
    try:
        with store.lock(node.key, progress.say, wait, lambda: process.stop.asked):
            if store.sound(node.key):
                progress.reused()
                return store.folder(node.key)
            inputs = {item.name: folders[item.name] for item in node.inputs}
            folder = store.write(node.key, lambda out: node.work(out, inputs, process))
            progress.done()
            return folder
    except OSError as error:
        if error.errno in DISK_ERRNOS and _ours(error, store):
            raise DiskError(
                f"{node.name}: the store {store.root} cannot be written ({error.strerror}: {error.filename or store.root}). "
                "Free some space (hft gc) or choose another place with HFT_STORE; what is finished is kept"
            ) from error
        raise


def _ours(error: OSError, store: Store) -> bool:
    """Whether it is the store that cannot be written, and not, say, a data file that cannot be read."""
    return error.filename is None or store.root in Path(str(error.filename)).parents
