// The data of the page, and what is done with one strategy: choosing it, its file.
"use strict";

const DATA = JSON.parse(document.getElementById("data").textContent);
const BY_KEY = new Map(DATA.strategies.map((one) => [one.key, one]));
const COLOURS = {
  "found": "--found",
  "initial": "--initial",
  "fewer steps": "--fewer-steps",
  "uniform and published schedules": "--schedules",
  "unaccelerated": "--plain",
};

const listeners = [];
let chosen = null;

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function element(name, text, properties) {
  const made = Object.assign(document.createElement(name), properties || {});
  if (text !== undefined) made.textContent = text;
  return made;
}

// Tell everything on the page which strategy is looked at.
function choose(key) {
  chosen = BY_KEY.get(key);
  for (const listener of listeners) listener(chosen);
  for (const row of document.querySelectorAll("[data-key]")) {
    row.classList.toggle("chosen", row.dataset.key === key);
  }
}

function tell(text) {
  const told = document.getElementById("told");
  told.textContent = text;
  setTimeout(() => { if (told.textContent === text) told.textContent = ""; }, 4000);
}

async function copy(one) {
  try {
    await navigator.clipboard.writeText(one.file);
  } catch {
    // Where the page has no access to the clipboard, the selection can still be copied.
    const area = element("textarea", one.file, { readOnly: true });
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return tell("The browser does not let this page copy; download it instead.");
  }
  tell(`${one.name}.json is copied`);
}

function download(one) {
  const url = URL.createObjectURL(new Blob([one.file], { type: "application/json" }));
  const link = element("a", "", { href: url, download: `${one.name}.json` });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
  tell(`${one.name}.json is downloaded`);
}

// The strategy in words, and its scores.
listeners.push((one) => {
  document.getElementById("headline").textContent = one.headline;
  const about = [one.group, ...one.labels];
  if (one.origin) about.push(`proposed by ${one.origin}`);
  if (one.no_loss === "no") about.push("a loss is shown");
  else if (one.no_loss === "not shown") about.push("no loss: not shown");
  else if (one.no_loss === "yes" && !one.labels.includes("no-loss")) about.push("no loss");
  document.getElementById("about").textContent = about.join(" · ");
  document.getElementById("words").replaceChildren(...one.words.map((line) => element("li", line)));
  for (const id of ["copy", "download"]) document.getElementById(id).disabled = one.file === null;
  const table = document.getElementById("figures");
  const head = element("tr");
  const names = ["score", "value", "unaccelerated"].slice(0, one.file === null ? 2 : 3);
  head.append(...names.map((name) => element("th", name)));
  const body = one.figures.map((figure) => {
    const row = element("tr");
    const value = element("td", figure.value, { className: "number" });
    if (figure.interval) value.append(element("small", `${figure.level}: ${figure.interval}`));
    if (figure.change) value.append(element("small", `change: ${figure.change}`));
    row.append(element("td", figure.title), value);
    if (one.file !== null) row.append(element("td", figure.plain, { className: "number" }));
    return row;
  });
  table.replaceChildren(head, ...body);
});
