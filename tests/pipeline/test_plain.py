"""Plain fine-tuning among the baselines: the recipe without its hybrid parts, on the same rows and seeds."""

from __future__ import annotations

from typing import Any


def test_it_is_the_task_alone_and_shares_what_it_can(project: Any) -> None:
    tune = project.recipe["stages"][1]
    tune["objectives"].append({"type": "masked-lm", "data": "corpus", "weight": 0.1})
    tune["techniques"] = [{"type": "lora"}, {"type": "ema"}]
    project.recipe["prepare"] = {"augment": [{"type": "random-swap"}]}
    plan = project.built(evaluate={"plain": True, "seeds": 2})
    beside = [node.name for node in plan.nodes if node.name.startswith("plain: ")]
    assert beside == [
        "plain: encode tune.classification",
        "plain: stage tune (seed 0)",
        "plain: evaluate (seed 0)",
        "plain: stage tune (seed 1)",
        "plain: evaluate (seed 1)",
    ]
    stage = next(node for node in plan.nodes if node.name == "plain: stage tune (seed 0)").parts["settings"]["stage"]
    assert [objective["type"] for objective in stage["objectives"]] == ["classification"]
    assert [technique["type"] for technique in stage["techniques"]] == ["lora"], "without it the model may not fit"
    keys = {node.name: node.key for node in plan.nodes}
    del project.recipe["prepare"]
    project.recipe["stages"] = [tune | {"objectives": tune["objectives"][:1], "techniques": [{"type": "lora"}]}]
    del project.recipe["data"]["corpus"]
    alone = project.plan(evaluate={"plain": True, "seeds": 2})
    assert alone["stage tune (seed 1)"] == keys["plain: stage tune (seed 1)"]
    assert not [name for name in alone if name.startswith("plain")], (
        "a recipe that is plain itself has no such baseline"
    )


def test_it_can_be_left_out(project: Any) -> None:
    assert not [name for name in project.plan(evaluate={"plain": False}) if name.startswith("plain")]
    assert [name for name in project.plan(evaluate={"plain": True}) if name.startswith("plain: stage")]
