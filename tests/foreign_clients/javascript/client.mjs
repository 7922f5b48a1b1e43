// What the official JavaScript client of an engine finds at a URL, as one line of JSON: see ../README.md.
import { Client as Elasticsearch } from "@elastic/elasticsearch";
import { Client as OpenSearch } from "@opensearch-project/opensearch";

const [engine, node, index] = process.argv.slice(2);
const search = { size: 30, query: { match: { body: "tea" } } };
const ids = (answer) => answer.hits.hits.map((hit) => hit._id);

async function withElasticsearch() {
  const client = new Elasticsearch({ node, maxRetries: 0 });
  const single = await client.search({ index, ...search });
  const several = await client.msearch({ searches: [{ index }, search, { index }, { ...search, size: 3 }] });
  const missing = await client.search({ index: "no-such-index", ...search }).catch((error) => error);
  const counted = await client.count({ index });
  return { search: ids(single), msearch: several.responses.map(ids), missing: missing.statusCode, count: counted.count };
}

async function withOpenSearch() {
  const client = new OpenSearch({ node, maxRetries: 0 });
  const single = await client.search({ index, body: search });
  const several = await client.msearch({ body: [{ index }, search, { index }, { ...search, size: 3 }] });
  const missing = await client.search({ index: "no-such-index", body: search }).catch((error) => error);
  const counted = await client.count({ index });
  return {
    search: ids(single.body),
    msearch: several.body.responses.map(ids),
    missing: missing.statusCode,
    count: counted.body.count,
  };
}

console.log(JSON.stringify(await (engine === "elasticsearch" ? withElasticsearch() : withOpenSearch())));
