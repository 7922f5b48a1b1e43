"""`finetune`: a model adapted to one's own judgments, measured before and after by `evaluate`.

What is trained is what is served: texts as the second stage sees them, hard negatives from the user's own first stage,
the score that the model ranks with, and an early stop on the measure that `evaluate` takes of queries held out.

    request      what was asked for on the command line
    split        which queries are held out
    mining       what the first stage gives to each query, with the texts that a model would read
    examples     a text that answers a query, and texts that seem to; or a text and the queries that it answers
    losses       bi-encoders: the score that they serve with, as a loss
    training     sentence-transformers' trainers, full or LoRA, from checkpoint to checkpoint
    early_stop   the held-out queries: measure, keep the best, stop
    saving       an ordinary model folder, adapters merged
    report       before and after, for people and beside the model
    program      the steps in order
"""
