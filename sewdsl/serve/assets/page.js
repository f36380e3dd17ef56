// The live page: sends the text to the server, and shows diagnostics, shapes, table and diagram.
import {
  Decoration, EditorState, EditorView, StateEffect, StateField, WidgetType, autocompletion, bracketMatching, closeBrackets,
  closeBracketsKeymap, completionKeymap, defaultKeymap, drawSelection, dropCursor, highlightActiveLine,
  highlightSelectionMatches, highlightSpecialChars, history, historyKeymap, hoverTooltip, keymap, lineNumbers, lintGutter,
  lintKeymap, rectangularSelection, search, searchKeymap, setDiagnostics,
} from "./codemirror.js";

const $ = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
// Pause in typing before a request, in ms: a quarter of the time of the last answer, within these bounds.
const PAUSE = 25, MAX_PAUSE = 500;

// --- the server ---------------------------------------------------------------------------------------------

async function ask(what, asked = {}, signal = undefined) {
  const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked), signal };
  const response = await fetch(`/api/${what}`, request).catch((error) => {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("the server does not answer"), { help: "start 'sewdsl serve' again" });
  });
  if (response.ok) return response.json();
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) {
    throw new Error(`${response.status}: ${await response.text()}`);
  }
  const { error, help, changed } = await response.json();
  throw Object.assign(new Error(error), { help, changed });
}

const state = {
  name: "", saves: null, saved: "", mark: null, unfolded: new Set(), direction: "TB", asked: 0, shown: null, took: 0,
  zoom: "width", // or "whole", or a factor
  looking: new AbortController(), asking: new AbortController(), // for look(), and for other requests about the text
  known: null, stopped: null, // text of the last answer, and text that the server failed to answer
};
const text = () => view.state.doc.toString();
const asking = () => ({ text: text(), name: state.name });
const words = (error) => [error.message, error.help].filter(Boolean).join(": ");

// Requests for hovers and completions: null if the text changes, or if the server failed to answer it before.
async function askInPassing(what, at) {
  const of = text();
  if (of === state.stopped) return null;
  try {
    return await ask(what, { ...asking(), at }, state.asking.signal);
  } catch (error) {
    if (error.name !== "AbortError" && of === state.known) $("summary").textContent = words(error); // otherwise look() shows the error
    return null;
  }
}

// The server counts offsets in characters, JavaScript in UTF-16 units.
function units(string) {
  if (!/[\ud800-\udbff]/.test(string)) return { here: (n) => n, there: (n) => n };
  const here = [0];
  for (const character of string) here.push(here[here.length - 1] + character.length);
  return { here: (n) => here[Math.min(n, here.length - 1)], there: (n) => here.findIndex((at) => at >= n) };
}

// --- the editor ---------------------------------------------------------------------------------------------

class Shape extends WidgetType {
  constructor(hint) { super(); this.hint = hint; }
  eq(other) { return other.hint.text === this.hint.text; }
  toDOM() {
    const element = document.createElement("span");
    element.className = "hint";
    element.textContent = this.hint.text;
    element.title = this.hint.about;
    return element;
  }
}

