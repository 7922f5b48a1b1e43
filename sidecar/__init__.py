"""Rerank the hits of Elasticsearch and OpenSearch with a cross-encoder. Read `sidecar/pipeline.py` first."""
