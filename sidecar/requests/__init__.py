"""What callers write: which requests are searches, where each search has its settings, and what they mean.

Laws: pure, no I/O; what a request says is read here and nowhere else, and written anew without touching what we do not
know.
"""
