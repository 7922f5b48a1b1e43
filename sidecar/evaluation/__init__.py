"""`evaluate`: does reranking help on these queries, by how much, and whom does it hurt?

A first stage and what stands behind it are both connectors: the same request goes to the engine and to the engine
reranked, and the two orders are compared. So what is measured is what `serve` does; nothing searches or ranks here.

    request        what was asked for on the command line
    datasets       queries, judgments and documents from files   (judgments: the formats of qrels)
    runs           TREC run files
    stored_run     a run file as an engine
    indexing       a corpus into an engine
    searching      every query to every system                   (once: nothing is asked or scored twice)
    measures       what ir-measures says of a ranking            (overlap: how two rankings agree, without judgments)
    comparison     before against after: differences, intervals, who won and lost
    results        all of it as values
    table, document, page, plots   the same on the terminal, as JSON, as HTML
    program        the steps in order
"""
