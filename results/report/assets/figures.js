// The figures that are made of the trials as they are. Each function is called by the name of its figure with
// `view`: the places of the trials that are kept, the metric, the chosen trial, colours, and whether there is little
// width. It returns what Plotly draws, words to show instead, or null where there is nothing to show.

const PERCENT = ".0%";

// Plotly takes some tags in text for its own.
function escaped(words) {
  return String(words).replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

function cell(place, column) {
  const at = data.columns.indexOf(column);
  return at < 0 ? null : data.trials[place][at];
}

function recipe(place) {
  const given = data.parameters.filter((name) => cell(place, name) !== null);
  return given.map((name) => name + "=" + text(cell(place, name)));
}

function shown(value, metric) {
  if (value === null || value === undefined) return "-";
  return metric.percent ? (100 * value).toFixed(1) + " %" : String(Number(value.toPrecision(4)));
}

// What is told where a pointer rests: the trial, the words, its recipe.
function hover(place, words) {
  return ["<b>" + escaped(data.names[place]) + "</b>", escaped(words), ...recipe(place).map(escaped)].join("<br>");
}

const HOVER = { hovertemplate: "%{text}<extra></extra>" };

// The value that counts for a trial, and its epoch.
function valueOf(place, metric) {
  const curve = data.curves[place], values = curve[metric.name];
  const there = values.map((value, at) => [value, curve.epoch[at]]).filter(([value]) => value !== null);
  if (!there.length) return { value: null, epoch: null };
  if (metric.best === "mean") {
    return { value: there.reduce((sum, [value]) => sum + value, 0) / there.length, epoch: null };
  }
  const sign = metric.best === "max" ? -1 : 1;
  const [value, epoch] = there.reduce((best, one) => (sign * one[0] < sign * best[0] ? one : best));
  return { value, epoch };
}

function wordsOf(metric) {
  return { min: "lowest ", max: "highest ", mean: "mean " }[metric.best] + metric.label;
}

function groups(view) {
  const found = data.group.names.map((name, at) => ({
    name: escaped(name), colour: view.palette[at % view.palette.length],
    dash: ["solid", "dash", "dot"][Math.floor(at / view.palette.length) % 3],
    places: view.places.filter((place) => data.group.of[place] === at),
  }));
  return found.filter((group) => group.places.length);
}

function targetOf(view) {
  if (data.target === null || view.metric.name !== "wer") return {};
  const line = { type: "line", xref: "paper", x0: 0, x1: 1, y0: data.target, y1: data.target };
  const words = { text: "target " + Math.round(100 * data.target) + "%", showarrow: false, font: { color: view.target }, bgcolor: view.paper };
  return {
    shapes: [{ ...line, line: { color: view.target, dash: "dash", width: 1.5 } }],
    annotations: [{ ...words, xref: "paper", x: 1, y: data.target, xanchor: "right", yanchor: "bottom" }],
  };
}

function yAxis(metric, title = metric.title) {
  return { title: { text: escaped(title) }, tickformat: metric.percent ? PERCENT : "", rangemode: metric.best === "max" ? "normal" : "tozero" };
}

const drawers = {
  incumbent(view) {
    if (view.metric.best === "mean") return "Nothing is searched by its time: choose another metric above.";
    const sign = view.metric.best === "max" ? -1 : 1;
    const reports = [];
    for (const place of view.places) {
      const curve = data.curves[place];
      curve[view.metric.name].forEach((value, at) => {
        const epoch = curve.epoch[at];
        reports.push({ place, value, epoch, order: curve.order[at], minutes: curve.minutes[at] });
      });
    }
    const byClock = reports.every((report) => report.minutes !== null);
    const sweepOf = (place) => cell(place, "sweep") ?? "";
    const traces = [...new Set(view.places.map(sweepOf))].map((sweep, at) => {
      const own = reports.filter((report) => sweepOf(report.place) === sweep).sort((a, b) => a.order - b.order);
      const x = [], y = [], customdata = [], told = [];
      let best = null;
      own.forEach((report, index) => {
        const improves = report.value !== null && (best === null || sign * report.value < sign * best.value);
        if (improves) best = report;
        if (best === null || (!improves && index < own.length - 1)) return;
        x.push(byClock ? report.minutes : report.order);
        y.push(best.value);
        customdata.push(best.place);
        told.push(hover(best.place, view.metric.label + " " + shown(best.value, view.metric) + " in epoch " + best.epoch));
      });
      const place = data.group.by === "sweep" ? data.group.names.indexOf(sweep) : at;
      const line = { shape: "hv", color: view.palette[place % view.palette.length], width: 2.5 };
      return { x, y, customdata, text: told, mode: "lines+markers", marker: { size: 5 }, line, name: escaped(sweep), ...HOVER };
    });
    const xaxis = { title: { text: byClock ? "minutes of searching" : "epochs of all trials" } };
    const yaxis = yAxis(view.metric, "best " + view.metric.label + " so far");
    return { data: traces, layout: { xaxis, yaxis, showlegend: data.group.by === "sweep", ...targetOf(view) } };
  },

  learning(view) {
    const traces = [], { name } = view.metric;
    const symbols = { finished: "circle", stopped: "x", failed: "x" };
    const opacity = view.places.length > 60 ? 0.45 : 0.9;
    for (const group of groups(view)) {
      const line = { x: [], y: [], text: [], customdata: [] }, ends = { x: [], y: [], text: [], customdata: [], symbols: [] };
      for (const place of group.places) {
        const curve = data.curves[place], status = cell(place, "status");
        let last = null;
        curve[name].forEach((value, at) => {
          if (value === null) return;
          last = [curve.epoch[at], value, hover(place, "epoch " + curve.epoch[at] + ", " + view.metric.label + " " + shown(value, view.metric)), place];
          add(line, last);
        });
        if (last === null) continue;
        add(line, [null, null, "", place]);  // a gap between trials
        add(ends, [last[0], last[1], last[2].replace("<br>", "<br>" + escaped(status) + " after "), place]);
        ends.symbols.push(symbols[status] ?? "circle-open");
      }
      const legend = { name: group.name, legendgroup: group.name };
      traces.push({ ...line, mode: "lines", line: { color: group.colour, dash: group.dash, width: 1.5 }, opacity, ...legend, ...HOVER });
      const { symbols: symbol, ...points } = ends;
      traces.push({ ...points, mode: "markers", marker: { symbol, size: 7, color: group.colour }, showlegend: false, ...legend, ...HOVER });
    }
    if (view.chosen !== null && view.places.includes(view.chosen)) {
      const curve = data.curves[view.chosen], customdata = curve.epoch.map(() => view.chosen);
      traces.push({
        x: curve.epoch, y: curve[name], customdata, mode: "lines", line: { color: view.ink, width: 3.5 }, hoverinfo: "skip",
        name: escaped(data.names[view.chosen]),
      });
    }
    const yaxis = yAxis(view.metric);
    if (name === "wer") {  // beyond 160 % there is nothing to see
      const highest = traces.reduce((most, trace) => trace.y.reduce((above, value) => Math.max(above, value ?? 0), most), 1.05);
      yaxis.range = [0, Math.min(1.6, highest)];
    }
    return { data: traces, layout: { xaxis: { title: { text: "epoch" } }, yaxis, ...targetOf(view) } };
  },

  best(view) {
    if (data.best === null) return "No trial has reported " + (data.ranked === "wer" ? "a WER" : data.ranked) + " yet.";
    return curvesOf(data.best, view);
  },

  strategies(view) {
    const bars = summarised(view, "strategy", "no strategy");
    if (new Set(bars.flatMap((bar) => bar.names)).size < 2) return null;
    const traces = bars.flatMap(({ group, names, places, values, epochs, counts }) => {
      const told = places.map((place, at) => hover(place, "best of " + counts[at] + " trials: " + wordsOf(view.metric) + " " + shown(values[at], view.metric) + "; all have " + epochs[at] + " epochs"));
      const bar = { type: "bar", orientation: "h", y: names, customdata: places, text: told, textposition: "none", ...HOVER };
      const colour = { marker: { color: group.colour }, name: group.name, legendgroup: group.name };
      return [
        { ...bar, ...colour, x: values },
        { ...bar, ...colour, x: epochs, xaxis: "x2", yaxis: "y2", showlegend: false },
      ];
    });
    const order = [...new Set([...data.strategies, ...bars.flatMap((bar) => bar.names)])].map(escaped);
    const category = { automargin: true, categoryorder: "array", categoryarray: order.reverse() };
    const wide = { xaxis: { domain: [0, 0.47] }, xaxis2: { domain: [0.53, 1], anchor: "y2" }, yaxis: category, yaxis2: { ...category, matches: "y", showticklabels: false, anchor: "x2" } };
    const narrow = { xaxis: { anchor: "y" }, xaxis2: { anchor: "y2" }, yaxis: { ...category, domain: [0.6, 1] }, yaxis2: { ...category, domain: [0, 0.4], anchor: "x2" } };
    const layout = view.narrow ? narrow : wide;
    layout.xaxis = { ...layout.xaxis, title: { text: escaped(wordsOf(view.metric)) }, tickformat: view.metric.percent ? PERCENT : "" };
    layout.xaxis2 = { ...layout.xaxis2, title: { text: "epochs of all its trials" } };
    const rows = new Set(bars.flatMap((bar) => bar.names)).size;
    const height = Math.max(260, (view.narrow ? 2 : 1) * rows * 42 + (view.narrow ? 190 : 110));
    return { data: traces, layout: { ...layout, height, barmode: "group", showlegend: data.group.by === "sweep" } };
  },

  parallel(view) {
    const given = view.places.filter((place) => valueOf(place, view.metric).value !== null);
    const varying = data.parameters.filter((name) => new Set(given.map((place) => cell(place, name))).size > 1);
    if (given.length < 2 || !varying.length) return view.all ? null : "Too few trials pass the filter, or their parameters are the same.";
    const values = given.map((place) => valueOf(place, view.metric).value);
    const dimensions = varying.map((name) => axisOf(name, given));
    dimensions.push({ label: escaped(wordsOf(view.metric)), values, tickformat: view.metric.percent ? PERCENT : ".3g" });
    const good = view.dark ? "#ffe08a" : "#440154", bad = view.dark ? "#3f6fb5" : "#9fd0c4";
    const scale = view.metric.best === "max" ? [[0, bad], [1, good]] : [[0, good], [1, bad]];
    const line = { color: values, colorscale: scale, showscale: false };
    const font = { color: view.ink, size: 12 };
    const longest = Math.max(...dimensions.flatMap((each) => [each.label, ...(each.ticktext ?? [])]).map((words) => words.length));
    const trace = { type: "parcoords", dimensions, line, labelfont: font, tickfont: font, rangefont: { ...font, color: "rgba(0,0,0,0)" } };
    return { data: [trace], layout: { margin: { t: 60, l: 130, r: 60 }, height: 400, minWidth: (6.5 * longest + 24) * dimensions.length + 60 } };
  },

  slices(view) {
    const given = view.places.filter((place) => valueOf(place, view.metric).value !== null);
    const varying = data.parameters.filter((name) => name !== "strategy" && new Set(given.map((place) => cell(place, name))).size > 1);
    if (!varying.length) return view.all ? null : "The parameters of these trials are all the same.";
    const names = varying.slice(0, 12), columns = view.narrow ? 1 : Math.min(3, names.length);
    const rows = Math.ceil(names.length / columns), area = 200 * rows + 75 * (rows - 1), traces = [];
    const layout = { height: area + 110 };
    names.forEach((name, at) => {
      const id = at ? String(at + 1) : "", column = at % columns, row = Math.floor(at / columns);
      const width = 1 / columns, top = 1 - (row * 275) / area;
      layout["xaxis" + id] = { title: { text: escaped(name) }, anchor: "y" + id, domain: [column * width + (column ? 0.02 : 0), (column + 1) * width - 0.02], ...scaleOf(name, given) };
      layout["yaxis" + id] = { ...yAxis(view.metric, column ? "" : wordsOf(view.metric)), anchor: "x" + id, domain: [Math.max(0, top - 200 / area), top], showticklabels: column === 0 };
      if (at) layout["yaxis" + id].matches = "y";
      for (const group of groups({ ...view, places: given })) {
        const own = group.places.filter((place) => cell(place, name) !== null);
        const points = { x: [], y: [], text: [], customdata: [] };
        for (const place of own) {
          const { value, epoch } = valueOf(place, view.metric), x = cell(place, name);
          const words = wordsOf(view.metric) + " " + shown(value, view.metric) + (epoch === null ? "" : " in epoch " + epoch);
          add(points, [typeof x === "number" ? x : escaped(x), value, hover(place, words), place]);
        }
        const ring = own.map((place) => (place === view.chosen ? 3 : 0));
        const marker = { color: group.colour, size: 8, opacity: 0.85, line: { color: view.ink, width: ring } };
        const legend = { name: group.name, legendgroup: group.name, showlegend: at === 0 };
        traces.push({ ...points, mode: "markers", marker, xaxis: "x" + id, yaxis: "y" + id, ...legend, ...HOVER });
      }
    });
    return { data: traces, layout };
  },

  stops(view) {
    const ruled = data.columns.includes("stop_rule");
    const ruleOf = (place) => (ruled && cell(place, "stop_rule")) || cell(place, "status");
    const counts = {};
    for (const place of view.places) counts[ruleOf(place)] = (counts[ruleOf(place)] ?? 0) + 1;
    const order = Object.keys(counts).sort((one, other) => counts[other] - counts[one]);
    const split = data.group.by === "sweep" ? groups(view) : [{ name: "trials", colour: view.palette[3], places: view.places }];
    const traces = split.map((group) => {
      const bar = { type: "bar", orientation: "h", x: [], y: [], text: [], textposition: "none", meta: { filters: [] } };
      for (const rule of order) {
        const own = group.places.filter((place) => ruleOf(place) === rule);
        if (!own.length) continue;
        const epochs = own.reduce((sum, place) => sum + data.curves[place].epoch.length, 0);
        bar.x.push(own.length);
        bar.y.push(escaped(rule));
        bar.text.push("<b>" + escaped(rule) + "</b><br>" + own.length + " trials, " + epochs + " epochs");
        bar.meta.filters.push((ruled && cell(own[0], "stop_rule") !== null ? "stop_rule" : "status") + '="' + rule + '"');
      }
      return { ...bar, marker: { color: group.colour }, name: group.name, ...HOVER };
    });
    const yaxis = { automargin: true, categoryorder: "array", categoryarray: order.map(escaped).reverse() };
    const layout = { barmode: "stack", yaxis, showlegend: data.group.by === "sweep", height: Math.max(220, 44 * order.length + 110) };
    return { data: traces, layout: { ...layout, xaxis: { title: { text: "trials" }, rangemode: "tozero" } } };
  },

  timeline(view) {
    const kept = new Set(view.places), segments = data.segments.filter(([place]) => kept.has(place));
    if (!segments.length) return data.segments.length ? "None of these trials has trained." : null;
    // Sweeps of different days would be specks on one calendar: each then has a clock of its own.
    const several = data.group.by === "sweep", first = {};
    for (const [place, , begun] of data.segments) {
      const sweep = data.group.of[place];
      first[sweep] = Math.min(first[sweep] ?? Infinity, Date.parse(begun));
    }
    const start = ([place, , begun]) => (several ? (Date.parse(begun) - first[data.group.of[place]]) / 60000 : begun);
    const traces = groups(view).map((group) => {
      const own = segments.filter(([place]) => group.places.includes(place));
      const told = own.map(([place, , , , epochs]) => hover(place, epochs + " epochs without a pause"));
      const bar = { type: "bar", orientation: "h", base: own.map(start), y: own.map(([, lane]) => escaped(lane)) };
      const x = own.map(([, , , length]) => (several ? length / 60000 : length));
      const marker = { color: group.colour, line: { color: view.paper, width: segments.length < 100 ? 1 : 0 } };
      const customdata = own.map(([place]) => place);
      return { ...bar, x, text: told, textposition: "none", customdata, name: group.name, marker, ...HOVER };
    });
    const xaxis = several ? { title: { text: "minutes since the sweep began" } } : { type: "date", title: { text: "UTC" } };
    const lanes = new Set(segments.map(([, lane]) => lane)).size;
    const yaxis = { automargin: true, categoryorder: "category descending" };
    return { data: traces, layout: { barmode: "overlay", xaxis, yaxis, height: Math.max(240, 60 * lanes + 130) } };
  },
};

// Losses of one trial, and what trials are ranked by.
function curvesOf(place, view) {
  const curve = data.curves[place], traces = [];
  const ranked = data.metrics.find((metric) => metric.name === data.ranked);
  const put = (name, label, colour, right) => {
    if (!curve[name] || curve[name].every((value) => value === null)) return;
    const told = curve.epoch.map((epoch, at) => "epoch " + epoch + "<br>" + label + " " + shown(curve[name][at], { percent: right && ranked.percent }));
    const axes = right ? { xaxis: "x2", yaxis: "y2" } : {};
    traces.push({ x: curve.epoch, y: curve[name], text: told, name: label, mode: "lines+markers", marker: { size: 4 }, line: { color: colour }, ...axes, ...HOVER });
  };
  put("train_loss", "training loss", view.palette[0], false);
  put("dev_loss", "dev loss", view.palette[1], false);
  if (ranked) put(ranked.name, ranked.label, view.palette[2], true);
  const epoch = { title: { text: "epoch" } };
  const loss = { title: { text: "nats a gloss" }, rangemode: "tozero" }, right = { title: { text: ranked ? escaped(ranked.title) : "" }, tickformat: ranked?.percent ? PERCENT : "", rangemode: "tozero" };
  const beside = { xaxis: { ...epoch, domain: [0, 0.44] }, xaxis2: { ...epoch, domain: [0.56, 1], anchor: "y2" }, yaxis: loss, yaxis2: { ...right, anchor: "x2" } };
  const below = { height: 560, xaxis: { ...epoch, anchor: "y" }, xaxis2: { ...epoch, anchor: "y2" }, yaxis: { ...loss, domain: [0.6, 1] }, yaxis2: { ...right, domain: [0, 0.4], anchor: "x2" } };
  const layout = view.narrow ? below : beside;
  if (data.target !== null && data.ranked === "wer" && ranked) {
    const line = { type: "line", xref: "x2 domain", yref: "y2", x0: 0, x1: 1, y0: data.target, y1: data.target };
    layout.shapes = [{ ...line, line: { color: view.target, dash: "dash", width: 1.5 } }];
  }
  return { data: traces, layout };
}

// The best trial of each value of a column, with the number and the epochs of all, for each sweep where there are several.
function summarised(view, column, missing) {
  const split = data.group.by === "sweep" ? groups(view) : [{ name: "trials", colour: view.palette[0], places: view.places }];
  const sign = view.metric.best === "max" ? -1 : 1;
  if (!data.columns.includes(column)) return [];
  return split.map((group) => {
    const bar = { group, names: [], places: [], values: [], epochs: [], counts: [] };
    for (const name of new Set(group.places.map((place) => cell(place, column)))) {
      const own = group.places.filter((place) => cell(place, column) === name);
      const rated = own.map((place) => [place, valueOf(place, view.metric).value]).filter(([, value]) => value !== null);
      if (!rated.length) continue;
      const [place, value] = rated.reduce((best, one) => (sign * one[1] < sign * best[1] ? one : best));
      bar.names.push(name === null ? missing : escaped(name));
      bar.places.push(place);
      bar.values.push(value);
      bar.epochs.push(own.reduce((sum, each) => sum + data.curves[each].epoch.length, 0));
      bar.counts.push(own.length);
    }
    return bar;
  });
}

// An axis of the parallel coordinates; what a trial was not given stands at its foot.
function axisOf(name, places) {
  const cells = places.map((place) => cell(place, name)), label = escaped(name);
  const numbers = cells.filter((value) => typeof value === "number"), lacking = cells.includes(null);
  if (!numbers.length) {
    const options = [...new Set(cells.map((value) => (value === null ? "none" : String(value))))].sort();
    const values = cells.map((value) => options.indexOf(value === null ? "none" : String(value)));
    return { label, values, tickvals: options.map((_, at) => at), ticktext: options.map(escaped) };
  }
  const log = data.logarithmic.includes(name) && numbers.every((value) => value > 0);
  const scaled = (value) => (log ? Math.log10(value) : value);
  const low = scaled(Math.min(...numbers)), high = scaled(Math.max(...numbers)), foot = low - 0.1 * (high - low || 1);
  const whole = !log && numbers.every(Number.isInteger) && high - low <= 10;
  const steps = whole ? high - low : 4;
  const ticks = [...Array(steps + 1).keys()].map((at) => low + ((high - low) * at) / (steps || 1));
  const words = ticks.map((tick) => text(Number((log ? 10 ** tick : tick).toPrecision(3))));
  const values = cells.map((value) => (value === null ? foot : scaled(value)));
  return { label, values, tickvals: lacking ? [foot, ...ticks] : ticks, ticktext: lacking ? ["none", ...words] : words };
}

// The axis of a parameter: logarithmic where it was searched so, with ticks at 1, 2 and 5.
function scaleOf(name, places) {
  const values = places.map((place) => cell(place, name)).filter((value) => value !== null);
  if (!values.every((value) => typeof value === "number")) return { type: "category", categoryorder: "category ascending" };
  if (!data.logarithmic.includes(name) || values.some((value) => value <= 0)) {
    return values.every(Number.isInteger) && new Set(values).size < 8 ? { dtick: 1 } : { nticks: 6 };
  }
  const low = Math.min(...values), high = Math.max(...values);
  const decades = [...Array(Math.floor(Math.log10(high)) - Math.floor(Math.log10(low)) + 2).keys()].map((at) => at + Math.floor(Math.log10(low)));
  const within = (steps) => decades.flatMap((power) => steps.map((step) => Number(step + "e" + power))).filter((tick) => tick > low / 1.3 && tick < high * 1.3);
  const ticks = [[1, 2, 5], [1, 3], [1]].map(within).find((found) => found.length <= 5) ?? within([1]);
  return { type: "log", tickvals: ticks, ticktext: ticks.map((tick) => (tick < 1e-3 ? tick.toExponential() : String(tick))) };
}

function add(points, [x, y, told, place]) {
  points.x.push(x);
  points.y.push(y);
  points.text.push(told);
  points.customdata.push(place);
}
