"""What is told of searches: records, metrics, the log, traces, durations.

Laws: nothing here changes what a caller gets, but for the headers `X-Rerank` and `Server-Timing`; nothing here holds a
query, a document or a credential.
"""
