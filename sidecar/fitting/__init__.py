"""`rerank-sidecar fit-weights`: the weights of a policy's terms, from judgments or clicks (docs/signals.md).

    request     what the command line says
    lists       every judged query's candidates with their terms, as the pipeline has them
    ascent      the weights with the highest mean nDCG@10, and how sure they are
    program     from one end to the other: fitted, checked on queries held out, printed as TOML

Law: weights that rank the queries held out worse than those in force are not printed.
"""
