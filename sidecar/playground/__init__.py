"""The playground: one static page under `/_rerank/` that shows a search before and after reranking."""
