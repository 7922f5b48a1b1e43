"""An ordinary model folder of what was trained.

Law: what is written differs from the model that was trained in its weights alone. Tokenizer, pooling, prompts and
lengths are copied from its folder, adapters are merged into the weights that they adapt, and nothing is a pickle: the
folder is loaded like any other.
"""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any, Final

from torch import nn

from sidecar.scoring.model_folder import ModelFolder

_COPIED: Final = frozenset({".json", ".txt", ".model", ".jinja"})
_OF_THE_WEIGHTS: Final = frozenset({"model.safetensors.index.json"})
_TRUNK_AND_POOLING: Final = 2
"""Modules of a chain before those that make a score."""


def save(trained: Any, base: ModelFolder, target: Path) -> None:
    """Write `trained`, a SentenceTransformer or CrossEncoder made of the model in `base`, to the folder `target`.

    What `target` held before goes.
    """
    from safetensors.torch import save_file

    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    _copy_settings(base.path, target)
    merged(trained.transformers_model).save_pretrained(target)
    for place, module in enumerate(base.score_modules, start=_TRUNK_AND_POOLING):
        layer = trained[place]
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in layer.state_dict().items()}
        save_file(weights, target / module.path / "model.safetensors")


def merged(model: nn.Module) -> Any:
    """Return a copy of a transformers model whose LoRA adapters are part of its weights; without any, the model."""
    try:
        from peft.tuners.lora import LoraLayer
    except ImportError:
        return model
    if not any(isinstance(layer, LoraLayer) for layer in model.modules()):
        return model
    whole = copy.deepcopy(model)
    for name, layer in list(whole.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            whole.set_submodule(name, layer.get_base_layer())
    return whole


def _copy_settings(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        inside = file.relative_to(source)
        is_hidden = any(part.startswith(".") for part in inside.parts)
        if file.suffix in _COPIED and file.is_file() and not is_hidden and file.name not in _OF_THE_WEIGHTS:
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / inside)
