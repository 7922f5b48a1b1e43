"""The command `rerank-sidecar`: command line, configuration, and the one place where all parts are put together.

Law: nothing of the library imports it.
"""
