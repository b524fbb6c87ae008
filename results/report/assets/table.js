// The table of trials: sorted at a click on a heading, with the columns that are ticked, and as CSV.

let order = null;
const ticked = {};  // columns that the reader has asked for, or not to see; the others are as data.shown says

function sortedRows(places) {
  const at = data.columns.indexOf(order.column), sign = order.down ? -1 : 1;
  return [...places].sort((one, other) => {
    const a = data.trials[one][at], b = data.trials[other][at];
    if (a === null || b === null) return (a === null) - (b === null);  // missing values come last either way
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}

function element(tag, words, kind) {
  const made = document.createElement(tag);
  made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

function onPress(made, act) {
  made.tabIndex = 0;
  made.addEventListener("click", act);
  made.addEventListener("keydown", (event) => { if (event.key === "Enter") act(); });
}

function listedColumns() {
  return data.columns.filter((name) => ticked[name] ?? data.shown.includes(name));
}

function words(place, name) {
  const value = cell(place, name);
  return data.percents.includes(name) && typeof value === "number" ? shown(value, { percent: true }) : text(value);
}

function fillTable(places) {
  const table = document.getElementById("trials"), names = listedColumns();
  const numeric = names.map((name) => data.trials.some((row) => typeof row[data.columns.indexOf(name)] === "number"));
  const kind = (at) => (numeric[at] ? "number " : "") + (data.fixed.includes(names[at]) ? "fixed" : "");
  const head = document.createElement("tr");
  names.forEach((name, at) => {
    const made = element("th", name, kind(at));
    if (name === order.column) made.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    onPress(made, () => {
      order = { column: name, down: name === order.column && !order.down };
      fillTable(places);
    });
    head.append(made);
  });
  const rows = sortedRows(places).map((place) => {
    const line = document.createElement("tr");
    line.className = (place === data.best ? "best " : "") + (data.names[place] === chosen ? "chosen" : "");
    line.dataset.place = place;
    names.forEach((name, at) => line.append(element("td", words(place, name), kind(at))));
    onPress(line, () => choose(place));
    return line;
  });
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...rows);
  const fixed = [...head.querySelectorAll(".fixed")];
  table.style.setProperty("--second", (fixed.length > 1 ? fixed[0].offsetWidth : 0) + "px");
}

function fillChooser(redraw) {
  const boxes = data.columns.map((name) => {
    const box = document.createElement("input"), label = element("label", name);
    box.type = "checkbox";
    box.checked = ticked[name] ?? data.shown.includes(name);
    box.disabled = data.fixed.includes(name);
    box.addEventListener("change", () => {
      ticked[name] = box.checked;
      redraw();
    });
    label.prepend(box);
    return label;
  });
  document.querySelector("#chooser div").replaceChildren(...boxes);
}

// What the table shows, with every digit. A spreadsheet would run text that begins like a formula.
function asCsv(places) {
  const quoted = (value) => {
    if (value === null) return "";
    let words = String(value);
    // Behind a semicolon too, at which many of them divide cells; the wide signs are the same to a Japanese one.
    if (typeof value === "string") words = words.replace(/(^|;)(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1'$2");
    return /[",\r\n]/.test(words) ? '"' + words.replace(/"/g, '""') + '"' : words;
  };
  const names = listedColumns();
  const lines = sortedRows(places).map((place) => names.map((name) => quoted(cell(place, name))));
  return [names.map(quoted), ...lines].map((line) => line.join(",") + "\r\n").join("");
}

function saveCsv(places) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv(places)], { type: "text/csv" }));
  link.download = "trials.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
