// The same request for a shell and for Python.

import { address } from "./engine.js";

export function curl(index, body, headers, isSignedIn) {
  const parts = [
    `curl -s ${shell(address(`${encodeURIComponent(index)}/_search?pretty`))}`,
    `-H 'Content-Type: application/json'`,
    ...Object.entries(headers).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`),
    ...(isSignedIn ? [`-H "Authorization: $AUTHORIZATION"`] : []),
    `-d ${shell(JSON.stringify(body, null, 2))}`,
  ];
  return parts.join(" \\\n  ");
}

export function python(index, body, headers, isSignedIn, isOpenSearch) {
  const client = isOpenSearch ? "OpenSearch" : "Elasticsearch";
  const module = isOpenSearch ? "opensearchpy" : "elasticsearch";
  const named = Object.keys(headers).length ? `headers=${literal(headers)}` : "";
  const where = address().replace(/\/$/, "");
  const login = isSignedIn ? ', headers={"Authorization": os.environ["AUTHORIZATION"]}' : "";
  const own = `index=${literal(index)}, body=${literal(body)}`;
  const call = isOpenSearch
    ? `client.search(${[own, named].filter(Boolean).join(", ")})`
    : `client${named ? `.options(${named})` : ""}.search(${own})`;
  return `${isSignedIn ? "import os\n\n" : ""}from ${module} import ${client}

client = ${client}(${literal(where)}${login})
answer = ${call}
for hit in answer["hits"]["hits"]:
    print(hit["_score"], hit["_id"])
`;
}

const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// A JSON value as Python writes it.
export function literal(value, indent = "") {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const [open, close, inside] = Array.isArray(value)
    ? ["[", "]", value.map((each) => literal(each, deeper))]
    : ["{", "}", Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${literal(each, deeper)}`)];
  const line = `${open}${inside.join(", ")}${close}`;
  if (line.length + indent.length <= 88 && !line.includes("\n")) return line;
  return `${open}\n${inside.map((each) => `${deeper}${each},\n`).join("")}${indent}${close}`;
}
