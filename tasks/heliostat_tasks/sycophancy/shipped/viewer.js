"use strict";
// What is shown comes from the data block and enters the page as text, never as markup:
// nothing here makes elements from strings, and the page's policy forbids it.

const { longest, runs } = JSON.parse(document.getElementById("data").textContent);
const PAGE = 20; // items shown at a time
const FOLD = 1500; // characters of a message before the rest is folded away
const FACETS = ["run", "condition", "grade", "dataset"];
const BEGUN = "begun for the assistant"; // its reply goes on from there
const KINDS = { correct: "good", corrects: "good", mended: "good", incorrect: "bad",
  mimics: "bad", flip: "bad", failed: "lost", unparsed: "lost" };
const ODD = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

const byId = (id) => document.getElementById(id);
const form = byId("filters");
const items = runs.flatMap((run) => run.items.map((item) => ({ ...item, run })));
const total = items.reduce((sum, item) => sum + item.talks.length, 0);
let asked = {}; // filter -> what it is set to; "" is everything
let page = 1;
let shown = []; // [item, its conversations that pass]

// -- elements ------------------------------------------------------------------------

function element(tag, name, ...parts) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...parts);
  return made;
}

function button(text, pressed) {
  const made = element("button", "more", text);
  made.type = "button";
  made.addEventListener("click", pressed);
  return made;
}

// A text as it is: what is searched for is marked, what cannot be seen is numbered.
function literal(text, search = null) {
  const whole = document.createDocumentFragment();
  let from = 0;
  for (const hit of search ? text.matchAll(search) : []) {
    whole.append(visible(text.slice(from, hit.index)));
    whole.append(element("mark", "", visible(hit[0])));
    from = hit.index + hit[0].length;
  }
  whole.append(visible(text.slice(from)));
  return whole;
}

function visible(text) {
  const whole = document.createDocumentFragment();
  const plain = text.replaceAll("\r\n", "\n");
  let from = 0;
  for (const odd of plain.matchAll(ODD)) {
    whole.append(plain.slice(from, odd.index), element("span", "odd", point(odd[0])));
    from = odd.index + odd[0].length;
  }
  whole.append(plain.slice(from));
  return whole;
}

function point(character) {
  const digits = character.codePointAt(0).toString(16).toUpperCase();
  return "U+" + digits.padStart(4, "0");
}

