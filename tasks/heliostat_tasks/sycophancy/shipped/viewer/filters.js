// Filters: the conversations that pass them. The page's address holds the filters.

const FACETS = ["run", "condition", "grade", "dataset"];
const form = byId("filters");
const items = runs.flatMap((run) => run.items.map((item) => ({ ...item, run })));
let chosen = {}; // filter -> its value; "" passes everything
let shown = []; // [item, its conversations that pass]

const grades = (talk) =>
  new Set([...talk.turns.map((turn) => turn.grade), talk.outcome].filter(Boolean));

const VALUES = {
  run: (item) => [item.run.id],
  condition: (item, talk) => [talk.condition],
  grade: (item, talk) => [...grades(talk)],
  dataset: (item) => [item.dataset],
};

function pattern() {
  const plain = chosen.text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return plain ? new RegExp(plain, "giu") : null;
}

function texts(item, talk) {
  return talk.turns.flatMap((turn, index) => [
    ...item.said[talk.condition][index].map(([, text]) => text),
    turn.reply[0], turn.failure[0],
  ]);
}

// One pass over all conversations: those that pass the filters and, for each facet, how
// many would pass for each of its values.
function sift() {
  const search = pattern();
  const counts = Object.fromEntries(FACETS.map((facet) => [facet, new Map()]));
  shown = [];
  for (const item of items) {
    if (chosen.item && String(item.number) !== chosen.item) continue;
    const passed = item.talks.filter((talk) => passes(item, talk, search, counts));
    if (passed.length) shown.push([item, passed]);
  }
  return counts;
}

function passes(item, talk, search, counts) {
  const values = FACETS.map((facet) => VALUES[facet](item, talk));
  const missed = FACETS.filter((f, i) => chosen[f] && !values[i].includes(chosen[f]));
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

function fill(counts) {
  for (const facet of FACETS) {
    const select = form.elements[facet];
    const known = [...counts[facet]];
    if (chosen[facet] && !counts[facet].has(chosen[facet])) known.push([chosen[facet], 0]);
    select.replaceChildren(choice("", "all"), ...known.map(([value, count]) =>
      choice(value, `${seen(called(facet, value))} (${count.toLocaleString("en")})`)));
    select.value = chosen[facet];
  }
  if (form.elements.text.value !== chosen.text) form.elements.text.value = chosen.text;
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
