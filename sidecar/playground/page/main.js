// The page: state in the URL, a search on both sides, and everything that people do with them.

import { detail } from "./detail.js";
import { byId, h, say } from "./dom.js";
import * as engine from "./engine.js";
import { cards, skeletons } from "./hits.js";
import { Judgments } from "./judgments.js";
import * as lines from "./lines.js";
import { Live } from "./live.js";
import { readMarker } from "./outcome.js";
import * as query from "./query.js";
import { compare, sides } from "./ranking.js";
import { problem, report } from "./report.js";
import * as snippets from "./snippets.js";
import { fieldsOf, read, write } from "./state.js";

const FIELDS_SHOWN = 8;
const INPUTS = ["window", "fusion", "weight", "deadline", "show"];

let about = { engine: "", model: {}, defaults: {}, examples: [] };
let state = read(location.hash);
let judgments = new Judgments(localStorage);
let found = null; // the last search, complete
let running = null; // its AbortController
let known = []; // text fields of the index
let areAllShown = false;
const live = new Live(byId("view-live"));

// --- state and form ---------------------------------------------------------------------------------------

function keep(changes, { isNew = false } = {}) {
  state = { ...state, ...changes };
  history[isNew ? "pushState" : "replaceState"](null, "", write(state));
  showSummaries();
}

function showForm() {
  byId("words").value = state.words;
  byId("index").value = state.index;
  for (const name of INPUTS) byId(name).value = state[name];
  byId("insist").checked = Boolean(state.insist);
  byId("window").placeholder = about.defaults.window ?? "";
  byId("deadline").placeholder = about.defaults.deadline_ms ?? "";
  byId("weight").placeholder = about.model.recommended_weight ?? "";
  byId("weight").disabled = state.fusion !== "linear";
  showFields();
  showBody();
  showSummaries();
}

function showSummaries() {
  const parts = [
    `window ${state.window || about.defaults.window || ""}`,
    state.fusion && (state.fusion === "linear" && state.weight ? `linear ${state.weight}` : state.fusion),
    state.deadline && `${state.deadline} ms`,
    `${state.show} hits`,
    state.insist && "insist",
  ];
  byId("settings-summary").textContent = parts.filter(Boolean).join(" · ");
  byId("body-summary").textContent = state.body ? "your own" : "";
}

function showFields() {
  const chosen = new Set(fieldsOf(state));
  const isOwn = Boolean(state.body);
  const all = [...new Set([...chosen, ...known])];
  const shown = areAllShown ? all : all.slice(0, Math.max(FIELDS_SHOWN, chosen.size));
  const chip = (label, isOn, onclick) =>
    h("button", { type: "button", class: "chip", "aria-pressed": String(isOn), disabled: isOwn, onclick }, label);
  byId("fields").replaceChildren(
    chip("all text", !isOwn && chosen.size === 0, () => chooseFields([])),
    ...shown.map((name) => chip(name, !isOwn && chosen.has(name), () => toggleField(name))),
    ...(all.length > shown.length
      ? [h("button", { type: "button", class: "link", onclick: showAllFields }, `${all.length - shown.length} more`)]
      : []),
    ...(isOwn ? [h("span", { class: "note" }, "The query body is your own.")] : []),
  );
}

function showAllFields() {
  areAllShown = true;
  showFields();
}

function toggleField(name) {
  const chosen = new Set(fieldsOf(state));
  if (!chosen.delete(name)) chosen.add(name);
  chooseFields([...chosen].sort((one, other) => known.indexOf(one) - known.indexOf(other)));
}

function chooseFields(names) {
  const place = [...byId("fields").children].indexOf(document.activeElement);
  keep({ fields: names.join(",") });
  showFields();
  showBody();
  byId("fields").children[place]?.focus();
  searchAgain();
}

function bodyText() {
  return state.body || query.written(fieldsOf(state));
}

function showBody() {
  if (document.activeElement !== byId("body")) byId("body").value = bodyText();
  byId("reset-body").hidden = !state.body;
  checkBody();
}

