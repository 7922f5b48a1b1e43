"""How fast it is on a GPU: one program, no network, eight minutes at most.

    python -m benchmarks.gpu --out DIR

First whether the scores are right, on this device, in this run: where they are not, no speed is printed. Then what the
device itself needs, kernel by kernel; then strings in, scores out, beside sentence-transformers and transformers on the
same GPU; then many searches at once through the scheduler. Each section is written when it is done, so that one that
fails, or a program that is cut off, costs nothing that was measured before.

Without a GPU, `--device cpu --quick` runs all of it as a rehearsal, and says so: its figures say nothing.
"""
