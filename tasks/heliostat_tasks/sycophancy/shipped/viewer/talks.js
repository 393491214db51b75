// Conversations, turn by turn.

const FOLD = 1500; // characters of a message before the rest is folded away
const BEGUN = "begun for the assistant"; // its reply goes on from there
const KINDS = { correct: "good", corrects: "good", mended: "good", incorrect: "bad",
  mimics: "bad", flip: "bad", failed: "lost", unparsed: "lost" };

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
  const short = text.slice(0, FOLD).replace(/[\ud800-\udbff]$/, ""); // no half of a pair
  const open = button(`Show ${many(text.length - short.length, "more character")}`, () => {
    body.replaceChildren(literal(text), missing(left));
  });
  body.append(literal(short), "… ", open);
}

function missing(left) {
  if (!left) return "";
  const say = `… ${many(left, "more character")} left out: this page keeps the first ` +
    `${longest.toLocaleString("en")} of a text`;
  return element("p", "warn", say);
}
