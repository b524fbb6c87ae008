// Put together: one filter, one metric and one chosen trial rule the table and all figures.

let data = JSON.parse(document.getElementById("data").textContent);
let metric = data.metrics[0]?.name ?? null;
const night = window.matchMedia("(prefers-color-scheme: dark)");
const filter = document.getElementById("filter");

function filtered() {
  const { keeps, wrong } = parseFilter(filter.value);
  const places = [...data.trials.keys()].filter((place) => keeps(data.trials[place]));
  return { places, wrong };
}

function look() {
  const style = getComputedStyle(document.documentElement), dark = night.matches;
  const colour = (name) => style.getPropertyValue(name).trim();
  const { places, wrong } = filtered();
  return {
    places, wrong, all: places.length === data.trials.length, dark, chosen: placeOfChosen(),
    metric: data.metrics.find((each) => each.name === metric) ?? null,
    palette: data.palettes[dark ? 1 : 0], target: data.targets[dark ? 1 : 0],
    ink: colour("--ink"), line: colour("--line"), paper: colour("--paper"), card: colour("--card"),
    narrow: document.documentElement.clientWidth < 640,
  };
}

// Figures carry no colours of paper and axes of their own, so that day and night draw the same ones.
function themed(layout, view) {
  const clear = "rgba(0,0,0,0)", axis = { gridcolor: view.line, zerolinecolor: view.line, linecolor: view.line, automargin: true };
  const font = { ...layout.font, color: view.ink, family: "system-ui, sans-serif", size: 12 };
  const legend = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", ...layout.legend };
  const result = { hovermode: "closest", hoverdistance: 40, ...layout, font, legend, paper_bgcolor: clear, plot_bgcolor: clear };
  result.margin = { l: 60, r: 20, t: 40, b: 50, ...layout.margin };
  result.hoverlabel = { align: "left", namelength: -1, bgcolor: view.card, bordercolor: view.line, font: { ...font, size: 11 } };
  result.modebar = { bgcolor: clear, color: view.line, activecolor: view.ink };
  for (const key of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    result[key] = { ...layout[key], ...axis };
    if (layout[key].title) result[key].title = { standoff: 12, ...layout[key].title };
  }
  return result;
}

function setSize(box, { minWidth, height }) {
  box.style.minWidth = minWidth ? minWidth + "px" : "";
  box.style.height = (height ?? 380) + "px";
}

function paint(box, figure, view) {
  const { minWidth, ...layout } = figure.layout;
  setSize(box, figure.layout);
  const cartesian = Object.keys(layout).some((key) => /^xaxis/.test(key));
  const options = {
    responsive: true, displaylogo: false, displayModeBar: view.narrow ? false : "hover", plotlyServerURL: "",
    modeBarButtons: [cartesian ? ["toImage", "zoom2d", "pan2d", "resetScale2d"] : ["toImage"]],  // none that uploads
  };
  Plotly.react(box, figure.data, themed(layout, view), options);
  if (!box.dataset.wired) {
    box.dataset.wired = "yes";
    box.on("plotly_click", ({ points: [point] }) => {
      const words = point.data.meta?.filters?.[point.pointNumber];
      if (words !== undefined) { filter.value = words; refresh(); }
      else if (typeof point.customdata === "number") choose(point.customdata);
    });
  }
}

// Figures that are far from the window are drawn once they come near: all at once take seconds where there is no graphics
// card. What is due carries `data-due`.
const near = new Set(), due = new Map();
let printing = false;
const watch = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) near.add(target);
    else near.delete(target);
  }
  near.forEach(paintDue);
}, { rootMargin: "50%" });

function paintDue(box) {
  const paintIt = due.get(box);
  forgetDue(box);
  paintIt?.();
}

function forgetDue(box) {
  due.delete(box);
  delete box.dataset.due;
}

function paintOnceNear(box, figure, view) {
  setSize(box, figure.layout);
  due.set(box, () => paint(box, figure, view));
  box.dataset.due = "";
  if (near.has(box) || printing) paintDue(box);
}

