"""transformers' model with torch's attention (SDPA), fed in sorted batches by raw `tokenizers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from numpy.typing import NDArray

from benchmarks.systems.padded import Ids, PaddedSystem

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Transformers(PaddedSystem):
    """`AutoModelForSequenceClassification`; with `attention="eager"` in fp32 the reference of the accuracy gate."""

    def __init__(
        self, folder: Path, *, threads: int, max_length: int, dtype: str = "fp32", attention: str = "sdpa"
    ) -> None:
        """Load the model."""
        super().__init__(folder, max_length=max_length)
        torch.set_num_threads(threads)
        transformers.utils.logging.disable_progress_bar()
        self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=DTYPES[dtype], attn_implementation=attention, local_files_only=True
        ).eval()

    def _forward(self, ids: Ids, mask: Ids, types: Ids) -> NDArray[Any]:
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                token_type_ids=torch.from_numpy(types),
            ).logits
        return logits[:, 0].float().numpy()  # type: ignore[no-any-return]  # (pairs,)
