"""How fast it is: measurements against other programs, by anybody, on their own machine.

    engine.py     strings in, scores out, in one process: our scoring beside that of others
    service.py    HTTP in and out: latency under a load that does not wait for answers
    overhead.py   what the proxy costs where it only passes on
    memory.py     what it holds: a bulk of 100 MB under way, a thousand idle connections
    overload.py   what becomes of searches when three times as many come as can be scored
    pool.py       scorers elsewhere: what a second one carries, what the way costs, what outages cost
    planning.py   how many machines a site needs: a simulation, checked against a real pool

Each is a program, `python -m benchmarks.NAME`, that prints its table with the machine, the model and the commit.
docs/performance.md has the method and the results. Law: what is compared runs in one go, in turns, on the same texts;
a system whose scores are wrong gets no speed, an answer that is wrong counts as a failure.
"""
