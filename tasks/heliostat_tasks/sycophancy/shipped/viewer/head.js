// Head of a run: its fields and its rates.

function title(run) {
  return `${Object.fromEntries(run.fields).probe}: ${run.name}`;
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
  const what = "Rates with 95 % intervals, in percent or percentage points (pp)";
  const table = element("table", "", element("tbody", "", ...rows));
  const made = element("details", "", element("summary", "", what), table);
  made.open = runs.length < 3; // else the conversations are too far below
  return made;
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
