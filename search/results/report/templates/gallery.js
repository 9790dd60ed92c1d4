// Images of the chosen and pinned strategies, next to the unaccelerated ones.
"use strict";

const PLAIN = "unaccelerated";
const PICTURES = DATA.gallery.strategies;
const pinned = new Set();

function image(uri, description, isDifference) {
  const made = element("img", undefined, {
    src: uri, alt: description, className: isDifference ? "difference" : "",
  });
  // Few pixels are shown as they are, not blurred.
  made.addEventListener("load", () => made.classList.toggle("small", made.naturalWidth <= 128));
  return made;
}

function row(title, uris, key, isDifference) {
  const made = element("div", undefined, { className: "images" });
  made.dataset.images = key;
  made.dataset.kind = isDifference ? "difference" : "image";
  const grid = element("div", undefined, { className: "grid" });
  uris.forEach((uri, index) => {
    const text = DATA.gallery.prompts[index].text;
    if (uri === null) {
      grid.append(element("span", "missing", { className: "missing", title: text }));
      return;
    }
    const button = element("button", undefined, { type: "button", title: text });
    button.append(image(uri, `${title}: ${text}`, isDifference));
    button.addEventListener("click", () => enlarge(key, index));
    grid.append(button);
  });
  made.append(element("p", title), grid);
  return made;
}

function factor() {
  return Number(document.getElementById("amplify").value);
}

function enlarge(key, index) {
  const prompt = DATA.gallery.prompts[index];
  document.getElementById("prompt").textContent = `${prompt.text} (seed ${prompt.seed})`;
  const parts = [[PLAIN, PICTURES[PLAIN] && PICTURES[PLAIN].images[index], false]];
  if (key !== PLAIN) {
    const mine = PICTURES[key];
    parts.push([BY_KEY.get(key).headline, mine.images[index], false]);
    if (mine.differences) {
      const times = factor() * DATA.gallery.amplified;
      parts.push([`absolute difference, ${times}×`, mine.differences[index], true]);
    }
  }
  const figures = parts.filter((part) => part[1]).map(([title, uri, isDifference]) => {
    const made = element("figure");
    made.append(image(uri, title, isDifference), element("figcaption", title));
    return made;
  });
  document.getElementById("three").replaceChildren(...figures);
  document.getElementById("large").showModal();
}

function drawGallery() {
  const place = document.getElementById("rows");
  if (!place) return;
  document.documentElement.style.setProperty("--amplify", factor());
  const rows = [];
  if (PICTURES[PLAIN]) rows.push(row(PLAIN, PICTURES[PLAIN].images, PLAIN, false));
  else rows.push(element("p", "The unaccelerated images of this run were not kept.", { className: "note" }));
  const keys = [...new Set([chosen.key, ...pinned])].filter((key) => key !== PLAIN);
  const differences = document.getElementById("differences").checked;
  for (const key of keys) {
    const one = BY_KEY.get(key);
    if (!PICTURES[key]) {
      rows.push(element("p", `${one.headline}: no images were kept.`, { className: "note" }));
      continue;
    }
    rows.push(row(one.headline, PICTURES[key].images, key, false));
    if (differences && PICTURES[key].differences) {
      const times = factor() * DATA.gallery.amplified;
      rows.push(row(`${one.headline}: difference, ${times}×`, PICTURES[key].differences, key, true));
    }
  }
  place.replaceChildren(...rows);
}

function makePins() {
  const place = document.getElementById("pins");
  if (!place) return;
  for (const one of DATA.strategies) {
    if (one.key === PLAIN || !PICTURES[one.key]) continue;
    const label = [one.headline, ...one.labels].join(", ");
    const button = element("button", label, { type: "button" });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      if (!pinned.delete(one.key)) pinned.add(one.key);
      button.setAttribute("aria-pressed", String(pinned.has(one.key)));
      drawGallery();
    });
    place.append(button);
  }
  for (const id of ["amplify", "differences"]) {
    document.getElementById(id).addEventListener("change", drawGallery);
  }
  const dialog = document.getElementById("large");
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

listeners.push(drawGallery);
