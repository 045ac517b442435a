"""Training that comes to no numbers beside the run's own model: noted, reported, not trained again, and the run goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import hft_core

PARTS = '''
from typing import Literal

from hft_core import Technique, hookimpl


class Tame(Technique):
    """Puts the weights back, whatever the rate did to them."""

    type: Literal["tame"]

    def prepare(self, net, context):
        return [parameter.detach().clone() for parameter in net.parameters()]

    def after_step(self, net, state, step):
        for parameter, before in zip(net.parameters(), state):
            parameter.data.copy_(before)


@hookimpl
def register_techniques():
    return [Tame]
'''


@pytest.fixture
def rash(project: Any) -> Any:
    """A recipe whose rate is ruinous but for a technique."""
    (project.folder / "parts.py").write_text(PARTS, encoding="utf-8")
    project.plugins = (project.folder / "parts.py",)
    del project.recipe["stages"][0]
    del project.recipe["data"]["corpus"]
    project.recipe["stages"][0] |= {
        "epochs": 1,
        "optimizer": {"type": "sgd", "lr": 1e30},
        "clip": None,
        "techniques": [{"type": "tame"}],
    }
    return project


def carried_out(project: Any, events: Any, *overrides: str) -> dict[str, Any]:
    run = hft_core.run(project.write(), overrides=overrides, plugins=project.plugins, progress=events)
    report: dict[str, Any] = json.loads((run.folder / "report.json").read_text("utf-8"))
    return report


@pytest.mark.slow
def test_a_plain_baseline_that_diverges_is_reported_and_the_run_goes_on(
    rash: Any, make_events: Callable[[], Any], hft_here: Callable[..., Any]
) -> None:
    rash.recipe["evaluate"] = {"plain": True, "seeds": 2}
    events = make_events()
    report = carried_out(rash, events)
    assert "plain" not in report["baselines"]
    assert report["metrics"]["test"]["accuracy"]["value"] > 0
    (warning,) = [text for text in report["warnings"] if "plain fine-tuning" in text]
    assert "diverged with 2 of 2 seeds" in warning
    assert "plain: stage tune (seed 1)" not in events.outcome
    assert "diverged with 2 of 2 seeds" in (rash.folder / "runs" / "small" / "README.md").read_text("utf-8")

    again = make_events()
    assert [text for text in carried_out(rash, again)["warnings"] if "plain" in text] == [warning]
    assert not [text for text in again.said if "steps; first trying" in text], "it is known, and not trained again"
    plugin = ("--plugin", rash.plugins[0])
    store = str(rash.folder / ".hft")
    assert "nothing to do" in hft_here("plan", rash.write(), *plugin, HFT_STORE=store).out
    exported = hft_here("export", rash.folder / "runs" / "small", *plugin)
    assert exported.code == 0, exported.err


@pytest.mark.slow
def test_the_runs_own_divergence_still_ends_it(rash: Any, make_events: Callable[[], Any]) -> None:
    rash.recipe["evaluate"] = {"plain": True}
    carried_out(rash, make_events())
    with pytest.raises(hft_core.NonFiniteError):
        carried_out(rash, make_events(), "stages.0.techniques=[]", "evaluate.plain=false")


@pytest.mark.slow
def test_a_gate_whose_other_side_diverges_keeps_the_entry(rash: Any, make_events: Callable[[], Any]) -> None:
    rash.recipe["stages"][0]["techniques"] = [{"type": "tame", "when": "helps"}]
    rash.recipe["evaluate"] = {"seeds": 2}
    (gate,) = carried_out(rash, make_events())["gates"]
    assert (gate["verdict"], gate["kept"], gate["side"]) == ("helps", True, "without")
    page = (rash.folder / "runs" / "small" / "report.html").read_text("utf-8")
    assert "training without it diverged" in page
    assert "helps: stays" in page


@pytest.mark.slow
def test_an_arm_of_an_ablation_that_diverges_is_a_finding(rash: Any, hft_here: Callable[..., Any]) -> None:
    rash.recipe["stages"][0]["techniques"] = [{"type": "tame"}, {"type": "ema"}]
    rash.recipe["evaluate"] = {"seeds": 2}
    command = ("ablate", rash.write(), "--plugin", rash.plugins[0])
    first = hft_here(*command, "--json")
    assert first.code == 0, first.err
    found = json.loads(first.out)
    assert found["complete"]
    assert found["bare"] is None
    assert "without any part" in found["diverged"]
    tame, ema = found["parts"]
    assert (tame["leave_one_out"]["verdict"], tame["leave_one_out"]["side"]) == ("helps", "without")
    assert tame["add_one_in"]["verdict"] == "helps"
    assert ema["leave_one_out"]["p"] >= 0
    assert (ema["add_one_in"]["verdict"], ema["add_one_in"]["side"]) == ("unproven", "both")
    again = hft_here(*command)
    assert "0 runs, 0 stages trained" in again.out
    assert "(training without it diverged) helps" in again.out


def test_notes_are_of_one_output_and_go_with_it(tmp_path: Any) -> None:
    from hft_core.pipeline.divergence import divergence, note_divergence
    from hft_core.store.store import Store

    store = Store(tmp_path)
    assert divergence(store, "a") is None
    note_divergence(store, "a", "损失不是数")
    assert divergence(store, "a") == "损失不是数"
    assert divergence(store, "b") is None
    store.write("a", lambda out: (out / "x").touch())
    assert divergence(store, "a") is None, "where there is an output, the note is nothing"
    (tmp_path / "diverged" / "c.json").write_text("{", encoding="utf-8")
    assert divergence(store, "c") is None


def test_all_processes_leave_out_what_diverged(tmp_path: Any) -> None:
    """The first process tells, the others hear; a stage is trained by all, and comes to no number in all."""
    from hft_core.errors import NonFiniteError
    from hft_core.pipeline.execute import execute
    from hft_core.pipeline.nodes import Node
    from hft_core.pipeline.progress import Progress
    from hft_core.pipeline.ranks import Ranks
    from hft_core.store.store import Store
    from hft_core.training.stopping import StopRequest

    told: dict[str, Any] = {}
    tried: list[str] = []

    class Two(Ranks):
        def __init__(self, index: int):
            self.index, self.count = index, 2

        def tell(self, topic: str, news: Any) -> None:
            told[topic] = json.loads(json.dumps(news))

        def hear(self, topic: str) -> Any:
            return told[topic]

    def diverges(out: Any, inputs: Any, process: Any) -> None:
        tried.append("stage")
        raise NonFiniteError("the loss is nan")

    def fine(out: Any, inputs: Any, process: Any) -> None:
        (out / "x").touch()

    stage = Node("plain: stage", "stage", "k1", {}, [], diverges)
    measure = Node("plain: evaluate", "evaluate", "k2", {}, [stage], fine)
    last = Node("other", "checks", "k3", {}, [], fine)
    store = Store(tmp_path)
    for _ in range(2):  # the second time it is known
        told.clear()
        for index in (0, 1):
            found = execute(
                [stage, measure, last], store, Progress(), StopRequest(), ranks=Two(index), spared={"k1", "k2"}
            )
            assert list(found) == ["other"], index
    assert tried == ["stage", "stage"], "once in each process"
    with pytest.raises(NonFiniteError):
        execute([stage], store, Progress(), StopRequest())
