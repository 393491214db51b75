// Pages of items, what keys do, and the address.

const PAGE = 20; // items shown at a time
const total = items.reduce((sum, item) => sum + item.talks.length, 0);
let page = 1;

function count() {
  const talks = shown.reduce((sum, [, passed]) => sum + passed.length, 0);
  const only = chosen.item ? `, only item ${chosen.item}` : "";
  byId("count").replaceChildren(visible(
    `${talks.toLocaleString("en")} of ${many(total, "conversation")} shown, in ` +
    `${shown.length.toLocaleString("en")} of ${many(items.length, "item")}${only}`));
}

function turnTo(number) {
  const last = Math.max(1, Math.ceil(shown.length / PAGE));
  page = Math.min(Math.max(1, number), last);
  const search = pattern();
  const part = shown.slice((page - 1) * PAGE, page * PAGE);
  const cards = part.map(([item, talks]) => card(item, talks, search));
  const none = element("p", "quiet", "No conversation passes these filters.");
  byId("items").replaceChildren(...(cards.length ? cards : [none]));
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
  for (const name of [...FACETS, "item", "text"]) chosen[name] = given.get(name) ?? "";
  renew(Number.parseInt(given.get("page"), 10) || 1);
}

function address() {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen)) if (value) given.set(name, value);
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
  for (const facet of [...FACETS, "text"]) chosen[facet] = form.elements[facet].value;
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
  chosen = Object.fromEntries([...FACETS, "item", "text"].map((name) => [name, ""]));
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
if (location.hash.length > 1) form.scrollIntoView(); // whoever follows a link wants these
