"""Haystack: documents reranked in a pipeline, which can be written down and read again.

pip install "rerank-sidecar[haystack,offline]"
python examples/haystack_ranker.py [MODEL, OR URL OF A SCORER]
"""

import sys

from haystack import Document, Pipeline

from sidecar.integrations.haystack import SidecarRanker

MODEL = sys.argv[1] if len(sys.argv) > 1 else "offline"

pipeline = Pipeline()
pipeline.add_component("ranker", SidecarRanker(MODEL, top_k=2, template="{title}. {content}"))
pipeline = Pipeline.loads(pipeline.dumps(), allowed_modules=["sidecar.*"])

documents = [
    Document(content="They are yellow and grow in bunches.", meta={"title": "Bananas"}),
    Document(content="It is the capital and lies on the Seine.", meta={"title": "Paris"}),
    Document(content="It is the capital and lies on the Spree.", meta={"title": "Berlin"}),
]
found = pipeline.run({"ranker": {"query": "capital of France", "documents": documents}})
for document in found["ranker"]["documents"]:
    print(f"{document.score:.4f}  {document.meta['title']}")
