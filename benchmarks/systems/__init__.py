"""What is compared, one system a file. Each is loaded in a process of its own (`benchmarks/child.py`).

A system is a class with `__init__(folder, *, threads, **options)`, which loads the model in `folder`, and

    batch_sizes     those it can be run with, () when it chooses by itself
    batch_size      the one that is used
    note            (where there is one) in words if it does not run as it was asked to, ""
    score(searches) one list of raw logits per search, in the order of its texts

Law: these modules import what they measure, and of this repository only `benchmarks.workload`: some run in an
environment in which this program cannot be installed.
"""
