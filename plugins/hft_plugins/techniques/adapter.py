"""An adapter in peft's own layout: what `lora` learned, apart from the model that it is merged into.

A plain file of peft, for people who keep one model and many adapters:
``PeftModel.from_pretrained(base, folder)`` gives the merged model, where `base` is what the stage started from, loaded as
transformers' class of the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from hft_core import Net

_INSIDE = "base_model.model."
"""What peft puts before the names of the model that it adapts."""
_TASKS = {
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",  # GPT-2's
}
"""peft's word for the task, by the ending of the model's class."""


@dataclass(frozen=True)
class Adapter:
    """The matrices of all adapted layers, and the modules that were trained whole."""

    settings: dict[str, Any]
    """adapter_config.json."""
    tensors: dict[str, torch.Tensor]
    """adapter_model.safetensors."""

    def write(self, folder: Path) -> None:
        """Write both files into `folder`, which is made."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True)
        text = json.dumps(self.settings, indent=1, sort_keys=True)
        (folder / "adapter_config.json").write_text(text + "\n", "utf-8")
        save_file(self.tensors, folder / "adapter_model.safetensors", {"format": "pt"})


def adapter_of(net: Net, rank: int, alpha: float, dropout: float) -> Adapter | None:
    """Take a net's adapters, which are merged already but still in place; None for a net that is no model of transformers.

    They are named as in the first of the net's heads that is such a model, or in the backbone where none is. Besides, the
    head's own modules are in it whole, and poolers, which a folder of weights may lack.
    """
    from peft import LoraConfig
    from peft.tuners.lora import LoraLayer

    model = _model(net)
    if model is None:
        return None
    whole = _whole(model)
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and not any(name.startswith(f"{other}.") for other in whole)
    }
    tensors = {
        f"{name}.{matrix}.weight": getattr(layer, matrix)["default"].weight
        for name, layer in layers.items()
        for matrix in ("lora_A", "lora_B")
    }
    tensors |= {
        f"{name}.{key.replace('.base_layer.', '.')}": value
        for name, module in whole.items()
        for key, value in module.state_dict().items()
        if ".lora_" not in key
    }
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=dropout,
        target_modules=list(layers),
        modules_to_save=list(whole) or None,
        fan_in_fan_out=any(getattr(layer, "fan_in_fan_out", False) for layer in layers.values()),
        task_type=next((word for ending, word in _TASKS.items() if type(model).__name__.endswith(ending)), None),
        inference_mode=True,
    )
    described: dict[str, Any] = config.to_dict()  # type: ignore[no-untyped-call]  # peft is untyped
    settings = {name: sorted(value) if isinstance(value, set) else value for name, value in described.items()}
    return Adapter(settings, {_INSIDE + name: tensor.detach().cpu().clone() for name, tensor in tensors.items()})


def _model(net: Net) -> Any:
    """The first model of transformers that lies in no other one."""
    from transformers import PreTrainedModel

    models = [module for module in net.modules() if isinstance(module, PreTrainedModel)]
    inner = {id(module) for model in models for module in model.modules() if module is not model}
    return next((model for model in models if id(model) not in inner), None)


def _whole(model: Any) -> dict[str, torch.nn.Module]:
    """A model's modules beside its backbone that have weights of their own, and poolers, by name."""
    backbone = model.base_model
    shared = {id(parameter) for parameter in backbone.parameters()} if backbone is not model else set()
    heads = {
        name: child
        for name, child in model.named_children()
        if backbone is not model
        and child is not backbone
        and any(id(parameter) not in shared for parameter in child.parameters())
    }
    poolers = {
        name: module
        for name, module in model.named_modules()
        if name.rpartition(".")[2] == "pooler" and name.partition(".")[0] not in heads and list(module.parameters())
    }
    return heads | poolers
