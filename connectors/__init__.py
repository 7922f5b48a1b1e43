"""The engines: Elasticsearch, OpenSearch, and one embedded in this process."""