const setMarks = StateEffect.define();
const marks = StateField.define({
  create: () => Decoration.none,
  update(found, transaction) {
    found = found.map(transaction.changes);
    for (const effect of transaction.effects) if (effect.is(setMarks)) found = effect.value;
    return found;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function decorations(found, here) {
  const ranges = found.tokens
    .filter(([, start, end]) => end > start)
    .map(([kind, start, end]) => Decoration.mark({ class: `t-${kind}` }).range(here(start), here(end)));
  for (const hint of found.hints) {
    ranges.push(Decoration.widget({ widget: new Shape(hint), side: 1 }).range(here(hint.at)));
  }
  return Decoration.set(ranges, true);
}

function about(html) {
  const element = document.createElement("div");
  element.className = "about";
  element.innerHTML = html; // rendered by the server, which escapes HTML in Markdown
  return element;
}

const hover = hoverTooltip(async (editor, position) => {
  const { here, there } = units(text());
  const said = await askInPassing("hover", there(position));
  return said && { pos: here(said.start), end: here(said.end), above: true, create: () => ({ dom: about(said.html) }) };
});

async function complete(context) {
  const before = context.matchBefore(/[\w"$.]+|[-{<[(|=, ]/);
  if (!before && !context.explicit) return null;
  const { here, there } = units(text());
  const found = await askInPassing("complete", there(context.pos));
  if (!found?.items.length) return null;
  const types = { layer: "function", block: "class", join: "operator", setting: "property", statement: "keyword", argument: "variable" };
  return {
    from: here(found.start),
    options: found.items.map((item, index) => ({
      label: item.text, detail: item.detail.slice(0, 40), type: types[item.kind] || "constant", boost: -index,
      info: item.html ? () => about(item.html) : undefined,
    })),
    validFor: /^[\w .-]*$/,
  };
}

const fresh = (doc) => EditorState.create({
    doc, extensions: [
      lineNumbers(), highlightSpecialChars(), history(), drawSelection(), dropCursor(), rectangularSelection(),
      highlightActiveLine(), highlightSelectionMatches(), bracketMatching(), closeBrackets(), search({ top: true }),
      lintGutter(), marks, hover, autocompletion({ override: [complete] }), EditorView.lineWrapping,
      keymap.of([
        { key: "Mod-s", preventDefault: true, run: () => { save(); return true; } },
        ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap,
      ]),
      EditorView.updateListener.of((update) => { if (update.docChanged) typed(); }),
    ],
});
const view = new EditorView({ parent: $("editor"), state: fresh("") });

function put(content) {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: content } });
}

// --- answers ------------------------------------------------------------------------------------------------

let timer = 0;
function typed() {
  clearTimeout(timer);
  state.looking.abort(); // the server stops computing the answer
  state.asking.abort();
  state.asking = new AbortController();
  timer = setTimeout(look, Math.min(Math.max(state.took / 4, PAUSE), MAX_PAUSE));
  $("save").classList.toggle("changed", text() !== state.saved);
}

async function look() {
  const asked = ++state.asked;
  const began = performance.now();
  state.looking.abort();
  state.looking = new AbortController();
  const { signal } = state.looking;
  const of = text();
  try {
    const found = await ask("look", asking(), signal);
    if (text() !== of) return; // a newer answer follows
    const picture = drawable(found) ? draw(signal) : {}; // drawn by the server while the page shows the rest
    show(found, of);
    showPicture(found, await picture);
  } catch (error) {
    if (error.name === "AbortError") return;
    stopped(error, of);
  }
  state.took = performance.now() - began;
  document.body.dataset.answered = String(asked);
  document.body.dataset.took = state.took.toFixed(0);
}

// Whether there is a network to draw. A network that does not fit its dataset is drawn too.
function drawable(found) {
  return found.valid || found.table !== null;
}

async function draw(signal, look = { theme: dark.matches ? "dark" : "light" }) {
  try {
    const asked = { ...asking(), unfolded: [...state.unfolded], direction: state.direction, ...look };
    return await ask("picture", asked, signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { error: words(error) };
  }
}

// Shows an error, and marks diagram and table as outdated.
function stopped(error, of) {
  Object.assign(state, { known: null, stopped: of });
  $("summary").textContent = "";
  view.dispatch(setDiagnostics(view.state, []));
  for (const panel of ["picture", "table"]) $(panel).classList.add("old");
  const item = document.createElement("li");
  const head = document.createElement("span");
  head.className = "error";
  head.textContent = "no answer: ";
  const small = document.createElement("small");
  small.textContent = error.help ?? "";
  const again = document.createElement("button");
  again.textContent = "try again";
  again.onclick = look;
  item.append(head, error.message, small, again);
  $("problems").replaceChildren(item);
}

function show(found, of) {
  Object.assign(state, { known: of, stopped: null });
  const { here } = units(text());
  const size = view.state.doc.length;
  view.dispatch({ effects: setMarks.of(decorations(found, here)) });
  view.dispatch(setDiagnostics(view.state, found.problems.map((problem) => ({
    from: Math.min(here(problem.start), size), to: Math.min(here(problem.end), size),
    severity: problem.severity === "note" ? "info" : problem.severity,
    message: [problem.message, problem.help && `help: ${problem.help}`].filter(Boolean).join("\n"),
    actions: problem.fixes.map((fix) => ({ name: fix.title, apply: () => apply(fix, of) })),
  }))));
  $("summary").textContent = found.summary;
  list(found.problems, of);
  if (found.more) {
    const rest = document.createElement("li");
    rest.textContent = `${found.more.toLocaleString("en")} more problems are not shown; fix some of the others first`;
    $("problems").append(rest);
  }
  $("table").classList.toggle("old", !found.table);
  if (found.table) table(found.table);
}

function showPicture(found, drawn) {
  $("picture").classList.toggle("old", !drawable(found));
  if (drawn.svg) {
    state.shown = drawn.svg;
    picture(drawn.svg);
  } else if (drawable(found)) {
    $("picture").replaceChildren(paragraph(drawn.error));
  } else if (!state.shown) {
    $("picture").replaceChildren(paragraph("The diagram appears when the text has no errors."));
  }
}

function paragraph(words) {
  const element = document.createElement("p");
  element.textContent = words;
  return element;
}

function apply(fix, of) {
  if (text() !== of) return; // the fix is for an older text
  const { here } = units(text());
  view.dispatch({ changes: fix.edits.map(([start, end, insert]) => ({ from: here(start), to: here(end), insert })) });
  view.focus();
}

function list(problems, of) {
  $("problems").replaceChildren(...problems.map((problem) => {
    const item = document.createElement("li");
    const head = document.createElement("span");
    head.className = problem.severity;
    head.textContent = `${problem.severity}[${problem.code}] line ${problem.line}: `;
    item.append(head, problem.message);
    for (const more of [problem.path, problem.help]) {
      if (!more) continue;
      const small = document.createElement("small");
      small.textContent = more;
      item.append(small);
    }
    for (const fix of problem.fixes) {
      const button = document.createElement("button");
      button.textContent = fix.title;
      button.onclick = (event) => { event.stopPropagation(); apply(fix, of); };
      item.append(button);
    }
    item.onclick = () => {
      const { here } = units(text());
      view.dispatch({ selection: { anchor: here(problem.start), head: here(problem.end) }, scrollIntoView: true });
      view.focus();
    };
    return item;
  }));
}

function table(rows) {
  const columns = [["layer", "text"], ["path", "path"], ["shape", "shape"], ["range", "range"], ["parameters", "parameters"], ["MACs/step", "macs"]];
  const element = document.createElement("table");
  const head = element.createTHead().insertRow();
  for (const [title, key] of columns) {
    const cell = document.createElement("th");
    cell.textContent = title;
    if (key === "parameters" || key === "macs") cell.className = "number";
    head.append(cell);
  }
  const body = element.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const [, key] of columns) {
      const cell = line.insertCell();
      const value = row[key];
      if (typeof value === "number") cell.textContent = value ? value.toLocaleString("en") : "";
      else cell.append(...value.split(key === "path" ? /(?<=[._])/ : /$/).flatMap((part, index) => index ? [document.createElement("wbr"), part] : [part]));
      if (typeof value === "number") cell.className = "number";
    }
  }
  $("table").replaceChildren(element);
}

// --- the diagram --------------------------------------------------------------------------------------------

function picture(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml").documentElement;
  if (parsed.nodeName !== "svg") return;
  for (const link of parsed.querySelectorAll("a")) { // Graphviz stores tooltips in links
    const title = link.getAttributeNS("http://www.w3.org/1999/xlink", "title") || link.getAttribute("title");
    link.closest("g.node")?.setAttribute("data-about", title || "");
    link.replaceWith(...link.childNodes);
  }
  for (const title of parsed.querySelectorAll("title")) title.remove(); // browsers would show the names of nodes as tooltips
  $("picture").replaceChildren(document.importNode(parsed, true));
  size();
  for (const frame of $("picture").querySelectorAll('g[id^="fold:"]')) {
    frame.addEventListener("click", () => toggle(frame.id.slice("fold:".length)));
  }
  $("folds").replaceChildren(...[...state.unfolded].map((key) => {
    const button = document.createElement("button");
    button.textContent = `fold ${key}`;
    button.onclick = () => toggle(key);
    return button;
  }));
}

// Applies state.zoom to the diagram, and returns the factor.
function size() {
  const svg = $("picture").querySelector("svg"), panel = $("picture");
  if (!svg || !panel.clientWidth) return;
  const { width, height } = svg.viewBox.baseVal, style = getComputedStyle(panel), pixels = 4 / 3; // per point
  const wide = (panel.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight)) / (width * pixels);
  const high = (panel.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom) - 8) / (height * pixels);
  const factor = { width: Math.min(1, wide), whole: Math.min(wide, high) }[state.zoom] ?? state.zoom;
  svg.style.width = `${width * pixels * factor}px`;
  $("actual").textContent = `${Math.round(100 * factor)} %`;
  for (const fit of ["width", "whole"]) $(fit).setAttribute("aria-pressed", String(state.zoom === fit));
  return factor;
}

