"""The starter: a small cross-encoder that comes with the program, as its difference to the trunk of the offline model.

`changes.safetensors` holds, under the names of BertForSequenceClassification, `NAME.up` and `NAME.down` where
NAME is a weight that differs from the trunk's by up @ down, and every other weight that differs as it is. The first use
merges them into an ordinary model folder in the user's cache. How it was made: `benchmarks/starter`; what it is good
for, and what not: the README here, its model card.

Laws: the folder is named by the digest of what is in it, and is there whole or not at all; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

CHANGES: Final = Path(__file__).with_name("changes.safetensors")
RECOMMENDED_WEIGHT: Final = 0.9
"""Of the model beside the first stage's score, chosen as its card says."""

NOTE: Final = (
    "the starter is a small cross-encoder for trying things out, trained for an hour and a half of one CPU core: "
    "`offline` ranks better"
)
"""What is said when it is chosen."""

_TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_UP, _DOWN = ".up", ".down"


def folder(trunk: Path) -> Path:
    """Return the folder of the starter on the trunk in another folder, made if it is not there.

    Raises:
        OSError: neither the cache nor the folder for temporary files can be written to.
    """
    name = f"starter-{_digest(CHANGES, trunk / 'model.safetensors')}"
    found = _cache() / name
    if (found / "config.json").is_file():
        return found
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
        return _written(trunk, found)
    except OSError:  # a home that is read-only, or none at all
        return _written(trunk, Path(tempfile.mkdtemp(prefix="rerank-sidecar-")) / name)


def merge(trunk: dict[str, torch.Tensor], changes: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights of BertForSequenceClassification: those of a BertModel, changed. In fp32."""
    weights = {f"bert.{name}": tensor.float() for name, tensor in trunk.items() if "position_ids" not in name}
    for name, tensor in changes.items():
        if name.endswith(_UP):
            whole = name.removesuffix(_UP)
            weights[whole] = weights[whole] + tensor.float() @ changes[whole + _DOWN].float()
        elif not name.endswith(_DOWN):
            weights[name] = tensor.float()
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def config(trunk: dict[str, Any]) -> dict[str, Any]:
    """Return the config.json that belongs to it, made of the trunk's."""
    return {
        **trunk,
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "rerank_sidecar": {"recommended_weight": RECOMMENDED_WEIGHT},
    }


def _written(trunk: Path, target: Path) -> Path:
    from safetensors.torch import load_file, save_file

    begun = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        weights = merge(load_file(trunk / "model.safetensors"), load_file(CHANGES))
        save_file(weights, begun / "model.safetensors", metadata={"format": "pt"})
        for name in _TOKENIZER:
            if (trunk / name).is_file():
                shutil.copyfile(trunk / name, begun / name)
        settings = config(json.loads((trunk / "config.json").read_text(encoding="utf-8")))
        (begun / "config.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
        begun.chmod(0o755)
        begun.rename(target)
    except OSError:
        if (target / "config.json").is_file():  # another process was quicker
            return target
        raise
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    return target


def _digest(*files: Path) -> str:
    sha256 = hashlib.sha256(json.dumps(config({})).encode())
    for path in files:
        with path.open("rb") as file:
            sha256.update(hashlib.file_digest(file, "sha256").digest())
    return sha256.hexdigest()[:16]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rerank-sidecar"
