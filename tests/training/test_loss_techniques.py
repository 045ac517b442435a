"""Techniques around the loss compute what they say, row by row or token by token, however a batch is divided."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from hft_core import Context, Loss, PluginError, RecipeError, Technique
from hft_core.training.batches import MicroBatch, micro_batch
from hft_core.training.gradients import Gradients
from hft_core.training.loop import train
from hft_core.training.module import Forward
from hft_core.training.processes import Processes
from hft_plugins.optimizers.torch_optimizers import SGD
from hft_plugins.techniques.fgm import FGM
from hft_plugins.techniques.freeze import Freeze
from hft_plugins.techniques.mixup import Mixup
from hft_plugins.techniques.r_drop import RDrop, divergence

pytestmark = pytest.mark.slow

RATE = 10.0  # so that the update is large beside the rounding of the weights
ROWS = 16


class OneBatch:
    """A net and the first batch of a stage, computed as the loop computes them, without the loop."""

    def __init__(self, bench: Any, columns: Any, kind: str = "classification", dropout: float = 0.0):
        job = bench.job((bench.objective(kind), columns))
        [self.stream] = job.streams
        [(_, arrays)] = self.stream.micro_batches(0, ROWS)
        self.batch: MicroBatch = micro_batch(self.stream, 0, arrays)
        self.net = bench.model.build(bench.start, bench.preprocessor, job.heads).train()
        for module in self.net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        self.context = Context(10, 0, job.heads, bench.preprocessor)

    def gradients(self, *techniques: Any, precision: str = "no") -> Gradients:
        AcceleratorState._reset_state()
        accelerator = Accelerator(mixed_precision=precision, cpu=True)
        trained = accelerator.prepare_model(Forward(self.net), evaluation_mode=True)
        states = [(technique, technique.prepare(self.net, self.context)) for technique in techniques]
        return Gradients(trained, accelerator, Processes(accelerator), states, seed=0)

    def loss(self, *techniques: Any, precision: str = "no") -> Loss:
        return self.gradients(*techniques, precision=precision).loss(self.stream, self.batch, 0)

    def gradient(self, *techniques: Any) -> dict[str, torch.Tensor]:
        """The gradient of each parameter that has one."""
        self.net.zero_grad(set_to_none=True)
        self.loss(*techniques).sum.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        return {name: p.grad for name, p in self.net.named_parameters() if p.grad is not None}

    def begin(self) -> None:
        """Draw from now on what a pass of the loop would draw."""
        self.gradients()._reseed(self.stream, self.batch, 0)

    def plain(self, change: Any = None, **others: torch.Tensor) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Embedded inputs, logits and summed loss; the random numbers go on. `change` replaces what was embedded."""
        made = []

        def hook(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
            made.append(output if change is None else change(output))
            return made[-1]

        arrays = self.batch.arrays | others
        handle = self.net.embedding().register_forward_hook(hook)
        logits = self.net("main", **{name: array for name, array in arrays.items() if name != "labels"})["logits"]
        handle.remove()
        return made[0], logits, cross_entropy(logits, arrays["labels"], reduction="sum")


def unit_rows(gradient: torch.Tensor) -> torch.Tensor:
    """Each row divided by its length, written out."""
    return torch.stack([row / row.pow(2).sum().sqrt() for row in gradient])


def symmetric(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    p, q = log_softmax(one, -1), log_softmax(other, -1)
    both = kl_div(p, q, reduction="sum", log_target=True) + kl_div(q, p, reduction="sum", log_target=True)
    return both / 2


def updates(bench: Any, columns: Any, *techniques: Any, kind: str = "classification", **settings: Any) -> Any:
    """What one step changes."""
    settings = {"optimizer": SGD(type="sgd", lr=RATE), "techniques": list(techniques)} | settings
    result = train(bench.job((bench.objective(kind), columns), **settings))
    assert result.steps == 1
    start = bench.weights(None, "main" if kind == "classification" else kind)
    return {name: parameter.detach() - start[name] for name, parameter in result.net.named_parameters()}


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], within: float = 1e-4) -> None:
    """Relative to each tensor's own size, but not below a thousandth of the whole."""
    assert set(found) == set(wanted)
    whole = max(float(tensor.abs().max()) for tensor in wanted.values())
    assert whole > 1e-4  # something moved
    for name, tensor in wanted.items():
        size = max(float(tensor.abs().max()), 1e-3 * whole)
        assert float((found[name] - tensor).abs().max()) <= within * size, name