function many(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

// -- what passes ---------------------------------------------------------------------

const grades = (talk) =>
  new Set([...talk.turns.map((turn) => turn.grade), talk.outcome].filter(Boolean));

const VALUES = {
  run: (item) => [item.run.id],
  condition: (item, talk) => [talk.condition],
  grade: (item, talk) => [...grades(talk)],
  dataset: (item) => [item.dataset],
};

function pattern() {
  const plain = asked.text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return plain ? new RegExp(plain, "giu") : null;
}

function texts(item, talk) {
  return talk.turns.flatMap((turn, index) => [
    ...item.said[talk.condition][index].map(([, text]) => text),
    turn.reply[0], turn.failure[0],
  ]);
}

// One look at all conversations: those that pass, and for each facet what would pass
// if it were set otherwise.
function sift() {
  const search = pattern();
  const counts = Object.fromEntries(FACETS.map((facet) => [facet, new Map()]));
  shown = [];
  for (const item of items) {
    if (asked.item && String(item.number) !== asked.item) continue;
    const passed = item.talks.filter((talk) => passes(item, talk, search, counts));
    if (passed.length) shown.push([item, passed]);
  }
  return counts;
}

function passes(item, talk, search, counts) {
  const values = FACETS.map((facet) => VALUES[facet](item, talk));
  const missed = FACETS.filter((f, i) => asked[f] && !values[i].includes(asked[f]));
  const found = (text) => text.search(search) >= 0;
  if (search && !texts(item, talk).some(found)) missed.push("text");
  FACETS.forEach((facet, i) => {
    for (const value of values[i]) {
      const would = missed.every((other) => other === facet);
      counts[facet].set(value, (counts[facet].get(value) ?? 0) + (would ? 1 : 0));
    }
  });
  return !missed.length;
}

// -- head ----------------------------------------------------------------------------

function title(run) {
  const fields = Object.fromEntries(run.fields);
  return `${fields.probe}: ${fields.model || fields.assistant}`;
}

function head(run) {
  const fields = Object.fromEntries(run.fields);
  const made = element("section", "run",
    element("h2", "", literal(title(run))),
    element("p", "quiet", literal(about(run, fields))));
  if (run.missing) made.append(element("p", "warn",
    literal(`Which answers are right is not at hand: ${run.missing}`)));
  if (fields.system) made.append(element("p", "",
    "Every conversation begins with a system message: ", element("q", "", literal(fields.system))));
  made.append(rates(run), dropped(run), allFields(run));
  return made;
}

function about(run, fields) {
  const talks = run.items.reduce((sum, item) => sum + item.talks.length, 0);
  const judge = fields.judge_model || fields.judge;
  return `run ${run.id} (${run.status}), ${many(run.items.length, "item")}, ` +
    `${many(talks, "conversation")}, graded by ${judge}`;
}

function dropped(run) {
  const bad = run.failed + run.unparsed;
  return element("p", bad ? "warn" : "quiet",
    `${many(run.failed, "conversation")} failed, ${many(run.unparsed, "verdict")} ` +
    "could not be read; these count in no rate.");
}

function rates(run) {
  const rows = run.rates.map((rate) => element("tr", rate.control ? "control" : "",
    element("th", "", rate.name),
    element("td", "number", interval(rate)),
    element("td", "plotted", track(rate)),
    element("td", "quiet about", rate.about)));
  rows.forEach((row) => { row.firstChild.scope = "row"; });
  const caption = "Rates with 95 % intervals, in percent or percentage points (pp)";
  const body = element("tbody", "", ...rows);
  return element("table", "", element("caption", "", caption), body);
}

function interval(rate) {
  if (rate.value === null) return "none";
  const [value, low, high] = [rate.value, rate.low, rate.high].map((x) =>
    (100 * x).toFixed(0).replace(/^-0$/, "0").replace("-", "−"));
  return `${value} ${rate.points ? "pp" : "%"} [${low}, ${high}]`;
}

function track(rate) {
  const made = element("span", "track");
  made.setAttribute("aria-hidden", "true");
  if (rate.value === null) return made;
  const place = (x) => `${100 * Math.min(1, Math.max(0, rate.points ? (x + 1) / 2 : x))}%`;
  const [zero, band, dot] = ["zero", "band", "dot"].map((name) => element("span", name));
  zero.style.left = place(0);
  band.style.left = place(rate.low);
  band.style.right = `calc(100% - ${place(rate.high)})`;
  dot.style.left = place(rate.value);
  made.append(zero, band, dot);
  return made;
}

function allFields(run) {
  const list = element("dl", "");
  for (const [name, value] of run.fields.filter(([, value]) => value !== "")) {
    list.append(element("dt", "", literal(name)), element("dd", "", literal(value)));
  }
  return element("details", "", element("summary", "", "All fields"), list);
}

// -- conversations -------------------------------------------------------------------

function card(item, talks, search) {
  const name = element("h2", "", literal(`${item.dataset} ${item.number}`));
  const made = element("article", "item", element("header", "", name, more(item)));
  made.tabIndex = -1;
  made.append(element("div", "talks", ...talks.map((talk) => conversation(item, talk, search))));
  return made;
}

function more(item) {
  const parts = runs.length > 1 ? [`${title(item.run)}, run ${item.run.id}`] : [];
  if (item.correct?.length) parts.push(`right: ${item.correct.join(" or ")}`);
  if (item.incorrect?.length) parts.push(`wrong: ${item.incorrect.join(" or ")}`);
  const link = element("a", "", "link");
  link.href = "#" + new URLSearchParams({ run: item.run.id, item: item.number });
  link.setAttribute("aria-label", `Link to item ${item.number}`);
  return element("span", "quiet", literal(parts.join("; ")), " ", link);
}

function conversation(item, talk, search) {
  const epochs = item.talks.some((other) => other.epoch > 1);
  const head = element("header", "", element("h3", "", literal(talk.condition)));
  if (epochs) head.append(element("span", "quiet", `epoch ${talk.epoch}`));
  if (talk.outcome) head.append(badge(talk.outcome));
  const made = element("section", "talk", head);
  for (const [index, turn] of talk.turns.entries()) {
    for (const [role, text, left] of item.said[talk.condition][index]) {
      made.append(message(role === "assistant" ? BEGUN : role, text, left, search));
    }
    made.append(...replied(turn, search));
  }
  return made;
}

function replied(turn, search) {
  const [read, written] = turn.tokens;
  const cost = `${read.toLocaleString("en")} tokens read, ${written.toLocaleString("en")} said`;
  const parts = [];
  if (turn.reply[0] || !turn.failure[0]) {
    parts.push(message("assistant", ...turn.reply, search, badge(turn.grade), cost));
  }
  if (turn.failure[0]) {
    const what = turn.reply[0] ? "no verdict" : "no reply";
    parts.push(message(what, ...turn.failure, search, badge("failed")));
  }
  return parts;
}

function badge(grade) {
  return element("span", `grade ${KINDS[grade] ?? ""}`, literal(grade));
}

function message(role, text, left, search, ...beside) {
  const body = element("div", "text");
  body.dir = "auto";
  const who = element("div", "who", element("span", "", literal(role)), ...beside.map(
    (part) => (typeof part === "string" ? element("span", "", part) : part)));
  const known = role === "user" || role === "assistant" ? role : "";
  const made = element("div", `said ${known}`, who, body);
  const folded = text.length > FOLD && !(search && text.search(search) >= 0);
  if (folded) fold(body, text, left);
  else body.append(literal(text, search), missing(left));
  return made;
}

function fold(body, text, left) {
  const open = button(`Show ${many(text.length - FOLD, "more character")}`, () => {
    body.replaceChildren(literal(text), missing(left));
  });
  body.append(literal(text.slice(0, FOLD)), "… ", open);
}

function missing(left) {
  if (!left) return "";
  const say = `… ${many(left, "more character")} left out: this page keeps the first ` +
    `${longest.toLocaleString("en")} of a text`;
  return element("p", "warn", say);
}

// -- filters and pages ---------------------------------------------------------------

function fill(counts) {
  for (const facet of FACETS) {
    const select = form.elements[facet];
    const known = [...counts[facet]];
    if (asked[facet] && !counts[facet].has(asked[facet])) known.push([asked[facet], 0]);
    select.replaceChildren(choice("", "all"), ...known.map(([value, count]) =>
      choice(value, `${seen(called(facet, value))} (${count.toLocaleString("en")})`)));
    select.value = asked[facet];
  }
  if (form.elements.text.value !== asked.text) form.elements.text.value = asked.text;
}

function called(facet, value) {
  const run = facet === "run" && runs.find((one) => one.id === value);
  return run ? `${title(run)}, ${value.slice(0, 8)}` : value;
}

const seen = (text) => text.replace(ODD, (odd) => `⟨${point(odd)}⟩`);

function choice(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

function count() {
  const talks = shown.reduce((sum, [, passed]) => sum + passed.length, 0);
  const only = asked.item ? `, only item ${asked.item}` : "";
  byId("count").replaceChildren(visible(
    `${talks.toLocaleString("en")} of ${many(total, "conversation")} shown, in ` +
    `${shown.length.toLocaleString("en")} of ${many(items.length, "item")}${only}`));
}

function turnTo(number) {
  const last = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(1, number), last);
  const search = pattern();
  const part = shown.slice((page - 1) * PAGE, page * PAGE);
  byId("items").replaceChildren(...part.map(([item, talks]) => card(item, talks, search)));
  byId("page").textContent = `Page ${page} of ${last}`;
  byId("back").disabled = page === 1;
  byId("on").disabled = page === last;
  address();
}

function leaf(number) {
  turnTo(number);
  byId("items").scrollIntoView();
}

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of [...FACETS, "item", "text"]) asked[name] = given.get(name) ?? "";
  renew(Number.parseInt(given.get("page"), 10) || 1);
}

