// The engine as anybody reaches it through the proxy: same origin, same paths, the user's own credentials.

// The page is at PREFIX/_rerank/, the engine at PREFIX/.
const ROOT = new URL("../", document.baseURI);
const TEXT_TYPES = new Set(["text", "match_only_text", "annotated_text", "search_as_you_type", "semantic_text"]);

let authorization = null;

export class EngineRefusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

export function signIn({ user, password, apiKey }) {
  if (apiKey) authorization = `ApiKey ${apiKey}`;
  else if (user) authorization = `Basic ${base64(`${user}:${password}`)}`;
  else authorization = null;
}

export const isSignedIn = () => authorization !== null;
export const address = (path = "") => new URL(path, ROOT).href;

export async function own(name) {
  const answer = await fetch(new URL(`playground/${name}`, document.baseURI), { cache: "no-store" });
  if (!answer.ok) throw new EngineRefusal(answer.status, `${name}: status ${answer.status}`);
  return answer.json();
}

// One search. `headers` are settings of reranking.
export async function search(index, body, headers, signal) {
  const began = performance.now();
  const answer = await request("POST", `${encodeURIComponent(index)}/_search`, { body, headers, signal });
  const found = await json(answer);
  return {
    hits: found.hits?.hits ?? [],
    total: found.hits?.total ?? null,
    took: found.took ?? null,
    marker: answer.headers.get("X-Rerank") ?? "",
    timing: answer.headers.get("Server-Timing") ?? "",
    milliseconds: performance.now() - began,
  };
}

// Names of indices and aliases; none where the user may not list them.
export async function indices({ hasAliases }) {
  const [found, aliases] = await Promise.all([
    quietly(get("_cat/indices?format=json&h=index")),
    hasAliases ? quietly(get("_cat/aliases?format=json&h=alias")) : [],
  ]);
  const names = (found ?? []).map((row) => row.index).sort();
  const all = [...names, ...(aliases ?? []).map((row) => row.alias)];
  return [...new Set(all)].filter((name) => name && !name.startsWith("."));
}

// Names of the text fields of an index, titles first.
export async function textFields(index) {
  const mappings = await quietly(get(`${encodeURIComponent(index)}/_mapping`));
  const names = new Set();
  for (const each of Object.values(mappings ?? {})) collect(each.mappings?.properties, "", names);
  return [...names].sort((one, other) => isTitle(other) - isTitle(one));
}

export const isTitle = (name) => /^(title|name|headline|subject|heading|label)$/i.test(name.split(".").at(-1));

function collect(properties, prefix, names) {
  for (const [key, field] of Object.entries(properties ?? {})) {
    const path = prefix + key;
    if (TEXT_TYPES.has(field.type)) names.add(path);
    if (field.properties && field.type !== "nested") collect(field.properties, `${path}.`, names);
  }
}

async function get(path) {
  return json(await request("GET", path));
}

function request(method, path, { body, headers = {}, signal } = {}) {
  const all = { ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  if (authorization) all.Authorization = authorization;
  return fetch(new URL(path, ROOT), { method, headers: all, body: body && JSON.stringify(body), signal });
}

async function json(answer) {
  const text = await answer.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new EngineRefusal(answer.status, `status ${answer.status}: ${text.slice(0, 300) || "an empty answer"}`);
  }
  if (!answer.ok) throw new EngineRefusal(answer.status, reason(value) ?? `status ${answer.status}`);
  return value;
}

function reason({ error }) {
  if (typeof error === "string") return error;
  const cause = error?.root_cause?.[0] ?? error;
  return cause?.reason ?? cause?.type;
}

async function quietly(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof EngineRefusal) return null;
    throw error;
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
