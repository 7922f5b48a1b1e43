"""The rerank HTTP API: score given texts, without an engine."""
