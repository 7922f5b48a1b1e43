"""The systems that are compared, each at its best: what is loaded how, in which environment.

A new one is a line here and, if none of `benchmarks/systems` makes it, a module there.
"""

from __future__ import annotations

from typing import Final

from benchmarks.child import System

BASELINE: Final = "sentence-transformers fp32"

_SENTENCE_TRANSFORMERS: Final = "sentence_transformers:SentenceTransformers"
_ONNX: Final = ("onnx", "onnxruntime")
_BATCH: Final = 32
"""sentence-transformers' batch size, where nobody says another."""


def _ours(precision: str) -> System:
    return System(
        name=f"rerank-sidecar {precision}", place="ours:Ours", precision=precision, options={"dtype": precision}
    )


def _transformers(precision: str) -> System:
    return System(
        name=f"transformers SDPA {precision}, sorted",
        place="transformers:Transformers",
        precision=precision,
        options={"dtype": precision},
    )


def _sentence_transformers(precision: str) -> System:
    return System(
        name=f"sentence-transformers {precision}",
        place=_SENTENCE_TRANSFORMERS,
        precision=precision,
        options={"dtype": precision},
        needs=("sentence_transformers",),
        default_batch=_BATCH,
    )


def _sentence_transformers_on(backend: str, label: str, precision: str) -> System:
    return System(
        name=f"sentence-transformers {label} {precision}",
        place=_SENTENCE_TRANSFORMERS,
        precision=precision,
        options={"backend": backend, "dtype": precision},
        environment=backend,
        default_batch=_BATCH,
    )


def _openvino(precision: str) -> System:
    return System(
        name=f"OpenVINO {precision}, sorted",
        place="openvino:OpenVino",
        precision=precision,
        options={"dtype": precision},
        needs=(*_ONNX, "openvino"),
    )


REFERENCE: Final = System(
    name="reference", place="transformers:Transformers", precision="fp32", options={"attention": "eager"}
)
"""What a system's scores are compared with."""

SYSTEMS: Final = (
    _ours("fp32"),
    _ours("bf16"),
    _sentence_transformers("fp32"),
    _sentence_transformers("bf16"),
    _sentence_transformers_on("onnx", "ONNX", "fp32"),
    _sentence_transformers_on("openvino", "OpenVINO", "fp32"),
    _sentence_transformers_on("openvino", "OpenVINO", "bf16"),
    _transformers("fp32"),
    _transformers("bf16"),
    System(
        name="onnxruntime fp32, sorted",
        place="onnx:OnnxRuntime",
        precision="fp32",
        options={"is_fused": False},
        needs=_ONNX,
    ),
    System(
        name="onnxruntime fp32, fused, sorted",
        place="onnx:OnnxRuntime",
        precision="fp32",
        options={"is_fused": True},
        needs=_ONNX,
    ),
    System(name="FlashRank fp32", place="onnx:FlashRank", precision="fp32", needs=(*_ONNX, "flashrank")),
    _openvino("fp32"),
    _openvino("bf16"),
)