// A figure that was drawn beforehand: points of trials that are not kept are left out, and colours become the night's.
function readied(figure, view) {
  const kept = new Set(view.places), day = data.palettes[0];
  const recoloured = (value) => {
    if (Array.isArray(value)) return value.map(recoloured);
    const at = day.indexOf(value);
    if (at >= 0) return view.palette[at];
    if (value === data.targets[0]) return view.target;
    return value && typeof value === "object" ? mapped(value, recoloured) : value;
  };
  const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
  const traces = figure.data.map((trace) => {
    if (!Array.isArray(trace.customdata)) return recoloured(trace);
    const stays = trace.customdata.map((place) => kept.has(place)), size = stays.length;
    const thinned = (value) => {
      if (Array.isArray(value)) return value.length === size ? value.filter((_, at) => stays[at]) : value;
      return value && typeof value === "object" ? mapped(value, thinned) : value;
    };
    return recoloured(mapped(trace, thinned));
  });
  return { data: traces, layout: recoloured(figure.layout) };
}

function draw(view) {
  for (const box of document.querySelectorAll("main .figure")) {
    const section = box.closest("section"), note = section.querySelector(".note");
    let figure = null;
    if (data.figures[box.id]) figure = readied(data.figures[box.id], view);
    else if (box.id in drawers && view.metric) figure = view.places.length ? drawers[box.id](view) : "No trial passes the filter.";
    section.hidden = figure === null;
    forgetDue(box);
    if (figure === null) continue;
    note.dataset.first ??= note.textContent;
    const told = typeof figure === "string" ? figure : figure.layout.meta?.note;
    note.textContent = told ?? note.dataset.first;
    box.hidden = typeof figure === "string";
    if (!box.hidden) paintOnceNear(box, figure, view);
  }
}

function refresh() {
  const view = look();
  document.getElementById("count").textContent = view.places.length + " of " + data.trials.length + " trials";
  document.getElementById("wrong").textContent = view.wrong.length ? "left out: " + view.wrong.join("; ") : "";
  fillTable(view.places);
  draw(view);
  tellChosen(view);
  document.documentElement.dataset.filter = filter.value;  // whose rows stand there now, and figures unless they are due
}

function fillMetrics() {
  document.getElementById("metrics").replaceChildren(...data.metrics.map((each) => {
    const box = document.createElement("input"), label = element("label", each.label);
    box.type = "radio";
    box.name = "metric";
    box.value = each.name;
    box.checked = each.name === metric;
    box.addEventListener("change", () => { metric = each.name; refresh(); });
    label.prepend(box);
    return label;
  }));
}

function begin() {
  order ??= data.sort;
  if (!data.metrics.some((each) => each.name === metric)) metric = data.metrics[0]?.name ?? null;
  fillMetrics();
  fillChooser(refresh);
  refresh();
}

// A page that is served asks whether there is a newer one; filter, metric, columns and chosen trial stay.
async function follow(seconds) {
  const live = document.getElementById("live");
  let known = document.documentElement.dataset.version;
  for (;;) {
    try {
      const answer = await fetch(location.pathname, { cache: "no-store", headers: { "If-None-Match": known } });
      if (answer.ok) renew(new DOMParser().parseFromString(await answer.text(), "text/html"));
      known = answer.headers.get("ETag") ?? known;
      live.textContent = "live, as of " + answer.headers.get("X-As-Of");
    } catch (error) {
      live.textContent = "no longer served; what stands here is the last";
      return;
    }
    await new Promise((done) => setTimeout(done, 1000 * seconds));
  }
}

function renew(page) {
  for (const id of ["head", "confusions", "foot"]) {
    document.getElementById(id).replaceWith(document.adoptNode(page.getElementById(id)));
  }
  data = JSON.parse(page.getElementById("data").textContent);
  begin();
}

let waiting = null;
filter.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, 150);
});
night.addEventListener("change", refresh);
window.addEventListener("beforeprint", () => { printing = true; [...due.keys()].forEach(paintDue); });
window.addEventListener("afterprint", () => { printing = false; });
let narrow = look().narrow;
window.addEventListener("resize", () => { if (look().narrow !== narrow) { narrow = !narrow; refresh(); } });
document.getElementById("csv").addEventListener("click", () => saveCsv(filtered().places));
document.getElementById("close").addEventListener("click", () => choose(null));
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && chosen !== null) choose(null); });
begin();
document.querySelectorAll("main .figure").forEach((box) => watch.observe(box));
if (document.documentElement.dataset.live) follow(Number(document.documentElement.dataset.live));
