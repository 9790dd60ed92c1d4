// The front and the convergence, plotted by plotly in the colours of the page.
"use strict";

const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };
// Dragging zooms where there is a mouse; on a touch screen it scrolls the page.
const DRAG = matchMedia("(hover: hover)").matches ? "zoom" : false;
const RING = "chosen";
const panels = [];

function colour(group) {
  return style(COLOURS[group]);
}

function axis(title, given) {
  return {
    title: { text: title, standoff: 8 },
    tickvals: given.ticks, ticktext: given.labels, tickmode: given.ticks ? "array" : "auto",
    gridcolor: style("--grid"), linecolor: style("--line"), zeroline: false, automargin: true, tickangle: 0,
  };
}

function layout(x, y, more) {
  return {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", hovermode: "closest",
    dragmode: DRAG, uirevision: "kept", showlegend: false, margin: { l: 8, r: 12, t: 12, b: 8 },
    font: { family: "system-ui, sans-serif", size: 12, color: style("--text") },
    hoverlabel: {
      bgcolor: style("--raised"), bordercolor: style("--line"), align: "left",
      font: { color: style("--text"), size: 12 },
    },
    xaxis: x, yaxis: y, ...more,
  };
}

function traces(panel) {
  const found = [];
  if (panel.line.length > 1) {
    found.push({
      x: panel.line.map((place) => place[0]), y: panel.line.map((place) => place[1]),
      mode: "lines", line: { color: style("--found"), width: 1.2 }, opacity: 0.55, hoverinfo: "skip",
    });
  }
  for (const group of DATA.groups) {
    const rows = panel.points.filter((point) => point.group === group.name);
    if (!rows.length) continue;
    found.push({
      name: group.name, mode: "markers", customdata: rows.map((point) => point.key),
      x: rows.map((point) => point.x), y: rows.map((point) => point.y),
      text: rows.map((point) => point.text), hovertemplate: "%{text}<extra></extra>",
      marker: {
        color: colour(group.name), symbol: group.symbol,
        size: group.symbol === "star" ? 15 : 10, line: { color: style("--ground"), width: 1 },
      },
    });
  }
  const ring = panel.points.find((point) => chosen && point.key === chosen.key);
  found.push({
    name: RING, mode: "markers", hoverinfo: "skip",
    x: ring ? [ring.x] : [], y: ring ? [ring.y] : [],
    marker: { symbol: "circle-open", size: 20, color: style("--text"), line: { width: 2 } },
  });
  return found;
}

function drawPanel(panel, place) {
  const x = axis(panel.x.title, panel.x);
  const y = axis(panel.y.title, panel.y);
  const shapes = panel.level === null ? [] : [{
    type: "line", xref: "paper", x0: 0, x1: 1, y0: panel.level, y1: panel.level, layer: "below",
    line: { color: style("--muted"), width: 1, dash: "dot" },
  }];
  return Plotly.react(place, traces(panel), layout(x, y, { shapes }), CONFIG);
}

function drawPanels() {
  return Promise.all(panels.map(({ panel, place }) => drawPanel(panel, place)));
}

function makePanels() {
  for (const panel of DATA.panels) {
    const place = element("div", undefined, { className: "panel" });
    document.getElementById("panels").append(place);
    panels.push({ panel, place });
  }
  return drawPanels().then(() => {
    for (const { place } of panels) {
      place.on("plotly_click", (event) => {
        const key = event.points[0].customdata;
        if (key) choose(key);
      });
    }
  });
}

listeners.push(drawPanels);

// Growth of the hypervolume.
let over = "seconds";

function drawGrowth() {
  if (!DATA.growth) return undefined;
  const seconds = DATA.growth.search.seconds;
  const hours = seconds[seconds.length - 1] > 7200;
  const scale = over === "evaluations" ? 1 : hours ? 3600 : 60;
  const title = over === "evaluations" ? "evaluations" : `device time, ${hours ? "h" : "min"}`;
  const lines = [["search", "--found"], ["baselines", "--fewer-steps"]].map(([name, tint]) => ({
    name: name === "search" ? "search" : "its baselines alone", mode: "lines",
    x: DATA.growth[name][over].map((value) => value / scale), y: DATA.growth[name].volumes,
    line: { shape: "hv", color: style(tint), width: 2 },
    hovertemplate: "%{y:.4f}<extra>%{fullData.name}</extra>",
  }));
  const end = DATA.growth.initial_end;
  const at = end && (over === "evaluations" ? end[0] : end[1] / scale);
  const more = {
    hovermode: "x", showlegend: true, legend: { orientation: "h", x: 0, y: 1.12 },
    margin: { l: 8, r: 12, t: 30, b: 8 },
    shapes: end ? [{
      type: "line", yref: "paper", y0: 0, y1: 1, x0: at, x1: at,
      line: { color: style("--muted"), width: 1, dash: "dot" },
    }] : [],
    annotations: end ? [{
      x: at, y: 0, yref: "paper", text: "initial strategies end", showarrow: false, xanchor: "left",
      yanchor: "bottom", font: { color: style("--muted"), size: 11 },
    }] : [],
  };
  const x = { ...axis(title, {}), rangemode: "tozero" };
  const y = axis("hypervolume, share of the box", {});
  return Plotly.react("growth", lines, layout(x, y, more), CONFIG);
}
