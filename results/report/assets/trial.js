// The chosen trial, told beside the page: recipe, why it ended, its curves, its life.

let chosen = null;  // its name, which it keeps when the data is read again

function placeOfChosen() {
  const place = data.names.indexOf(chosen);
  return place < 0 ? null : place;
}

function choose(place) {
  chosen = place === null ? null : data.names[place];
  refresh();
}

function tellChosen(view) {
  const panel = document.getElementById("told"), place = placeOfChosen();
  panel.hidden = place === null;
  document.body.classList.toggle("telling", place !== null);
  if (place === null) return;
  const reason = cell(place, "stop_reason") ?? cell(place, "error");
  panel.querySelector("h2").textContent = data.names[place];
  panel.querySelector(".lead").textContent = cell(place, "status") + (reason === null ? "" : ": " + reason);
  panel.querySelector(".recipe").replaceChildren(...recipe(place).map((words) => element("code", words)));
  panel.querySelector("pre").textContent = data.explained[place];
  const box = panel.querySelector(".figure");
  if (data.curves[place].epoch.length) paint(box, curvesOf(place, { ...view, narrow: box.clientWidth < 480 }), view);
  box.hidden = !data.curves[place].epoch.length;
}
