"""What the contract checks try the components with: the kit's rows and model, a prompt, texts without labels."""

from hft_core.testing import Sample

_FEW = {"type": "few-shot-classification"}
_PROMPT = {"type": "prompt-classification", "pattern": "{text} It was {gap}.", "verbalizers": {"neg": "b", "pos": "g"}}
_UNLABELLED = {"unlabelled.txt": "a good film\na bad film\n很好\n不好\n"}

SAMPLES = {
    "few-shot-classification": Sample(),
    "prompt-classification": Sample(settings=_PROMPT),
    "contrastive-pairs": Sample(settings={"pairs": 3}, task=_FEW),
    "prompt": Sample(task=_PROMPT),
    "fitted-head": Sample(task=_FEW),
    "pseudo-labels": Sample(
        settings={"data": {"type": "text", "path": "unlabelled.txt"}, "minimum": 0.0},
        files=_UNLABELLED,
        task=_FEW,
    ),
}
