"use strict";
// Texts and elements.  Data enter the page as text, never as markup: no function makes
// elements from strings, and the page's policy forbids it.

const { longest, runs } = JSON.parse(document.getElementById("data").textContent);
const ODD = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const byId = (id) => document.getElementById(id);

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

// A text: matches of the search are marked, invisible characters shown by number.
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
