"""LlamaIndex: nodes reranked, with the passage that the model liked best.

pip install "rerank-sidecar[llamaindex,offline]"
python examples/llamaindex_postprocessor.py [MODEL, OR URL OF A SCORER]
"""

import sys

from llama_index.core.schema import NodeWithScore, TextNode

from sidecar.integrations.llamaindex import SidecarRerank

MODEL = sys.argv[1] if len(sys.argv) > 1 else "offline"
TEXTS = {
    "Bananas": "They are yellow. They grow in bunches, and monkeys are said to like them.",
    "Paris": "It has more than two million inhabitants. It is the capital of France. It lies on the Seine.",
    "Berlin": "It is the capital of Germany, and lies on the Spree.",
}

nodes = [NodeWithScore(node=TextNode(text=text, metadata={"title": title}), score=0.5) for title, text in TEXTS.items()]
# In a query engine: index.as_query_engine(similarity_top_k=50, node_postprocessors=[reranker])
reranker = SidecarRerank(model=MODEL, top_n=2, fields=["text"], passage_tokens=10, passage_return=True)
for found in reranker.postprocess_nodes(nodes, query_str="capital of France"):
    print(f"{found.score:.4f}  {found.node.metadata['title']}: {found.node.metadata['rerank_passage']}")
