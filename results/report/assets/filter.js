// The filter: terms that all have to hold. A term is a column, an operator and a value, or a word that a row holds.

const TERM = /([^\s=<>!"]+)\s*(<=|>=|!=|==|=|<|>)\s*("[^"]*"|'[^']*'|[^\s=<>!]+(?!\S*[=<>]))?|"([^"]*)"|(\S+)/g;

function text(value) {
  if (value === null) return "-";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

// Which rows are kept, and what was not understood, in words.
function parseFilter(written) {
  const tests = [], wrong = [];
  for (const [all, name, operator, value, phrase, word] of written.matchAll(TERM)) {
    if (operator) {
      const found = term(name, operator, value);
      if (typeof found === "string") wrong.push(all.trim() + ": " + found);
      else tests.push(found);
    } else if (/^(or|not|\||\|\|)$/i.test(word ?? "") || /[=<>!]/.test(word ?? "")) {
      wrong.push(word + ": not understood; terms are a word, or a column, one of = != < <= > >=, and a value");
    } else if (!/^(and|&|&&)$/i.test(word ?? "")) {
      const sought = (phrase ?? word).toLowerCase();
      tests.push((row) => row.some((cell) => text(cell).toLowerCase().includes(sought)));
    }
  }
  return { keeps: (row) => tests.every((test) => test(row)), wrong };
}

// A test of a row, or why there is none.
function term(name, operator, value) {
  const at = data.columns.findIndex((column) => column.toLowerCase() === name.toLowerCase());
  if (at < 0) return "no such column" + closest(name);
  if (value === undefined) return "a value is missing";
  const sought = value.replace(/^(["'])(.*)\1$/, "$2").toLowerCase();
  const cells = data.trials.map((row) => row[at]), numeric = cells.some((cell) => typeof cell === "number");
  if (/^[<>]/.test(operator)) {
    if (!numeric) return name + " is no number; compare it with = or !=";
    const limit = number(sought);
    if (limit === null) return sought + " is no number";
    const holds = { "<": (x) => x < limit, "<=": (x) => x <= limit, ">": (x) => x > limit, ">=": (x) => x >= limit };
    return (row) => typeof row[at] === "number" && holds[operator](row[at]);
  }
  if (numeric && number(sought) === null && !/^(none|-)$/.test(sought)) return sought + " is no number";
  const equal = sameAs(sought, cells);
  return operator === "!=" ? (row) => !equal(row[at]) : (row) => equal(row[at]);
}

// Numbers are the same in as many digits as were written; text that no cell is stands for what begins so.
function sameAs(sought, cells) {
  if (/^(none|-)$/.test(sought)) return (cell) => cell === null || text(cell).toLowerCase() === sought;
  const wanted = number(sought), digits = sought.replace(/e.*|%/, "").replace(/^[-+0.]+|\./g, "").length;
  const lower = (cell) => text(cell).toLowerCase();
  const start = sought.replace(/(…|\.\.\.|\*)$/, "");
  const exact = start === sought && cells.some((cell) => cell !== null && lower(cell) === sought);
  return (cell) => {
    if (cell === null) return false;
    if (typeof cell !== "number") return exact ? lower(cell) === sought : lower(cell).startsWith(start);
    if (Number.isInteger(cell)) return cell === wanted;
    const scale = sought.endsWith("%") ? 100 : 1;
    return Number((cell * scale).toPrecision(Math.min(Math.max(digits, 1), 17))) === Number((wanted * scale).toPrecision(15));
  };
}

function number(written) {
  const found = /^([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(%?)$/i.exec(written);
  return found && Number(found[1]) / (found[2] ? 100 : 1);
}

function closest(name) {
  const apart = data.columns.map((column) => [distance(name.toLowerCase(), column.toLowerCase()), column]);
  const [away, column] = apart.sort((one, other) => one[0] - other[0])[0] ?? [9, ""];
  const within = data.columns.find((each) => each.includes(name.toLowerCase()));
  const meant = away <= 2 ? column : within;
  return meant ? "; did you mean " + meant + "?" : "; there are " + data.columns.join(", ");
}

// Letters to change, leave out or put in (Levenshtein).
function distance(one, other) {
  let above = [...Array(other.length + 1).keys()];
  for (let i = 1; i <= one.length; i++) {
    const row = [i];
    for (let j = 1; j <= other.length; j++) {
      row[j] = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1));
    }
    above = row;
  }
  return above[other.length];
}
