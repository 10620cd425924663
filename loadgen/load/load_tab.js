// Fills our tab on Locust's page: the run, its rates over time, its counters and what they mean.
(() => {
  const base = document.currentScript.src.replace(/load_tab\.js.*$/, "");
  const LINES = { target: "Target", offered: "Offered", committed: "Committed" };
  const REFRESH = 1000; // milliseconds
  const LOSSES = new Set(["failed", "skipped", "unknown"]);
  let section; // while the tab is open
  let state; // of the run, as the load told it last
  let pointedAt; // seconds of the run under the pointer

  const number = (figure) => Number(figure.toPrecision(3)).toLocaleString("en");

  function duration(seconds) {
    const units = [[3600, "h"], [60, "min"], [1, "s"]];
    const index = units.findIndex(([unit]) => seconds >= unit);
    if (index === -1) return "0 s";
    const [[large, name], next] = units.slice(index, index + 2);
    const whole = Math.floor(seconds / large);
    const rest = next ? Math.floor((seconds - whole * large) / next[0]) : 0;
    return rest ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
  }

  function html(tag, attributes = {}, ...children) {
    return filled(document.createElement(tag), attributes, children);
  }

  function svg(tag, attributes = {}, ...children) {
    return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  }

  function filled(element, attributes, children) {
    for (const [name, setting] of Object.entries(attributes)) element.setAttribute(name, setting);
    element.append(...children);
    return element;
  }

  function link(path, ...children) {
    return html("a", { href: `${base}record/${state.run_id}/${path}`, target: "_blank" }, ...children);
  }

  function headline() {
    const planned = duration(state.duration_seconds);
    const texts = {
      running: `running for ${duration(state.seconds)} of ${planned}`,
      paused: `paused after ${duration(state.seconds)} of ${planned}`,
      finishing: "stopping: the last writes finish and the record is closed",
      ended: `ended after ${duration(state.seconds)}, ${state.verdict}`,
    };
    return html("h2", {}, `Run ${state.run_id}: ${texts[state.state]}`);
  }

  function facts() {
    const lines = state.reasons.map((reason) => html("p", { role: "alert" }, `Invalid: ${reason}`));
    if (state.paused_by) lines.push(html("p", {}, `Paused by ${state.paused_by}. Continue with `, html("code", {}, "loadgen resume"), "."));
    lines.push(html("p", {}, `Profile: ${state.profile}. Last change of rates: ${state.last_change}.`));
    lines.push(html("p", {}, "Record: ", link("", html("code", {}, state.folder))));
    const report = state.report
      ? link("report.html", "open the report of this run")
      : html("span", {}, "not written yet: run ", html("code", {}, `loadgen report ${state.run_id}`));
    lines.push(html("p", {}, "Report: ", report));
    return html("div", { class: "loadgen-facts" }, ...lines);
  }

  // The nearest round number above a figure: 1, 2 or 5 times a power of ten.
  function roundUp(figure) {
    const power = 10 ** Math.floor(Math.log10(figure));
    return power * [1, 2, 5, 10].find((step) => step * power >= figure);
  }

  function chart() {
    const { rates } = state;
    const width = Math.max(300, section.clientWidth), height = 240;
    const left = 48, right = 12, top = 10, bottom = 28;
    const last = rates.at(-1)[0], first = Math.min(rates[0][0], last - 1);
    const most = roundUp(Math.max(...rates.map(([, ...figures]) => Math.max(...figures)), 0.001) * 1.05);
    const x = (seconds) => left + ((seconds - first) / (last - first)) * (width - left - right);
    const y = (rate) => top + (1 - rate / most) * (height - top - bottom);
    const parts = [0, 0.5, 1].flatMap((part) => [
      svg("line", { class: "grid", x1: left, x2: width - right, y1: y(part * most), y2: y(part * most) }),
      svg("text", { x: left - 6, y: y(part * most) + 4, "text-anchor": "end" }, number(part * most)),
    ]);
    parts.push(svg("text", { x: left, y: height - 8 }, duration(first)));
    parts.push(svg("text", { x: width - right, y: height - 8, "text-anchor": "end" }, duration(last)));
    ["offered", "committed", "target"].forEach((line) => {
      const index = 1 + Object.keys(LINES).indexOf(line);
      const points = rates.map((point) => `${x(point[0]).toFixed(1)},${y(point[index]).toFixed(1)}`);
      parts.push(svg("path", { class: `loadgen-${line}`, d: `M${points.join("L")}` }));
    });
    if (pointedAt !== undefined) parts.push(svg("line", { class: "grid", x1: x(shownPoint()[0]), x2: x(shownPoint()[0]), y1: top, y2: height - bottom }));
    const label = "Target, offered and committed writes a second over the run";
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...parts);
    drawing.addEventListener("pointermove", ({ offsetX }) => {
      pointedAt = first + ((offsetX * width / drawing.clientWidth - left) / (width - left - right)) * (last - first);
      draw();
    });
    drawing.addEventListener("pointerleave", () => {
      pointedAt = undefined;
      draw();
    });
    return drawing;
  }

  function shownPoint() {
    const { rates } = state;
    if (pointedAt === undefined) return rates.at(-1);
    return rates.reduce((best, point) => (Math.abs(point[0] - pointedAt) < Math.abs(best[0] - pointedAt) ? point : best));
  }

  function legend() {
    const [seconds, ...figures] = shownPoint();
    const keys = Object.entries(LINES).map(([line, title], index) => {
      const sample = svg("svg", { "aria-hidden": "true" }, svg("path", { class: `loadgen-${line}`, d: "M0,5H28" }));
      return html("span", {}, sample, `${title} ${number(figures[index])}/s`);
    });
    return html("p", { class: "loadgen-legend" }, ...keys, html("span", {}, `at ${duration(seconds)}`));
  }

  function table() {
    const head = state.columns.map(({ title, help }) => html("th", { scope: "col", title: help }, title));
    const rows = state.operations.map((operation) => {
      const cells = state.columns.map(({ key, title }) => {
        const shown = operation[key];
        const attributes = { "data-title": title };
        if (LOSSES.has(key) && shown > 0) attributes.class = "loadgen-loss";
        return html("td", attributes, typeof shown === "number" ? shown.toLocaleString("en") : shown);
      });
      return html("tr", {}, ...cells);
    });
    return html("table", {}, html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...rows));
  }

  function columns() {
    const entries = state.columns.flatMap(({ title, help }) => [html("dt", {}, title), html("dd", {}, help)]);
    return html("dl", { class: "loadgen-columns" }, ...entries);
  }

  function draw() {
    if (!section || !state) return;
    if (state.state === "idle") {
      section.replaceChildren(html("p", {}, "No run has begun yet. Start one, and its figures appear here."));
      return;
    }
    const drawing = state.rates.length ? [html("div", { class: "loadgen-chart" }, legend(), chart())] : [];
    const parts = [headline(), facts(), ...drawing, table(), columns()];
    if (section.children.length !== parts.length) {
      section.replaceChildren(...parts);
      return;
    }
    // Only what has changed, so that a link keeps its focus and its click.
    parts.forEach((part, index) => {
      const shown = section.children[index];
      if (!shown.isEqualNode(part)) shown.replaceWith(part);
    });
  }

  async function refresh() {
    if (section && !document.hidden) {
      try {
        const response = await fetch(`${base}tab`);
        if (response.ok) state = await response.json();
        draw();
      } catch {
        // The load has ended: its last figures stay.
      }
    }
    setTimeout(refresh, REFRESH);
  }

  // React draws an empty tab; ours is put beside it while the tab is open.
  function mount() {
    const tab = [...document.querySelectorAll("[role=tab]")].find(({ textContent }) => textContent === "Load");
    const isOpen = tab?.getAttribute("aria-selected") === "true";
    if (isOpen && !section?.isConnected) {
      section = html("section", { class: "loadgen-tab", "aria-label": "Load" });
      tab.closest(".MuiContainer-root").append(section);
      draw();
    } else if (!isOpen && section) {
      section.remove();
      section = undefined;
    }
  }

  new MutationObserver(mount).observe(document, { childList: true, subtree: true, attributeFilter: ["aria-selected"] });
  addEventListener("resize", () => draw());
  refresh();
})();
