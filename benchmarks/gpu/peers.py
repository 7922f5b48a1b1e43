"""The others on the same GPU, each as it is best: half precision, sorted by length, its fastest batch size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from numpy.typing import NDArray

from benchmarks.systems.padded import Ids, PaddedSystem
from benchmarks.workload import Search

DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class SentenceTransformers:
    """`CrossEncoder.predict`, which tokenises, sorts by length and pads by itself."""

    batch_sizes: Sequence[int] = (32, 64, 128, 256, 512, 1024)
    batch_size = 32

    def __init__(self, folder: Path, *, device: str, dtype: str, max_length: int) -> None:
        """Load the model."""
        from sentence_transformers import CrossEncoder

        self._model: Any = CrossEncoder(
            str(folder),
            device=device,
            max_length=max_length,
            model_kwargs={"dtype": DTYPES[dtype]},
            local_files_only=True,
        )

    def score(self, search: Search) -> list[float]:
        """Return one logit per text."""
        scores = self._model.predict(
            [(search.query, text) for text in search.texts],
            batch_size=self.batch_size,
            activation_fn=torch.nn.Identity(),
            show_progress_bar=False,
        )
        return [float(score) for score in scores]


class Transformers(PaddedSystem):
    """The model with torch's attention, fed by raw `tokenizers` in sorted batches."""

    batch_sizes: Sequence[int] = (32, 64, 128, 256, 512, 1024)

    def __init__(self, folder: Path, *, device: str, dtype: str, max_length: int, attention: str = "sdpa") -> None:
        """Load the model; `attention="eager"` in fp32 is the reference of the gate."""
        import transformers

        super().__init__(folder, max_length=max_length)
        self.batch_size = 128
        self._device = device
        transformers.utils.logging.disable_progress_bar()
        model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=DTYPES[dtype], attn_implementation=attention, local_files_only=True
        )
        self._model = model.eval().to(device)

    def score_one(self, search: Search) -> list[float]:
        """Return one logit per text."""
        return self.score([search])[0]

    def _forward(self, ids: Ids, mask: Ids, types: Ids) -> NDArray[Any]:
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.from_numpy(ids).to(self._device),
                attention_mask=torch.from_numpy(mask).to(self._device),
                token_type_ids=torch.from_numpy(types).to(self._device),
            ).logits
        found: NDArray[Any] = logits[:, 0].float().cpu().numpy()  # (pairs,)
        return found