function zoom(to) {
  state.zoom = to;
  size();
}

const zoomBy = (factor) => zoom(Math.min(Math.max((size() ?? 1) * factor, .05), 8));
$("smaller").onclick = () => zoomBy(1 / 1.25);
$("larger").onclick = () => zoomBy(1.25);
$("actual").onclick = () => zoom(1);
$("width").onclick = () => zoom("width");
$("whole").onclick = () => zoom("whole");
$("picture").addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
}, { passive: false });
new ResizeObserver(() => size()).observe($("picture"));
dark.addEventListener("change", () => look());

function toggle(key) {
  if (!state.unfolded.delete(key)) state.unfolded.add(key);
  look();
}

$("picture").addEventListener("mousemove", (event) => {
  const words = event.target.closest?.("g.node")?.getAttribute("data-about");
  const box = $("about");
  box.hidden = !words;
  if (!words) return;
  box.textContent = words;
  box.style.left = `${Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${Math.min(event.clientY + 14, innerHeight - box.offsetHeight - 8)}px`;
});
$("picture").addEventListener("mouseleave", () => { $("about").hidden = true; });

function direct(direction) {
  state.direction = direction;
  $("direction").textContent = direction === "TB" ? "Left to right" : "Top to bottom";
}
direct("TB");
$("direction").onclick = () => { direct(state.direction === "TB" ? "LR" : "TB"); look(); };
for (const tab of ["picture", "table"]) {
  $(`tab-${tab}`).onclick = () => {
    for (const other of ["picture", "table"]) {
      $(other).hidden = other !== tab;
      $(`tab-${other}`).setAttribute("aria-selected", String(other === tab));
    }
    $("view").hidden = $("folds").hidden = tab !== "picture";
  };
}