// Return the body with its words, or null and say what is wrong.
function checkBody() {
  const problem = byId("body-problem");
  try {
    const body = query.filled(bodyText(), state.words);
    problem.textContent = "";
    byId("body").removeAttribute("aria-invalid");
    return body;
  } catch (error) {
    problem.textContent = `This is no search body: ${error.message}`;
    byId("body").setAttribute("aria-invalid", "true");
    return null;
  }
}

function writeBody() {
  const text = byId("body").value;
  keep({ body: text.trim() === query.written(fieldsOf(state)) ? "" : text });
  byId("reset-body").hidden = !state.body;
  showFields();
  checkBody();
}

async function chooseIndex(name) {
  known = name ? await engine.textFields(name) : [];
  areAllShown = false;
  const example = about.examples.find((each) => each.index === name);
  const fields = fieldsOf(state).filter((field) => known.length === 0 || known.includes(field));
  keep({ index: name, fields: (fields.length ? fields : (example?.fields ?? [])).join(",") });
  showForm();
}

// --- searching --------------------------------------------------------------------------------------------

function searchAgain() {
  if (found) void search();
}

async function search({ isNew = false } = {}) {
  keep({ words: byId("words").value.trim(), index: byId("index").value.trim() }, { isNew });
  const body = checkBody();
  if (!body) return openPanel("body", true);
  if (!state.words && bodyText().includes(query.PLACEHOLDER)) return welcome();
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const show = Number(state.show);
  const size = query.depth(body, show, Number(state.window) || about.defaults.window || 100);
  const asked = { ...body, from: 0, size };
  begin(show);
  try {
    const before = await engine.search(state.index, asked, { "X-Rerank": "off" }, signal);
    showBefore(before, show);
    const after = await engine.search(
      state.index,
      query.withWeight(asked, state),
      { ...query.headers(state), "X-Rerank-Explain": "true" },
      signal,
    );
    finish(before, after, show);
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

function begin(show) {
  byId("welcome").hidden = true;
  byId("board").hidden = false;
  byId("board").classList.add("is-waiting");
  byId("after").replaceChildren(...skeletons(Math.min(show, 10)));
  byId("lines").replaceChildren();
  say("Searching");
}

function showBefore(before, show) {
  const documents = compare(before.hits.slice(0, show), []);
  byId("before").replaceChildren(...cards("before", documents, viewOf(before.hits, show, false), actions));
}

function finish(before, after, show) {
  const marker = readMarker(after.marker);
  found = {
    before,
    after,
    show,
    index: state.index,
    words: state.words,
    window: state.window || about.defaults.window,
    documents: compare(before.hits, after.hits),
    isReranked: marker.word === "applied" || marker.word === "partial",
  };
  byId("board").classList.remove("is-waiting");
  render();
  const best = sides(found.documents, show).after[0];
  say(`${marker.word}. ${Math.min(show, after.hits.length)} hits on each side${best ? `; first: ${best.hit._id}` : ""}`);
  void aboutModel();
}

function fail(error) {
  found = null;
  byId("board").hidden = true;
  byId("board").classList.remove("is-waiting");
  byId("report").hidden = false;
  const isLogin = error instanceof engine.EngineRefusal && (error.status === 401 || error.status === 403);
  const hint = isLogin ? ` (status ${error.status}: sign in at the top)` : "";
  byId("report").replaceChildren(...problem(`${error.message}${hint}`));
}

function viewOf(hits, show, isReranked) {
  return {
    words: state.words,
    kind: about.model.kind ?? "cross-encoder",
    best: Math.max(0, ...hits.map((hit) => hit._score ?? 0)),
    show,
    isReranked,
    grades: judgments.of(state.index, state.words),
  };
}

function render() {
  const focused = focusedPlace();
  const view = viewOf(found.before.hits, found.show, found.isReranked);
  const both = sides(found.documents, found.show);
  byId("report").hidden = false;
  byId("report").replaceChildren(...report(found, judgments, { clear: clearJudgments }));
  for (const side of ["before", "after"]) {
    byId(side).replaceChildren(
      ...(both[side].length ? cards(side, both[side], view, actions) : [h("li", { class: "empty" }, "No hits.")]),
    );
  }
  drawLines();
  if (focused) hitOf(focused.side, focused.key)?.querySelector(focused.within)?.focus();
}

function drawLines() {
  if (found && !byId("board").hidden) {
    lines.draw(byId("lines"), onBoard(), byId("before"), byId("after"));
  }
}

function onBoard() {
  const both = sides(found.documents, found.show);
  return [...new Set([...both.before, ...both.after])];
}

function welcome() {
  found = null;
  byId("board").hidden = true;
  byId("report").hidden = true;
  const examples = about.examples.slice(0, 8);
  byId("welcome").hidden = false;
  byId("welcome").replaceChildren(
    h("p", { class: "lead" }, "One search, twice: in the engine's order, and after a model has read the hits."),
    ...(examples.length
      ? [
          h("p", { class: "note" }, "Try"),
          h(
            "div",
            { class: "chips" },
            ...examples.map((each) =>
              h("button", { type: "button", class: "chip", onclick: () => tryExample(each) }, each.query),
            ),
          ),
        ]
      : [h("p", { class: "note" }, "Type what a user of yours would type. Nothing here changes your data.")]),
  );
}

async function tryExample(example) {
  state = { ...state, words: example.query };
  await chooseIndex(example.index);
  await search({ isNew: true });
}

// --- judging ----------------------------------------------------------------------------------------------

const actions = { open: openDetail, grade };

function grade(each, value) {
  judgments.set(found.index, found.words, each.hit._id, value);
  render();
  say(value === null ? "grade taken back" : `graded ${value}`);
}

function clearJudgments() {
  judgments.clear(found.index, found.words);
  render();
}

function focusedPlace() {
  const hit = document.activeElement?.closest?.(".hit[data-key]");
  if (!hit) return null;
  const isGrade = document.activeElement.type === "radio";
  const within = isGrade ? `input[value="${document.activeElement.value}"]` : ".title";
  return { key: hit.dataset.key, side: hit.parentElement.id, within };
}

const hitOf = (side, key) =>
  [...byId(side).querySelectorAll(".hit[data-key]")].find((hit) => hit.dataset.key === key) ?? null;

// --- one document -----------------------------------------------------------------------------------------

let opened = null; // {list, place} of the document that is shown at length

function openDetail(each) {
  const side = document.activeElement?.closest?.("ol")?.id ?? "after";
  const list = sides(found.documents, found.show)[side];
  showDetail({ list, place: list.findIndex(({ key }) => key === each.key) });
  byId("detail").showModal();
}

function showDetail({ list, place }) {
  opened = { list, place };
  const on = {
    close: () => byId("detail").close(),
    previous: place > 0 && (() => showDetail({ list, place: place - 1 })),
    next: place < list.length - 1 && (() => showDetail({ list, place: place + 1 })),
    grade: gradeOpened,
  };
  byId("detail").replaceChildren(...detail(list[place], viewOf(found.before.hits, found.show, found.isReranked), on));
  byId("detail").scrollTop = 0;
}

function gradeOpened(each, value) {
  grade(each, value);
  showDetail(opened);
  byId("detail").querySelector(value === null ? ".icon" : ".grade input:checked").focus();
}

function onDetailKey(event) {
  const step = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 }[event.key];
  const value = { 0: 0, 1: 1, 2: 2, 3: 3, x: null }[event.key];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (value !== undefined) gradeOpened(opened.list[opened.place], value);
  else if (step && event.target.type !== "radio" && opened.list[opened.place + step]) {
    showDetail({ ...opened, place: opened.place + step });
    byId("detail").querySelector(".icon").focus();
  } else return;
  event.preventDefault();
}

// --- dialogs ----------------------------------------------------------------------------------------------

let language = "curl";

function openCopy() {
  if (!checkBody()) return openPanel("body", true);
  showSnippet();
  byId("copy").showModal();
}

function showSnippet() {
  const body = query.withWeight({ ...query.filled(bodyText(), state.words), size: Number(state.show) }, state);
  const headers = query.headers(state);
  const isOpenSearch = /opensearch/i.test(about.engine);
  byId("snippet").textContent =
    language === "curl"
      ? snippets.curl(state.index, body, headers, engine.isSignedIn())
      : snippets.python(state.index, body, headers, engine.isSignedIn(), isOpenSearch);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
  }
}