def assert_differ(found: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(AssertionError):
        assert_same(found, other, within=1e-2)


def r_drop(alpha: float = 1.0, **settings: Any) -> RDrop:
    return RDrop(type="r-drop", alpha=alpha, **settings)


def fgm(epsilon: float = 1.0, **settings: Any) -> FGM:
    return FGM(type="fgm", epsilon=epsilon, **settings)


def mixup(alpha: float = 1.0, **settings: Any) -> Mixup:
    return Mixup(type="mixup", alpha=alpha, **settings)


# ---- r-drop ----


@pytest.mark.parametrize("kind", ["classification", "masked-lm"])
@pytest.mark.parametrize("micro", [16, 4])
def test_r_drop_without_dropout_is_the_plain_loss(bert: Any, make_rows: Any, kind: str, micro: int) -> None:
    columns = make_rows(17 if kind == "masked-lm" else ROWS)
    plain = updates(bert, columns, kind=kind)
    found = updates(bert, columns, r_drop(5.0, on=[kind]), kind=kind, micro_batch=micro)
    assert_same(found, plain, within=1e-3)  # a weight near 1 has steps of 1.2e-7, and moves by 1e-3


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_r_drop_is_the_mean_of_two_passes_and_their_divergence(benches: Any, make_rows: Any, family: str) -> None:
    one = OneBatch(benches[family], make_rows(ROWS), dropout=0.3)
    one.begin()
    (_, p, first), (_, q, second) = one.plain(), one.plain()
    assert float((p - q).detach().abs().max()) > 1e-3, "different dropout"
    wanted = (first + second) / 2 + 2.0 * symmetric(p, q)
    torch.testing.assert_close(one.loss(r_drop(2.0)).sum, wanted)


def test_r_drop_moves_the_parameters_by_the_divergence_too(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.3)
    weak, strong, stronger = (one.gradient(r_drop(alpha)) for alpha in (1.0, 2.0, 3.0))
    assert_differ(weak, strong)
    assert_same({n: strong[n] - weak[n] for n in weak}, {n: stronger[n] - strong[n] for n in weak}, within=1e-3)


def test_the_divergence_counts_only_labelled_tokens() -> None:
    torch.manual_seed(0)
    labels = torch.tensor([[1, -100, 2], [-100, 0, -100]])
    made = [torch.randn(2, 3, 4) for _ in range(2)]

    def total(passes: list[torch.Tensor]) -> float:
        coming = iter(passes)
        found = r_drop().loss(lambda batch: Loss(torch.zeros(()), {"logits": next(coming)}), {"labels": labels}, None)
        return float(found.sum)

    kept = labels.flatten() != -100
    wanted = float(symmetric(*(logits.flatten(0, 1)[kept] for logits in made)))
    assert total(made) == pytest.approx(wanted, rel=1e-5)
    unlabelled = made[0].clone()
    unlabelled[0, 1] += torch.arange(4)
    assert total([unlabelled, made[1]]) == total(made)
    labelled = made[0].clone()
    labelled[1, 1] += torch.arange(4)
    assert total([labelled, made[1]]) != total(made)


def test_the_divergence_is_computed_in_float32() -> None:
    near = torch.tensor([[20.0, 0.0, 0.0]], dtype=torch.bfloat16)
    found = divergence(near, near + torch.tensor([0.0, 0.25, 0.0], dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    assert 0 < float(found) < 1e-8


@pytest.mark.parametrize(
    ("outputs", "batch", "reason"),
    [
        ({"start": torch.zeros(2, 3)}, {"labels": torch.zeros(2).long()}, "gives no `logits` .but start."),
        ({"logits": torch.zeros(2, 1)}, {"labels": torch.zeros(2).long()}, r"logits \[2, 1\]"),
        ({"logits": torch.zeros(2, 3)}, {"labels": torch.zeros(2, 3)}, r"logits \[2, 3\]"),
        ({"logits": torch.zeros(2, 3)}, {"input_ids": torch.zeros(2, 3)}, "no array of classes"),
    ],
    ids=["spans", "regression", "several labels", "none"],
)
def test_r_drop_refuses_what_has_no_classes(outputs: Any, batch: Any, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        r_drop().loss(lambda batch: Loss(torch.zeros(()), outputs), batch, None)


# ---- fgm ----


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_fgm_adds_the_loss_at_the_end_of_each_rows_gradient(benches: Any, make_rows: Any, family: str) -> None:
    one = OneBatch(benches[family], make_rows(ROWS), dropout=0.2)
    one.begin()
    vectors, _, clean = one.plain()
    [gradient] = torch.autograd.grad(clean, [vectors], retain_graph=True)
    moved = 0.5 * unit_rows(gradient)
    padding = one.batch.arrays["attention_mask"] == 0
    assert padding.any()
    assert float(moved[padding].abs().max()) == 0
    one.begin()
    _, _, adversarial = one.plain(lambda output: output + moved)
    assert adversarial > clean * 1.01, "the change makes it worse"
    one.net.zero_grad()
    (clean + adversarial).backward()  # type: ignore[no-untyped-call]
    wanted = {name: p.grad.clone() for name, p in one.net.named_parameters() if p.grad is not None}
    torch.testing.assert_close(one.loss(fgm(0.5)).sum, clean + adversarial)
    found = one.gradient(fgm(0.5))
    assert_same(found, wanted)
    assert_differ(found, {name: 2 * value for name, value in one.gradient().items()})


def test_both_passes_of_fgm_have_the_same_dropout(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.4)
    torch.testing.assert_close(one.loss(fgm(1e-7)).sum, 2 * one.loss().sum, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "kind"), [("bert", "classification"), ("gpt", "classification"), ("bert", "masked-lm")]
)
def test_fgm_is_the_same_in_micro_batches(benches: Any, make_rows: Any, family: str, kind: str) -> None:
    bench, columns = benches[family], make_rows(17 if kind == "masked-lm" else ROWS, longest=25)
    whole = updates(bench, columns, fgm(0.5, on=[kind]), kind=kind)
    for micro in (4, 1):
        assert_same(updates(bench, columns, fgm(0.5, on=[kind]), kind=kind, micro_batch=micro), whole)
    assert_differ(whole, updates(bench, columns, kind=kind))


def test_fgm_is_left_out_while_only_heads_are_trained(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.2)
    for part in one.net.parts():
        part.module.requires_grad_(part.kind == "head")
    plain, found = one.gradient(), one.gradient(fgm())
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    for parameter in one.net.parameters():
        parameter.requires_grad_(True)
    assert_differ(one.gradient(fgm()), one.gradient())


def test_fgm_perturbs_frozen_embeddings(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS))
    whole = one.gradient(fgm())
    one.net.parts()[0].module.requires_grad_(False)
    found = one.gradient(fgm())
    assert 0 < len(found) < len(whole)
    assert_same(found, {name: whole[name] for name in found})


def test_fgm_that_would_never_act_is_refused(bert: Any, make_rows: Any) -> None:
    freeze = Freeze(type="freeze", below=1.0)
    for techniques in ([freeze, fgm()], [fgm(), freeze]):
        with pytest.raises(RecipeError, match=r"only heads are trained in this stage .head.main."):
            train(bert.job((bert.objective("classification"), make_rows(ROWS)), techniques=techniques))


def test_fgm_waits_until_a_new_head_has_settled(bert: Any, make_rows: Any, tmp_path: Path, parameters_of: Any) -> None:
    net = bert.model.build(bert.start, bert.preprocessor, {"main": bert.task.head(bert.facts)})
    net.save(tmp_path)  # without a masked-LM head
    seen: list[dict[str, torch.Tensor]] = []

    class Watch(Technique):
        type: Literal["watch"]

        def after_step(self, net: Any, state: None, step: int) -> None:
            seen.append(parameters_of(net))

    watch = Watch(type="watch")
    for techniques in ([watch], [fgm(on=["masked-lm"]), watch]):
        parts = (bert.objective("masked-lm"), make_rows(178))
        train(bert.job(parts, start=tmp_path, epochs=3, batch_size=32, techniques=techniques))
    plain, found = seen[:18], seen[18:]  # of which the first two settle
    assert all(torch.equal(found[1][name], plain[1][name]) for name in plain[1])
    moved = [name for name in plain[2] if not torch.equal(found[2][name], plain[2][name])]
    assert any("layer.0" in name for name in moved)


@pytest.mark.parametrize("technique", [fgm(), mixup()], ids=["fgm", "mixup"])
def test_a_net_without_an_embedding_layer_is_refused(bert: Any, make_rows: Any, technique: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS))
    one.net.embedding = lambda: None
    with pytest.raises(RecipeError, match=r"no embedding layer to change .its parts are embeddings, layer.0, layer.1"):
        one.loss(technique)
    one.net.embedding = lambda: torch.nn.Embedding(2, 2)
    with pytest.raises(PluginError, match="does not go through the layer"):
        one.loss(technique)


# ---- r-drop and fgm ----


def test_r_drop_around_fgm_compares_the_clean_outputs_of_two_adversarial_losses(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.3)
    one.begin()
    sums, outputs = [], []
    for _ in range(2):
        before = torch.get_rng_state()
        vectors, logits, clean = one.plain()
        [gradient] = torch.autograd.grad(clean, [vectors], retain_graph=True)
        torch.set_rng_state(before)
        moved = 0.5 * unit_rows(gradient)
        _, _, adversarial = one.plain(lambda output, moved=moved: output + moved)
        sums.append(clean + adversarial)
        outputs.append(logits)
    wanted = sum(sums) / 2 + 2.0 * symmetric(*outputs)
    torch.testing.assert_close(one.loss(fgm(0.5), r_drop(2.0)).sum, wanted)


def test_fgm_around_r_drop_makes_the_whole_loss_worse(bert: Any, make_rows: Any) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.3)

    def both(*changes: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
        one.begin()
        (e, p, first), (f, q, second) = (one.plain(change) for change in changes)
        return (first + second) / 2 + 2.0 * symmetric(p, q), [e, f]

    clean, vectors = both(None, None)
    moved = [0.5 * unit_rows(g) for g in torch.autograd.grad(clean, vectors, retain_graph=True)]
    assert not torch.equal(moved[0], moved[1])
    adversarial, _ = both(*(lambda output, by=by: output + by for by in moved))
    torch.testing.assert_close(one.loss(r_drop(2.0), fgm(0.5)).sum, clean + adversarial)


# ---- mixup ----


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_mixup_mixes_embeddings_and_losses(benches: Any, make_rows: Any, family: str) -> None:
    bench = benches[family]
    one = OneBatch(bench, make_rows(ROWS))
    arrays = one.batch.arrays
    one.begin()
    kept, other = float(torch.distributions.Beta(1.0, 1.0).sample()), torch.randperm(ROWS)
    assert 0.02 < kept < 0.98
    table, wanted = one.net.embedding().weight, torch.zeros(())
    texts = [ids[mask.bool()] for ids, mask in zip(arrays["input_ids"], arrays["attention_mask"], strict=True)]
    for row, partner in enumerate(other.tolist()):  # one by one, without padding
        longer = max(texts[row], texts[partner], key=len)
        vectors = torch.zeros(1, len(longer), table.shape[1])
        vectors[0, : len(texts[row])] += kept * table[texts[row]]
        vectors[0, : len(texts[partner])] += (1 - kept) * table[texts[partner]]
        logits = one.net.heads["main"](inputs_embeds=vectors).logits
        for share, label in ((kept, arrays["labels"][row]), (1 - kept, arrays["labels"][partner])):
            wanted = wanted + share * cross_entropy(logits, label[None])
    found = one.loss(mixup())
    torch.testing.assert_close(found.sum, wanted, rtol=1e-4, atol=1e-4)
    one.net.zero_grad(set_to_none=True)
    wanted.backward()  # type: ignore[no-untyped-call]
    by_hand = {name: p.grad for name, p in one.net.named_parameters() if p.grad is not None}
    assert_same(one.gradient(mixup()), by_hand, within=1e-3)
    assert_differ(by_hand, one.gradient())


def test_both_passes_of_mixup_have_the_same_dropout(bert: Any, make_rows: Any) -> None:
    columns = make_rows(ROWS)
    one = OneBatch(bert, {"text": columns["text"], "label": ["pos"] * ROWS}, dropout=0.4)
    found = one.loss(mixup())  # both have the same labels, so both have the same loss
    torch.testing.assert_close(found.sum, cross_entropy(found.outputs["logits"], torch.ones(ROWS).long()) * ROWS)


def test_mixup_draws_anew_in_each_micro_batch_and_changes_nothing_alone(bert: Any, make_rows: Any) -> None:
    columns = make_rows(ROWS)
    plain, mixed = updates(bert, columns), updates(bert, columns, mixup())
    assert_differ(mixed, plain)
    assert_differ(updates(bert, columns, mixup(), micro_batch=4), mixed)
    assert_same(updates(bert, columns, mixup(), micro_batch=1), plain)


def test_a_rows_weight_goes_with_its_label() -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Embedding(5, 2)

        def embedding(self) -> torch.nn.Module:
            return self.layer

    net, labels, weights = Net(), torch.arange(4), torch.arange(4) * 10.0
    seen: list[Any] = []

    def compute(batch: Any) -> Loss:
        seen.append(batch)
        return Loss(net.layer(batch["input_ids"]).sum())

    batch = {"input_ids": torch.tensor([[1], [2], [3], [4]]), "labels": labels, "weights": weights}
    torch.manual_seed(3)
    mixup().loss(compute, batch, net)  # type: ignore[arg-type]  # all that it needs of a net
    assert seen[1]["labels"].tolist() != [0, 1, 2, 3]
    assert torch.equal(seen[1]["weights"], seen[1]["labels"] * 10.0)
    assert torch.equal(seen[1]["input_ids"], batch["input_ids"])


def test_mixup_refuses_an_objective_without_one_label_per_row(bert: Any, make_rows: Any) -> None:
    job = bert.job((bert.objective("masked-lm"), make_rows(17)), techniques=[mixup(on=["masked-lm"])])
    with pytest.raises(RecipeError, match=r"has no `labels` .but .*targets.*name in `on:`"):
        train(job)
    one = OneBatch(bert, make_rows(ROWS))
    shape = one.batch.arrays["input_ids"].shape
    state = mixup().prepare(one.net, one.context)
    for strange, reason in (
        ({"labels": torch.zeros(shape).long()}, r"has `labels` \[16, "),
        ({"pixels": torch.zeros(ROWS, 3, 8, 8)}, r"'pixels' \[16, 3, 8, 8\]"),
        ({"labels": torch.zeros(8).long()}, "neither one number per row"),
    ):
        with pytest.raises(RecipeError, match=reason):
            mixup().loss(lambda batch: Loss(torch.zeros(())), one.batch.arrays | strange, state)


def test_mixup_excludes_what_compares_the_outputs_of_a_row() -> None:
    assert {"r-drop", "distillation"} <= Mixup.excludes


# ---- all of them ----

SETS: dict[str, list[Technique]] = {
    "r-drop": [r_drop()],
    "fgm": [fgm()],
    "mixup": [mixup()],
    "fgm, r-drop": [fgm(), r_drop()],
    "r-drop, fgm": [r_drop(), fgm()],
    "mixup, fgm": [mixup(), fgm()],
    "fgm, mixup": [fgm(), mixup()],
}


@pytest.mark.parametrize("names", SETS)
def test_mixed_precision_gives_nearly_the_same(bert: Any, make_rows: Any, names: str) -> None:
    one = OneBatch(bert, make_rows(ROWS), dropout=0.2)
    exact = one.loss(*SETS[names])
    rough = one.loss(*SETS[names], precision="bf16")
    assert rough.sum.dtype == torch.float32
    assert rough.sum != exact.sum
    torch.testing.assert_close(rough.sum, exact.sum, rtol=0.03, atol=0.03)
    rough.sum.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in one.net.embedding().parameters())


@pytest.mark.parametrize("names", ["fgm, r-drop", "mixup, fgm"])
def test_a_stage_that_died_goes_on_as_if_it_had_not(bert: Any, make_rows: Any, survives: Any, names: str) -> None:
    def made(work: Path) -> Any:  # a fresh model, with dropout
        parts = (bert.objective("classification"), make_rows(64))
        settings = {"techniques": SETS[names], "micro_batch": 8, "start": None, "checkpoint_minutes": 0}
        return bert.job(parts, work=work, **settings)

    survives(made, 3)
