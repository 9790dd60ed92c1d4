// Everything set up once: keys of the groups, buttons, the first choice, the change of theme.
"use strict";

const SHAPES = {
  "circle": "M6.5 1a5.5 5.5 0 1 0 .01 0z",
  "triangle-up": "M6.5 1 12.5 12H.5z",
  "square": "M1.5 1.5h10v10h-10z",
  "diamond": "M6.5 .5 12.5 6.5 6.5 12.5 .5 6.5z",
  "star": "M6.5 0l1.6 4.6 4.9.1-3.9 3 1.4 4.8-4-2.8-4 2.8 1.4-4.8-3.9-3 4.9-.1z",
};

function key(group) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 13 13");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[DATA.groups.find((one) => one.name === group).symbol]);
  path.style.fill = `var(${COLOURS[group]})`;
  svg.append(path);
  return svg;
}

for (const group of DATA.groups) {
  if (!DATA.strategies.some((one) => one.group === group.name)) continue;
  const shape = element("span", undefined, { className: "key" });
  shape.append(key(group.name));
  const label = element("span");
  label.append(shape, group.name);
  document.getElementById("legend").append(label);
}
for (const place of document.querySelectorAll(".key[data-group]")) {
  place.append(key(place.dataset.group));
  place.title = place.dataset.group;
}

const DOES = {
  show: (one) => {
    choose(one.key);
    document.getElementById("chosen").scrollIntoView({ block: "start" });
  },
  copy, download,
};
document.querySelector("#strategies tbody").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  const one = BY_KEY.get(button.closest("tr").dataset.key);
  if (button.dataset.do !== "show") choose(one.key);
  DOES[button.dataset.do](one);
});
document.getElementById("copy").addEventListener("click", () => copy(chosen));
document.getElementById("download").addEventListener("click", () => download(chosen));
for (const strip of document.querySelectorAll(".strip[data-key]")) {
  strip.addEventListener("click", () => choose(strip.dataset.key));
}
for (const button of document.querySelectorAll("[data-over]")) {
  button.addEventListener("click", () => {
    over = button.dataset.over;
    for (const one of document.querySelectorAll("[data-over]")) {
      one.setAttribute("aria-pressed", String(one === button));
    }
    drawGrowth();
  });
}

makePins();
const first = DATA.strategies.find((one) => one.labels.includes("no-loss"))
  || DATA.strategies.find((one) => one.labels.includes("knee")) || DATA.strategies[0];
makePanels().then(() => {
  choose(first.key);
  return drawGrowth();
}).then(() => { document.documentElement.dataset.ready = "yes"; });

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawPanels();
  drawGrowth();
});