async function copyNow() {
  const button = byId("copy-now");
  try {
    await navigator.clipboard.writeText(byId("snippet").textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("snippet")); // pages without https have no clipboard
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function signIn(given) {
  engine.signIn(given);
  byId("open-sign-in").textContent = engine.isSignedIn() ? "Signed in" : "Sign in";
  byId("credentials").reset();
  byId("sign-in").close();
  void loadIndices().then(searchAgain);
}

function openPanel(name, isOpen) {
  byId(`${name}-panel`).hidden = !isOpen;
  byId(`open-${name}`).setAttribute("aria-expanded", String(isOpen));
  if (isOpen) byId(name === "body" ? "body" : "window").focus();
}

// --- views, colours, keys ---------------------------------------------------------------------------------

function showTab(name) {
  for (const each of ["search", "live"]) {
    const isOn = each === name;
    byId(`tab-${each}`).setAttribute("aria-selected", String(isOn));
    byId(`tab-${each}`).tabIndex = isOn ? 0 : -1;
    byId(`view-${each}`).hidden = !isOn;
  }
  if (name === "live") void live.start();
  else live.stop();
  drawLines();
}

function chooseTab(name) {
  keep({ tab: name });
  showTab(name);
  byId(`tab-${name}`).focus();
}

const THEMES = ["", "light", "dark"];

function showTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-label", `Colours: ${theme || "as the system"}`);
  byId("theme").title = `Colours: ${theme || "as the system"}`;
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "") + 1) % THEMES.length];
  localStorage.setItem("rerank-playground.theme", theme);
  showTheme(theme);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isRadio = event.target.type === "radio";
  if (!isRadio && event.target.closest("input, textarea, select")) return;
  if (event.key === "/") byId("words").focus();
  else if (event.key === "?") byId("help").showModal();
  else if (!onHitKey(event, isRadio)) return;
  event.preventDefault();
}

