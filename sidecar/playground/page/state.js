// What the page shows, in its URL. It stands after the #, which browsers send to no server: words that somebody
// searches for end up in no access log.

export const DEFAULTS = Object.freeze({
  words: "",
  index: "",
  fields: "",
  body: "",
  window: "",
  fusion: "",
  weight: "",
  deadline: "",
  show: "10",
  insist: "",
  tab: "search",
});

const NAMES = { words: "q" };

export function read(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([key, value]) => [key, given.get(NAMES[key] ?? key) ?? value]),
  );
}

export function write(state) {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(DEFAULTS)) {
    if (state[key] !== value) given.set(NAMES[key] ?? key, state[key]);
  }
  return `#${given}`;
}

export const fieldsOf = (state) => state.fields.split(",").filter(Boolean);