// --- files --------------------------------------------------------------------------------------------------

async function save(event, anyway = false) {
  if (!state.saves || state.name !== state.saves) {
    const saved = state.saves ?? "a file on the command line of sewdsl serve";
    $("summary").textContent = `only ${saved} can be saved; download ${state.name} instead`;
    return;
  }
  try {
    const content = text();
    const { name, mark } = await ask("save", { text: content, mark: state.mark, anyway });
    Object.assign(state, { saved: content, mark });
    $("save").classList.remove("changed");
    $("summary").textContent = `saved ${name}`;
  } catch (error) {
    $("summary").textContent = words(error);
    if (error.changed && confirm(`${error.message}. Overwrite it?`)) await save(event, true);
  }
}

addEventListener("beforeunload", (event) => { if (text() !== state.saved) event.preventDefault(); });

function opened(name, content, mark) {
  state.name = name;
  state.mark = mark;
  state.unfolded.clear();
  state.shown = null;
  $("name").textContent = name;
  $("save").hidden = state.saves !== name;
  view.setState(fresh(content)); // with a new undo history
  state.saved = text(); // the editor normalises line ends
  typed();
}

function download(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

$("download").onchange = async () => {
  const kind = $("download").value;
  $("download").value = "";
  const stem = state.name.replace(/^.*\//, "").replace(/\.net$/, "") || "network";
  try {
    if (kind === "net") download(`${stem}.net`, text(), "text/plain");
    const type = { svg: "image/svg+xml", png: "image/png", pdf: "application/pdf" }[kind];
    if (type) { // downloads are for papers and pages, so the theme is always light
      const drawn = await draw(undefined, { theme: "light", format: kind });
      if (drawn.error) throw new Error(drawn.error);
      download(`${stem}.${kind}`, drawn.svg ?? Uint8Array.from(atob(drawn.base64), (c) => c.charCodeAt(0)), type);
    }
    if (kind === "py") download(`${stem.replace(/\W/g, "_")}.py`, (await ask("source", asking())).text, "text/x-python");
  } catch (error) {
    $("summary").textContent = words(error);
  }
};

$("format").onclick = async () => {
  const of = text();
  try {
    const { text: formatted } = await ask("format", asking());
    if (formatted === null) $("summary").textContent = "fix the syntax errors first";
    else if (text() === of && formatted !== of) put(formatted);
  } catch (error) {
    $("summary").textContent = words(error);
  }
};
$("save").onclick = save;
$("files").onchange = async () => {
  const name = $("files").value;
  $("files").value = "";
  if (!name) return;
  if (text() !== state.saved && !confirm("Discard unsaved changes?")) return;
  try {
    const found = await ask("open", { name });
    opened(found.name, found.text, found.mark);
  } catch (error) {
    $("summary").textContent = words(error);
  }
};

function choices(title, names) {
  const group = document.createElement("optgroup");
  group.label = title;
  group.append(...names.map((name) => new Option(name, name)));
  return group;
}

const start = await ask("start");
state.saves = start.saves;
$("files").append(new Option("…", ""), choices("this folder", start.files), choices("shipped networks", start.shipped));
opened(start.name, start.text, start.mark);
view.focus();