function onHitKey(event, isRadio) {
  const hit = event.target.closest(".hit[data-key]");
  if (!found || state.tab !== "search") return false;
  if (!hit) return (event.key === "j" || event.key === "ArrowDown") && event.target === document.body && focusHit(byId("after").querySelector(".hit"));
  const each = found.documents.find(({ key }) => key === hit.dataset.key);
  const isArrow = event.key.startsWith("Arrow");
  if (isRadio && isArrow) return false;
  switch (event.key) {
    case "ArrowDown":
    case "j":
      return focusHit(hit.nextElementSibling);
    case "ArrowUp":
    case "k":
      return focusHit(hit.previousElementSibling);
    case "ArrowLeft":
      return focusHit(hitOf("before", each.key));
    case "ArrowRight":
      return focusHit(hitOf("after", each.key));
    case "0":
    case "1":
    case "2":
    case "3":
    case "x":
      if (each.hit._id === undefined) return false;
      grade(each, event.key === "x" ? null : Number(event.key));
      return true;
    default:
      return false;
  }
}

function focusHit(hit) {
  if (!hit?.dataset.key) return false;
  byId("board").dataset.focus = hit.parentElement.id;
  showSide(hit.parentElement.id);
  hit.querySelector(".title").focus();
  hit.scrollIntoView({ block: "nearest" });
  return true;
}

function showSide(side) {
  byId("board").dataset.focus = side;
  for (const button of document.querySelectorAll("[data-side]")) {
    button.setAttribute("aria-pressed", String(button.dataset.side === side));
  }
  drawLines();
}

// --- beginning --------------------------------------------------------------------------------------------

async function aboutModel() {
  const was = about.model;
  about = await engine.own("about.json");
  showAbout();
  if (found && was.kind !== about.model.kind) render();
}

