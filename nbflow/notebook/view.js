// The live graph. Python sends the layout once (`scene`, and `aside` from left to right) and then what changed ("msg:custom"); everything that a person
// does here works in the browser alone, so that it works while the kernel is busy. User text only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";
const TALLEST = 560;
const words = (state) => state === "trigger_failed" ? "not run" : state.replace("_", " ");
const DONE = new Set(["success", "cached", "skipped", "failed", "trigger_failed", "cancelled", "paused"]);
const GONE = new Set(["restarting", "autorestarting", "dead"]);

export default () => {
  // What was told so far, kept for views that open later: a cell may be scrolled out of sight and back.
  const store = { rows: new Map(), told: new Map(), seconds: 0, at: performance.now(), gone: false, views: new Set() };
  return {
    initialize({ model }) {
      const heard = (message) => {
        store.seconds = message.seconds;
        store.at = performance.now();
        for (const row of message.rows) store.rows.set(row[0], row);
        for (const [i, told] of Object.entries(message.told)) {
          store.told.set(+i, { ...store.told.get(+i), ...told });
        }
        for (const view of store.views) view.changed(message);
      };
      model.on("msg:custom", heard);
      // A kernel that is restarted in the middle of a run has nobody left to tell how that ended.
      const lost = () => {
        if (!GONE.has(model.widget_manager.kernel?.status) || store.gone) return;
        store.gone = true;
        store.seconds += (performance.now() - store.at) / 1000;
        const rows = [...store.rows.values()].filter((row) => !DONE.has(row[1]))
          .map(([i, , done, total, failed]) => [i, "cancelled", done, total, failed, 0]);
        for (const row of rows) store.rows.set(row[0], row);
        for (const view of store.views) view.changed({ rows, told: {} });
      };
      model.on("comm_live_update", lost);
      // Only the kernel of a background run is free to answer.
      if (model.get("can_cancel")) model.send({ do: "hello" });
      return () => {
        model.off("msg:custom", heard);
        model.off("comm_live_update", lost);
      };
    },
    render({ model, el }) {
      const view = new View(model, el, store);
      store.views.add(view);
      return () => {
        store.views.delete(view);
        view.close();
      };
    },
  };
};

/** An element with classes, attributes and children; text is set as text. */
function make(tag, kind = "", attributes = {}, ...children) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function button(text, name, act, kind = "") {
  const made = make("button", `nf-button ${kind}`, { type: "button", title: name, "aria-label": name }, text);
  made.addEventListener("click", act);
  return made;
}

