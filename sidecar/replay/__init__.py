"""`rerank-sidecar replay`: searches that were sent before, sent again to both arms; documented in docs/replay.md.

    formats     files -> searches with how often they were sent      (slow_logs: the engines' own)
    playing     each search to the engine, and to the engine reranked
    results     what came of it: how far the pages differ, what it costs, and judgments where there are some
    document, table, page        the same as JSON, on the terminal, as one HTML page
    program     all of it, from the command line's words

Law: nothing is written to the engine: what is sent is a `_search` that leaves nothing behind there.
"""