function showAbout() {
  const { model } = about;
  const name = model.name ?? (model.unavailable === "starting" ? "the model is loading" : `no model (${model.unavailable})`);
  byId("about").replaceChildren(h("span", {}, about.engine), h("span", { class: "model" }, name));
  byId("model-note").textContent = model.name
    ? `Model: ${model.name} (${model.kind}, ${model.device}, ${model.dtype}), up to ${model.max_length} tokens. The operator chooses it, a request cannot.`
    : `Model: ${name}.`;
}

async function loadIndices() {
  const names = await engine.indices({ hasAliases: !about.engine.startsWith("embedded") });
  byId("indices").replaceChildren(...names.map((name) => h("option", { value: name })));
  const first = about.examples[0]?.index ?? names[0] ?? "";
  await chooseIndex(state.index || first);
}

function listen() {
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    void search({ isNew: true });
  });
  byId("index").addEventListener("change", async () => {
    await chooseIndex(byId("index").value.trim());
    searchAgain();
  });
  byId("words").addEventListener("input", () => {
    state = { ...state, words: byId("words").value.trim() };
    checkBody();
  });
  for (const name of INPUTS) {
    byId(name).addEventListener("change", () => {
      if (!byId(name).checkValidity()) return byId(name).reportValidity();
      keep({ [name]: byId(name).value });
      byId("weight").disabled = state.fusion !== "linear";
      searchAgain();
    });
  }
  byId("insist").addEventListener("change", () => {
    keep({ insist: byId("insist").checked ? "1" : "" });
    searchAgain();
  });
  byId("body").addEventListener("input", writeBody);
  byId("body").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void search({ isNew: true });
  });
  byId("reset-body").addEventListener("click", () => {
    keep({ body: "" });
    showFields();
    showBody();
    byId("body").focus();
  });
  for (const name of ["settings", "body"]) {
    byId(`open-${name}`).addEventListener("click", () => openPanel(name, byId(`${name}-panel`).hidden));
  }
  byId("open-copy").addEventListener("click", openCopy);
  byId("copy-now").addEventListener("click", copyNow);
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => {
      language = button.dataset.language;
      showSnippet();
    });
  }
  byId("open-sign-in").addEventListener("click", () => byId("sign-in").showModal());
  byId("credentials").addEventListener("submit", (event) => {
    event.preventDefault();
    signIn({ user: byId("user").value, password: byId("password").value, apiKey: byId("api-key").value });
  });
  byId("sign-out").addEventListener("click", () => signIn({}));
  byId("open-help").addEventListener("click", () => byId("help").showModal());
  byId("theme").addEventListener("click", nextTheme);
  for (const button of document.querySelectorAll("[data-side]")) {
    button.addEventListener("click", () => showSide(button.dataset.side));
  }
  for (const name of ["search", "live"]) byId(`tab-${name}`).addEventListener("click", () => chooseTab(name));
  document.querySelector('[role="tablist"]').addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") chooseTab(state.tab === "live" ? "search" : "live");
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
  byId("board").addEventListener("pointerover", (event) => {
    lines.highlight(byId("board"), event.target.closest("[data-key]")?.dataset.key ?? null);
  });
  byId("board").addEventListener("pointerleave", () => lines.highlight(byId("board"), null));
  byId("board").addEventListener("focusin", (event) => {
    lines.highlight(byId("board"), event.target.closest("[data-key]")?.dataset.key ?? null);
  });
  byId("board").addEventListener("focusout", () => lines.highlight(byId("board"), null));
  byId("detail").addEventListener("keydown", onDetailKey);
  document.addEventListener("keydown", onKey);
  new ResizeObserver(drawLines).observe(byId("board"));
  addEventListener("popstate", async () => {
    state = read(location.hash);
    showTab(state.tab);
    await chooseIndex(state.index);
    await search();
  });
}

async function begun() {
  showTheme(localStorage.getItem("rerank-playground.theme") ?? "");
  listen();
  showTab(state.tab);
  about = await engine.own("about.json");
  judgments = new Judgments(localStorage, about.examples);
  showAbout();
  await loadIndices();
  await search();
}

begun().catch((error) => {
  byId("report").hidden = false;
  byId("report").replaceChildren(...problem(error.message));
});