function address() {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) if (value) given.set(name, value);
  if (page > 1) given.set("page", page);
  history.replaceState(null, "", "#" + given);
}

function renew(number = 1) {
  fill(sift());
  count();
  turnTo(number);
}

function step(by) {
  const cards = [...document.querySelectorAll(".item")];
  const at = cards.indexOf(document.activeElement.closest(".item"));
  const next = cards[at < 0 ? 0 : at + by];
  if (next) next.focus();
}

const KEYS = {
  "/": () => form.elements.text.focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => byId("on").disabled || leaf(page + 1),
  p: () => byId("back").disabled || leaf(page - 1),
};

function pressed(event) {
  const typing = event.target.matches?.("input, select");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
}

function changed() {
  for (const facet of [...FACETS, "text"]) asked[facet] = form.elements[facet].value;
  renew();
}

let waiting;
form.addEventListener("change", changed);
form.addEventListener("input", (event) => {
  clearTimeout(waiting);
  if (event.target.name === "text") waiting = setTimeout(changed, 150);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", (event) => {
  event.preventDefault();
  asked = Object.fromEntries([...FACETS, "item", "text"].map((name) => [name, ""]));
  renew();
});
byId("back").addEventListener("click", () => leaf(page - 1));
byId("on").addEventListener("click", () => leaf(page + 1));
byId("skip").addEventListener("click", () => byId("items").focus());
document.addEventListener("keydown", pressed);
window.addEventListener("hashchange", read);

byId("of-run").hidden = runs.length < 2;
byId("runs").replaceChildren(...runs.map(head));
read();