const short = (n) => (n < 10000 ? `${n}` : n < 1e6 ? `${Math.floor(n / 1000)}k` : `${(n / 1e6).toFixed(1)}M`);

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.floor(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

class View {
  constructor(model, el, store) {
    Object.assign(this, { model, store, direction: "TB", selected: null, hovered: null, filter: new Set(), query: "" });
    this.place = { x: 0, y: 0, k: 1 };
    this.folded = new Set();
    this.stacks = [];
    this.build(el);
    this.redraw = () => this.draw();
    this.retext = () => this.fillPane();
    model.on("change:scene", this.redraw);
    model.on("change:texts", this.retext);
    this.turnable = () => { this.turner.disabled = !model.get("aside"); };
    model.on("change:aside", this.turnable);
    this.clock = setInterval(() => this.summarise(), 250);
    this.sizes = new ResizeObserver(() => this.touched || this.fit());
    this.sizes.observe(this.stage);
    this.draw();
  }

  close() {
    clearInterval(this.clock);
    this.sizes.disconnect();
    this.model.off("change:scene", this.redraw);
    this.model.off("change:texts", this.retext);
    this.model.off("change:aside", this.turnable);
  }

  // --- The frame round the picture.

  build(el) {
    // Lumino must not take keys that are meant for the graph: Enter would edit the cell.
    this.root = make("div", "nbflow-live", { "data-lm-suppress-shortcuts": "true" });
    this.root.append(make("style", "", {}, this.model.get("css")));
    this.summary = make("span", "nf-summary");
    this.bar = make("span", "nf-progress-done");
    this.search = make("input", "nf-search", { type: "search", placeholder: "Search", "aria-label": "Search tasks" });
    this.search.addEventListener("input", () => {
      this.query = this.search.value.trim().toLowerCase();
      this.dim();
    });
    this.turner = button("⇄", "Switch between top-down and left-right", () => this.turn());
    const tools = make("span", "nf-tools", { role: "toolbar", "aria-label": "View" },
      button("−", "Zoom out", () => this.zoom(1 / 1.3)),
      button("+", "Zoom in", () => this.zoom(1.3)),
      button("⤢", "Fit the whole graph", () => { this.touched = false; this.fit(); }),
      this.turner);
    const cancel = this.model.get("can_cancel")
      ? button("■ Cancel", "Cancel the run", (event) => {
        event.currentTarget.disabled = true;
        this.model.send({ do: "cancel" });
      }, "nf-cancel")
      : null;
    const top = make("div", "nf-top", {}, this.summary, this.search, tools, cancel);
    const progress = make("div", "nf-progress", { "aria-hidden": "true" }, this.bar);
    this.stage = make("div", "nf-stage");
    this.pane = make("aside", "nf-pane", { "aria-label": "Details", hidden: "" });
    this.legend = make("div", "nf-states", { role: "group", "aria-label": "Filter by state" });
    this.spoken = make("div", "nf-spoken", { "aria-live": "polite" });
    this.root.append(top, progress, make("div", "nf-body-row", {}, this.stage, this.pane), this.legend, this.spoken);
    el.append(this.root);
    this.listen();
  }

  listen() {
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.findNext(event.shiftKey ? -1 : 1);
    });
    this.stage.addEventListener("wheel", (event) => {
      // Without a modifier the wheel belongs to the page.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const area = this.stage.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 300), event.clientX - area.left, event.clientY - area.top);
    }, { passive: false });
    this.stage.addEventListener("pointerdown", (event) => this.drag(event));
    this.stage.addEventListener("pointerover", (event) => this.hover(this.boxAt(event)));
    this.stage.addEventListener("pointerleave", () => this.hover(null));
    this.stage.addEventListener("focusin", (event) => this.hover(this.boxAt(event)));
    this.stage.addEventListener("focusout", () => this.hover(null));
    this.stage.addEventListener("click", (event) => {
      if (this.dragged) return;
      const frame = event.target.closest(".nf-cluster, .nf-folded");
      const i = this.boxAt(event);
      if (i !== null) this.select(i);
      else if (frame) this.fold(+frame.dataset.cluster);
      else this.select(null);
    });
  }

  // --- Drawing.

  draw() {
    const scene = this.model.get("scene");
    const aside = this.model.get("aside");
    if (!aside) this.direction = "TB";
    const text = this.direction === "LR" ? aside : scene.drawn;
    this.turner.disabled = !aside;
    if (!text) return this.drawWords(scene);
    const svg = document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    this.natural = { width, height };
    for (const name of ["viewBox", "style"]) svg.removeAttribute(name);
    svg.setAttribute("width", "100%");
    svg.setAttribute("height", "100%");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", `Graph of the flow ${scene.name}`);
    this.viewport = document.createElementNS(SVG, "g");
    this.viewport.append(...svg.childNodes);
    svg.append(this.viewport);
    // A new layout comes while somebody walks through the old one.
    const focused = this.stage.contains(document.activeElement) ? document.activeElement.dataset.i : undefined;
    this.stage.replaceChildren(svg);
    this.svg = svg;
    this.read(scene);
    this.refold();
    for (const box of this.boxes) this.show(box);
    this.dim();
    if (this.touched) this.move(this.place.x, this.place.y, this.place.k);
    else this.fit();
    if (focused !== undefined) this.focus(+focused);
    this.summarise();
    this.legendChanged();
  }

  /** Where no Graphviz is to be had: a list. */
  drawWords(scene) {
    [this.boxes, this.edges, this.clusters, this.stacks] = [[], [], [], []];
    this.stage.replaceChildren(make("p", "", {}, `${scene.name}: no Graphviz here can draw ${scene.boxes.length} tasks`));
  }

  read(scene) {
    const groups = [...this.svg.querySelectorAll(".nf-box")];
    this.boxes = scene.boxes.map((box, i) => {
      const g = groups[i];
      const part = (kind) => g.querySelector(`:scope > .${kind}`);
      g.dataset.i = i;
      g.setAttribute("role", "button");
      g.setAttribute("tabindex", i === 0 ? "0" : "-1");
      const track = part("nf-track");
      return { ...box, i, g, ups: [], downs: [], area: areaOf(part("nf-body")), symbol: part("nf-symbol"),
        count: part("nf-count"), bar: part("nf-bar"), track, tip: part("title"),
        barWidth: track ? +track.getAttribute("width") : 0, first: box.state };
    });
    const edges = [...this.svg.querySelectorAll(".nf-edge")];
    this.edges = scene.arrows.map(([tail, head], k) => {
      this.boxes[tail].downs.push(head);
      this.boxes[head].ups.push(tail);
      return { tail, head, g: edges[k] };
    });
    this.clusters = [...this.svg.querySelectorAll(".nf-cluster")].map((g, c) => {
      const path = scene.clusters[c];
      const label = g.querySelector("text");
      g.dataset.cluster = c;
      label.setAttribute("role", "button");
      label.setAttribute("tabindex", "0");
      label.setAttribute("aria-label", `Fold ${path.at(-1)}`);
      const inside = (box) => path.every((part, depth) => box.cluster[depth] === part);
      return { c, g, path, label, name: path.at(-1), area: areaOf(g.querySelector("rect")),
        members: this.boxes.filter(inside).map((box) => box.i) };
    });
  }

  state(box) {
    return this.store.rows.get(box.i)?.[1] ?? box.first;
  }

  show(box) {
    const row = this.store.rows.get(box.i);
    const state = this.state(box);
    if (box.g.dataset.state !== state || box.shown !== state) {
      box.g.classList.remove(`nf-${box.shown ?? box.first}`);
      box.g.classList.add(`nf-${state || "none"}`);
      box.g.dataset.state = state;
      box.shown = state;
      if (box.symbol) box.symbol.textContent = this.model.get("scene").looks[state] ?? "";
    }
    let counted = "";
    if (box.mapped) {
      const [, , done, total, failed] = row ?? [0, "", 0, 0, 0];
      counted = row && total ? `${done} of ${total} done${failed ? `, ${failed} failed` : ""}` : "";
      if (box.count) box.count.textContent = row && total ? `${failed ? `✗${short(failed)} ` : ""}${short(done)}/${short(total)}` : "";
      if (box.bar) box.bar.setAttribute("width", row && total ? ((box.barWidth * (done + failed)) / total).toFixed(2) : 0);
    }
    const told = [box.name, words(state), counted].filter(Boolean);
    box.g.setAttribute("aria-label", told.join(", "));
    if (box.tip) box.tip.textContent = told.join("\n");
  }

  changed(message) {
    for (const [i] of message.rows) if (this.boxes[i]) this.show(this.boxes[i]);
    this.legendChanged();
    this.foldedStates();
    if (this.filter.size) this.dim();
    if (this.selected !== null && (message.told[this.selected] || message.rows.some(([i]) => i === this.selected))) {
      this.fillPane();
    }
    this.summarise();
  }

  // --- Summary, legend, search and filter.

  summarise() {
    if (!this.boxes) return;
    const tasks = this.boxes.filter((box) => box.first);
    const { gone, at } = this.store;
    const ended = (box) => DONE.has(this.state(box)) && !(gone && this.state(box) === "cancelled");
    const done = tasks.filter(ended).length;
    const running = tasks.filter((box) => this.state(box) === "running").map((box) => box.label);
    const failed = tasks.filter((box) => this.state(box) === "failed" || this.store.rows.get(box.i)?.[4]).length;
    const seconds = this.store.seconds + (gone ? 0 : (performance.now() - at) / 1000);
    const now = running.slice(0, 3).join(", ") + (running.length > 3 ? ` and ${running.length - 3} more` : "");
    const text = [`${done}/${tasks.length} tasks`, failed ? `${failed} failed` : "", duration(seconds), now ? `▶ ${now}` : "",
      gone ? "kernel ended: run again to go on" : ""];
    this.summary.textContent = text.filter(Boolean).join(" · ");
    const parts = tasks.map((box) => {
      const row = this.store.rows.get(box.i);
      return ended(box) ? 1 : row && row[3] ? (row[2] + row[4]) / row[3] : 0;
    });
    this.bar.style.width = `${(100 * parts.reduce((a, b) => a + b, 0)) / (tasks.length || 1)}%`;
    // A screen reader is told now and then, not four times a second.
    if (performance.now() - (this.spokenAt ?? -1e9) > 5000) {
      this.spokenAt = performance.now();
      this.spoken.textContent = `${done} of ${tasks.length} tasks done${failed ? `, ${failed} failed` : ""}`;
    }
  }

  legendChanged() {
    const counts = new Map();
    for (const box of this.boxes) if (box.first) counts.set(this.state(box), (counts.get(this.state(box)) ?? 0) + 1);
    const looks = this.model.get("scene").looks;
    const said = JSON.stringify([[...counts].sort(), [...this.filter]]);
    if (said === this.saidLegend) return;
    this.saidLegend = said;
    const focused = this.legend.contains(document.activeElement) ? document.activeElement.dataset.state : null;
    this.legend.replaceChildren(...Object.keys(looks).filter((state) => counts.has(state) || this.filter.has(state)).map((state) => {
      const made = make("button", `nf-state-button nf-${state}`,
        { type: "button", "data-state": state, "aria-pressed": this.filter.has(state) },
        make("b", "", { "aria-hidden": "true" }, looks[state]), ` ${counts.get(state) ?? 0} ${words(state)}`);
      made.addEventListener("click", () => {
        if (!this.filter.delete(state)) this.filter.add(state);
        this.legendChanged();
        this.dim();
      });
      return made;
    }));
    if (focused) this.legend.querySelector(`[data-state="${focused}"]`)?.focus();
  }

  matches(box) {
    return (!this.query || box.name.toLowerCase().includes(this.query))
      && (!this.filter.size || this.filter.has(this.state(box)));
  }

  /** From one match to the next, round and round; the keys stay in the search box. */
  findNext(step) {
    const found = this.query ? this.boxes.filter((box) => this.matches(box)).map((box) => box.i) : [];
    if (!found.length) return;
    const at = found.indexOf(this.selected);
    const next = found[at < 0 ? (step > 0 ? 0 : found.length - 1) : (at + step + found.length) % found.length];
    for (const { members, cluster } of this.stacks) if (members.includes(next)) this.folded.delete(pathOf(cluster));
    if (this.boxes[next].g.style.display === "none") this.draw();
    this.select(next);
  }

  dim() {
    const centre = this.hovered ?? this.selected;
    const path = centre === null ? null : new Set([...this.reach(centre, "ups"), ...this.reach(centre, "downs")]);
    for (const box of this.boxes) {
      box.g.classList.toggle("nf-dim", !this.matches(box) || (path !== null && !path.has(box.i)));
      box.g.classList.toggle("nf-found", Boolean(this.query) && this.matches(box));
      box.g.classList.toggle("nf-selected", box.i === this.selected);
    }
    for (const { g, members } of this.stacks) {
      const [found, on] = [members.some((i) => this.matches(this.boxes[i])), path === null || members.some((i) => path.has(i))];
      g.classList.toggle("nf-dim", !found || !on);
      g.classList.toggle("nf-found", Boolean(this.query) && found);
    }
    for (const edge of this.edges) {
      const on = path !== null && path.has(edge.tail) && path.has(edge.head);
      edge.g?.classList.toggle("nf-on", on);
      edge.g?.classList.toggle("nf-dim", path !== null && !on);
    }
  }

  /** All that a box needs, or all that needs it; the box among them. */
  reach(i, way) {
    const seen = new Set([i]);
    for (const each of seen) for (const next of this.boxes[each][way]) seen.add(next);
    return seen;
  }

  // --- Pan, zoom, direction.

  fit() {
    const { width, height } = this.extent ?? this.natural ?? { width: 1, height: 1 };
    const covered = this.pane.hidden ? 0 : this.pane.offsetWidth + 20;
    const room = Math.max(200, (this.stage.clientWidth || 800) - covered);
    const k = Math.min(1, room / width, TALLEST / height);
    // An open pane needs room, too.
    this.stage.style.height = `${Math.max(this.pane.hidden ? 120 : 420, Math.min(TALLEST, height * k))}px`;
    this.move((room - width * k) / 2, Math.max(0, (this.stage.clientHeight - height * k) / 2), k);
  }

  move(x, y, k) {
    this.place = { x, y, k };
    this.viewport?.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${k.toFixed(4)})`);
  }

  zoom(factor, x = this.stage.clientWidth / 2, y = this.stage.clientHeight / 2) {
    this.touched = true;
    const k = Math.min(4, Math.max(0.05, this.place.k * factor));
    const real = k / this.place.k;
    this.move(x - (x - this.place.x) * real, y - (y - this.place.y) * real, k);
  }

  turn() {
    this.direction = this.direction === "TB" ? "LR" : "TB";
    this.touched = false;
    this.draw();
  }

  drag(event) {
    if (event.button !== 0) return;
    const { clientX, clientY } = event;
    const { x, y, k } = this.place;
    this.dragged = false;
    const moved = (now) => {
      if (!this.dragged && Math.hypot(now.clientX - clientX, now.clientY - clientY) < 4) return;
      this.dragged = this.touched = true;
      this.stage.classList.add("nf-grabbed");
      this.move(x + now.clientX - clientX, y + now.clientY - clientY, k);
    };
    const up = () => {
      this.stage.classList.remove("nf-grabbed");
      window.removeEventListener("pointermove", moved);
      window.removeEventListener("pointerup", up);
    };
    window.addEventListener("pointermove", moved);
    window.addEventListener("pointerup", up);
  }

  // --- Hover, selection, keys.

  boxAt(event) {
    const g = event.target.closest?.(".nf-box:not(.nf-folded)");
    return g ? +g.dataset.i : null;
  }

  hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.dim();
  }

  focus(i) {
    for (const box of this.boxes) box.g.setAttribute("tabindex", box.i === i ? "0" : "-1");
    this.boxes[i].g.focus({ preventScroll: true });
    this.reveal(i);
  }

  /** Moves the graph so that a box can be seen. */
  reveal(i) {
    const box = this.boxes[i].g.getBoundingClientRect();
    const area = this.stage.getBoundingClientRect();
    const right = this.pane.hidden ? area.right : Math.min(area.right, this.pane.getBoundingClientRect().left);
    const beyond = (low, high, from, to) => (low < from ? from - low + 20 : high > to ? to - high - 20 : 0);
    const dx = beyond(box.left, box.right, area.left, right);
    const dy = beyond(box.top, box.bottom, area.top, area.bottom);
    if (dx || dy) {
      this.touched = true;
      this.move(this.place.x + dx, this.place.y + dy, this.place.k);
    }
  }

  key(event) {
    const g = event.target.closest?.(".nf-box:not(.nf-folded)");
    const frame = event.target.closest?.(".nf-cluster text, .nf-folded");
    event.stopPropagation();
    if (event.key === "Escape") {
      this.select(null);
      if (g) g.focus();
    } else if (frame && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.fold(+(frame.dataset.cluster ?? frame.parentNode.dataset.cluster));
    } else if (g && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      this.select(+g.dataset.i);
    } else if (g && event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = this.neighbour(this.boxes[+g.dataset.i], event.key.slice(5));
      if (next !== null) this.focus(next);
    }
  }

  /** Along the edges with the keys that point their way, to what lies beside with the others. */
  neighbour(box, key) {
    const across = this.direction === "TB" ? { Left: -1, Right: 1 } : { Up: -1, Down: 1 };
    const along = this.direction === "TB" ? { Up: "ups", Down: "downs" } : { Left: "ups", Right: "downs" };
    const [main, side] = this.direction === "TB" ? ["y", "x"] : ["x", "y"];
    const visible = (i) => i !== box.i && this.boxes[i].g.style.display !== "none";
    const far = (i) => Math.abs(this.boxes[i].area[side] - box.area[side]);
    const candidates = along[key]
      ? box[along[key]].filter(visible)
      : this.boxes.filter((each) => visible(each.i) && Math.abs(each.area[main] - box.area[main]) < 24
        && (each.area[side] - box.area[side]) * across[key] > 0).map((each) => each.i);
    return candidates.length ? candidates.reduce((a, b) => (far(a) <= far(b) ? a : b)) : null;
  }

  select(i) {
    this.selected = i;
    this.pane.hidden = i === null;
    this.fillPane();
    this.dim();
    if (!this.touched) this.fit();
    else if (i !== null && this.stage.clientHeight < 420) this.stage.style.height = "420px";
    if (i !== null) this.reveal(i);
  }

  // --- The detail pane.

  fillPane() {
    if (this.selected === null) return this.pane.replaceChildren();
    const box = this.boxes[this.selected];
    const told = this.store.told.get(box.i) ?? {};
    const row = this.store.rows.get(box.i);
    const state = this.state(box);
    const looks = this.model.get("scene").looks;
    const open = new Set([...this.pane.querySelectorAll("details[open]")].map((each) => each.dataset.part));
    const scrolled = this.pane.scrollTop;
    const facts = make("dl", "nf-facts");
    const fact = (name, value) => value && facts.append(make("dt", "", {}, name), make("dd", "", {}, value));
    fact("Why", told.reason);
    if (box.mapped && row?.[3]) fact("Elements", `${row[2]} of ${row[3]} done${row[4] ? `, ${row[4]} failed` : ""}${row[5] ? `, ${row[5]} running` : ""}`);
    fact("Duration", told.seconds === undefined ? "" : duration(told.seconds));
    fact("Called by", told.workers);
    fact("Attempts", row?.[6] ? `${row[6]} tried again` : "");
    fact("Needs", box.ups.filter((i) => i !== box.i).map((i) => this.boxes[i].name).join(", "));
    fact("Used by", box.downs.filter((i) => i !== box.i).map((i) => this.boxes[i].name).join(", "));
    const closer = button("×", "Close details", () => {
      this.select(null);
      box.g.focus();
    }, "nf-close");
    const head = make("div", "nf-pane-head", {}, make("h3", "", { title: box.name }, box.name), closer);
    const chip = state ? make("p", `nf-chip nf-${state}`, {}, make("b", "", {}, looks[state] ?? ""), ` ${words(state)}`) : null;
    const text = this.model.get("texts")[box.i];
    this.pane.replaceChildren(...[
      head, chip, facts.children.length ? facts : null,
      told.error ? make("p", "nf-error", {}, told.error) : null,
      told.trace ? part("trace", "Traceback", make("pre", "", {}, told.trace), open.has("trace")) : null,
      told.output ? part("output", box.kind === "parameter" ? "Value" : "Output", output(told.output), true) : null,
      told.log ? part("log", "Log", make("pre", "", {}, told.log), open.has("log") || !told.output) : null,
      text ? box.kind === "parameter" ? part("source", "Default", make("pre", "", {}, text), true) : part("source", "Source", numbered(text), true) : null,
    ].filter(Boolean));
    this.pane.scrollTop = scrolled;
  }

  // --- Clusters that are folded into one box.

  fold(c) {
    const path = pathOf(this.clusters[c]);
    if (!this.folded.delete(path)) this.folded.add(path);
    this.touched = false;
    this.draw();
  }

  /** Draws each folded cluster as one box, leads its arrows there, and closes the gaps. */
  refold() {
    this.extent = null;
    this.stacks = [];
    const isFolded = (cluster) => this.folded.has(pathOf(cluster));
    const outermost = this.clusters.filter((each) => isFolded(each) && !this.clusters.some((other) => other !== each
      && isFolded(other) && other.path.length < each.path.length && other.path.every((p, d) => each.path[d] === p)));
    if (!outermost.length) return;
    const home = new Map();
    for (const cluster of outermost) {
      const stack = this.drawStack(cluster);
      this.stacks.push(stack);
      for (const i of cluster.members) {
        home.set(i, stack);
        this.boxes[i].g.style.display = "none";
      }
      for (const inner of this.clusters) {
        if (cluster.path.every((p, d) => inner.path[d] === p)) inner.g.style.display = "none";
      }
    }
    for (const edge of this.edges) {
      const [from, to] = [home.get(edge.tail), home.get(edge.head)];
      if (from && from === to) edge.g.style.display = "none";
      else if (from || to) this.lead(edge, from?.area ?? this.boxes[edge.tail].area, to?.area ?? this.boxes[edge.head].area);
    }
    this.squeeze();
    this.foldedStates();
  }

  drawStack(cluster) {
    const { x, y, width, height } = cluster.area;
    const size = { width: Math.min(width, Math.max(120, 8 * cluster.name.length + 100)), height: 32 };
    const area = { x: x + (width - size.width) / 2, y: y + (height - size.height) / 2, ...size };
    const g = document.createElementNS(SVG, "g");
    g.setAttribute("class", "nf-box nf-folded");
    g.setAttribute("tabindex", "0");
    g.setAttribute("role", "button");
    g.dataset.cluster = cluster.c;
    const body = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ ...area, rx: 9, class: "nf-body" })) body.setAttribute(name, value);
    const write = (kind, at, text, anchor = "start") => {
      const made = document.createElementNS(SVG, "text");
      for (const [name, value] of Object.entries({ class: kind, x: at, y: area.y + 21, "text-anchor": anchor })) {
        made.setAttribute(name, value);
      }
      made.textContent = text;
      return made;
    };
    const symbol = write("nf-symbol", area.x + 10, "");
    const count = write("nf-count", area.x + area.width - 10, "", "end");
    const tip = document.createElementNS(SVG, "title");
    const members = cluster.members.filter((i) => this.boxes[i].first);
    // The label has what the count leaves of the room.
    const room = Math.max(6, Math.floor((area.width - 60 - 14 * `${members.length}`.length) / 7.5));
    const label = cluster.name.length > room ? `${cluster.name.slice(0, room - 1)}…` : cluster.name;
    g.append(tip, body, symbol, write("nf-label", area.x + 26, label), count);
    cluster.g.after(g);
    return { g, symbol, count, tip, area, cluster, members: cluster.members };
  }

  foldedStates() {
    const order = ["running", "retrying", "failed", "trigger_failed", "cancelled", "paused", "pending", "success", "cached", "skipped"];
    for (const { g, symbol, count, tip, cluster, members } of this.stacks) {
      const tasks = members.filter((i) => this.boxes[i].first).map((i) => this.state(this.boxes[i]));
      const state = order.find((each) => tasks.includes(each)) ?? "none";
      const done = tasks.filter((each) => DONE.has(each)).length;
      const failed = tasks.filter((each) => each === "failed").length;
      g.classList.remove(...order.map((each) => `nf-${each}`), "nf-none");
      g.classList.add(`nf-${state}`);
      symbol.textContent = this.model.get("scene").looks[state] ?? "";
      count.textContent = `${failed ? `✗${failed} ` : ""}${done}/${tasks.length} ▸`;
      tip.textContent = [cluster.name, words(state), `${done} of ${tasks.length} tasks done${failed ? `, ${failed} failed` : ""}`].join(", ");
      g.setAttribute("aria-label", `Unfold ${tip.textContent}`);
    }
  }

  lead(edge, from, to) {
    const down = this.direction === "TB";
    const middle = (area) => ({ x: area.x + area.width / 2, y: area.y + area.height / 2 });
    const [a, b] = [middle(from), middle(to)];
    const way = down ? Math.sign(b.y - a.y) || 1 : Math.sign(b.x - a.x) || 1;
    if (down) { a.y += (way * from.height) / 2; b.y -= (way * to.height) / 2; }
    else { a.x += (way * from.width) / 2; b.x -= (way * to.width) / 2; }
    const half = down ? { x: 0, y: (b.y - a.y) / 2 } : { x: (b.x - a.x) / 2, y: 0 };
    edge.g.querySelector("path").setAttribute("d",
      `M${a.x},${a.y}C${a.x + half.x},${a.y + half.y} ${b.x - half.x},${b.y - half.y} ${b.x},${b.y}`);
    const tip = down ? [[-3, -7 * way], [3, -7 * way]] : [[-7 * way, -3], [-7 * way, 3]];
    edge.g.querySelector("polygon")?.setAttribute("points",
      `${b.x},${b.y} ${tip.map(([x, y]) => `${b.x + x},${b.y + y}`).join(" ")}`);
    edge.g.querySelector("text")?.remove();
  }

  /** Closes the strips that no box stands in any more: a monotone map of each axis, boxes moved as a whole. */
  squeeze() {
    const shown = [...this.boxes.filter((box) => box.g.style.display !== "none"), ...this.stacks];
    const maps = {};
    for (const [axis, size] of [["x", "width"], ["y", "height"]]) {
      maps[axis] = squeezed(shown.map(({ area }) => [area[axis], area[axis] + area[size]]), 44);
    }
    const shift = (area) => ["x", "y"].map((axis) => maps[axis](area[axis]) - area[axis]);
    for (const { g, area } of shown) g.setAttribute("transform", `translate(${shift(area).map((n) => n.toFixed(2)).join(",")})`);
    const pairs = (text) => text.replace(/(-?[\d.]+)[ ,](-?[\d.]+)/g, (_, x, y) => `${maps.x(+x).toFixed(2)},${maps.y(+y).toFixed(2)}`);
    for (const { g } of this.edges) {
      const path = g.querySelector("path");
      path?.setAttribute("d", pairs(path.getAttribute("d")));
      const tip = g.querySelector("polygon");
      if (tip) {
        const [x, y] = tip.getAttribute("points").split(/[ ,]/).map(Number);
        tip.setAttribute("transform", `translate(${maps.x(x) - x},${maps.y(y) - y})`);
      }
      const text = g.querySelector("text");
      for (const axis of text ? ["x", "y"] : []) text.setAttribute(axis, maps[axis](+text.getAttribute(axis)));
    }
    for (const { g, area, label } of this.clusters.filter((each) => each.g.style.display !== "none")) {
      const [x, y] = [maps.x(area.x), maps.y(area.y)];
      const frame = { x, y, width: maps.x(area.x + area.width) - x, height: maps.y(area.y + area.height) - y };
      for (const [name, value] of Object.entries(frame)) g.querySelector("rect").setAttribute(name, value);
      label.setAttribute("x", x + 10);
      label.setAttribute("y", y + 15);
    }
    const areas = shown.map(({ area }) => area);
    const left = (axis, size) => this.natural[size] - Math.max(...areas.map((a) => a[axis] + a[size]))
      + Math.max(...areas.map((a) => maps[axis](a[axis]) + a[size]));
    this.extent = { width: left("x", "width"), height: left("y", "height") };
  }
}

const pathOf = (cluster) => cluster.path.join("\u0000");

function areaOf(rect) {
  const [x, y, width, height] = ["x", "y", "width", "height"].map((name) => +rect.getAttribute(name));
  return { x, y, width, height };
}

/** A monotone map that keeps intervals as they are, and no gap between them wider than `most`. */
function squeezed(intervals, most) {
  const sorted = [...intervals].sort((a, b) => a[0] - b[0]);
  const gaps = [];
  let end = sorted.length ? sorted[0][0] : 0;
  for (const [from, to] of sorted) {
    if (from - end > most) gaps.push([end, from, from - end - most]);
    end = Math.max(end, to);
  }
  return (at) => gaps.reduce((sum, [from, to, cut]) => sum - cut * Math.min(1, Math.max(0, (at - from) / (to - from))), at);
}

function part(name, title, content, open) {
  return make("details", "nf-part", { "data-part": name, ...(open ? { open: "" } : {}) }, make("summary", "", {}, title), content);
}

function numbered(text) {
  const list = make("pre", "nf-source");
  text.split("\n").forEach((line, i) => list.append(make("span", "nf-number", { "aria-hidden": "true" }, `${i + 1}`), `${line}\n`));
  return list;
}

function output(told) {
  const shown = make("div", "nf-output");
  if (told.kind === "table") {
    const cells = (tag, each) => make("tr", "", {}, ...each.map((text) => make(tag, "", {}, text)));
    shown.append(make("table", "", {}, make("thead", "", {}, cells("th", told.columns)),
      make("tbody", "", {}, ...told.rows.map((each) => cells("td", each)))));
  } else if (told.kind === "picture") {
    shown.append(make("img", "", { src: `data:image/png;base64,${told.png}`, alt: told.text }));
  } else if (told.kind === "list") {
    const more = told.total - told.items.length;
    shown.append(make("ol", "", {}, ...told.items.map(([i, text]) => make("li", "", { value: i }, text))));
    if (more > 0) shown.append(make("p", "nf-quiet", {}, `… ${more} more`));
    return shown;
  } else {
    shown.append(make("pre", "", {}, told.text));
    return shown;
  }
  shown.append(make("p", "nf-quiet", {}, told.text));
  return shown;
}
