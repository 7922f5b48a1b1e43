"""`bulk`: many queries reranked once, into files: for evaluation at scale, labels to distil from, and warm caches.

What searches and ranks is what `evaluate` uses, which is what `serve` does; nothing searches, ranks or reads files
here.

    request      what was asked for on the command line
    conditions   what the answers depend on: another job's journal is not gone on with
    journal      which queries are done, and their answers: survives a kill at any moment
    windows      scorers whose scores do not depend on how often the job was interrupted
    lanes        several queries at a time through one scorer
    answers      one query's answer as rows
    output       all answers, in the order of the queries, as a TREC run and as Parquet
    progress     how far it is, and when it will end
    on_ray       the same over a pool of scorers, by Ray Data
    program      the steps in order
"""
