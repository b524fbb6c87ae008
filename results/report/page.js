"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const night = window.matchMedia("(prefers-color-scheme: dark)");

function colours() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  return { ink, line, axis };
}

// Figures carry no colours of paper and axes of their own, so that day and night draw the same ones.
function themed(layout) {
  const { ink, line, axis } = colours();
  const result = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
  result.modebar = { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink };
  result.font = { ...layout.font, color: ink, family: "system-ui, sans-serif", size: 12 };
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) result[key] = { ...layout[key], ...axis };
  }
  return result;
}

function draw() {
  for (const [name, figure] of Object.entries(data.figures)) {
    const options = { responsive: true, displaylogo: false, displayModeBar: "hover" };
    Plotly.react(name, figure.data, themed(figure.layout), options);
  }
}

let order = { column: data.sort, down: false };

function text(value) {
  if (value === null) return "-";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

function rows() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const place = data.columns.indexOf(order.column);
  const kept = data.trials.filter((row) => {
    const all = data.columns.map((name, at) => name + "=" + text(row[at])).join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const sign = order.down ? -1 : 1;
  return kept.sort((one, other) => {
    const a = one[place], b = other[place];
    if (a === null || b === null) return (a === null) - (b === null);  // missing values come last either way
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}

function fill() {
  const head = document.querySelector("#trials thead"), body = document.querySelector("#trials tbody");
  const numeric = data.columns.map((_, at) => data.trials.some((row) => typeof row[at] === "number"));
  head.replaceChildren(document.createElement("tr"));
  data.columns.forEach((name, at) => {
    const cell = document.createElement("th");
    cell.textContent = name;
    cell.tabIndex = 0;
    if (numeric[at]) cell.className = "number";
    if (name === order.column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    const sort = () => { order = { column: name, down: name === order.column && !order.down }; fill(); };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    head.firstChild.append(cell);
  });
  const shown = rows();
  body.replaceChildren(...shown.map((row) => {
    const line = document.createElement("tr");
    if (row === data.trials[data.best]) line.className = "best";
    row.forEach((value, at) => {
      const cell = document.createElement("td");
      cell.textContent = text(value);
      if (numeric[at]) cell.className = "number";
      line.append(cell);
    });
    return line;
  }));
  document.getElementById("count").textContent = shown.length + " of " + data.trials.length + " trials";
}

document.getElementById("filter").addEventListener("input", fill);
night.addEventListener("change", draw);
fill();
draw();
