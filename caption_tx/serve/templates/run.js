"use strict";
// The page of a training run: asks for its state every few seconds, and shows what has changed.
(() => {
  const SECONDS = 3, WIDTH = 380, HEIGHT = 220, LEFT = 56, BOTTOM = 26, TOP = 10, MAX_CARDS = 8;
  const PANELS = [
    ["loss", "token_loss", "val_token_loss"], ["accuracy", "accuracy", "val_accuracy"],
    ["scores", "val_cider", "val_bleu4"], ["reward", "reward", null],
  ];
  const { $, fill, say, request, pause } = livePage;
  const cards = new Map();
  let run = null, text = "", shape = null;

  const add = (parent, name, content = "", attributes = {}) => {
    const element = document.createElement(name);
    if (content !== "") element.textContent = content;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };

  const draw = (parent, name, attributes, content = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (content !== "") element.textContent = content;
    parent.append(element);
    return element;
  };

  const round = (value) => Number(value.toPrecision(3)).toString();

  function drawCurve([name, ...columns]) {
    const lines = columns.filter(Boolean).map((column) => [column, run.epochs.filter((row) => column in row)])
      .filter(([, rows]) => rows.length);
    if (!lines.length) return;
    const values = lines.flatMap(([column, rows]) => rows.map((row) => row[column]));
    const last = Math.max(2, ...run.epochs.map((row) => row.epoch));
    let low = Math.min(...values), high = Math.max(...values);
    if (low === high) { low -= 0.5; high += 0.5; }
    const x = (epoch) => LEFT + (epoch - 1) / (last - 1) * (WIDTH - LEFT - 12);
    const y = (value) => TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM);
    const figure = add($("curves"), "figure");
    const label = (column) => livePage.live.strings[column.startsWith("val_") && name !== "scores" ? "validation" : column] || column;
    const caption = add(figure, "figcaption", livePage.live.strings[`panel_${name}`]);
    lines.forEach(([column, rows], index) => {
      const legend = add(caption, "span", "", { class: "legend" });
      add(legend, "span", "", { class: `key key-${index}`, "aria-hidden": "true" });
      legend.append(` ${label(column)} ${round(rows.at(-1)[column])}`);
    });
    const svg = draw(figure, "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": [...caption.childNodes].map((node) => node.textContent.trim()).join(", ") });
    for (const value of [low, (low + high) / 2, high]) {
      draw(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - 12, y1: y(value), y2: y(value) });
      draw(svg, "text", { class: "tick end", x: LEFT - 6, y: y(value) + 4 }, round(value));
    }
    for (const epoch of [1, last]) draw(svg, "text", { class: "tick middle", x: x(epoch), y: HEIGHT - 8 }, String(epoch));
    lines.forEach(([column, rows], index) => {
      const points = rows.map((row) => `${x(row.epoch)},${y(row[column])}`).join(" ");
      draw(svg, "polyline", { class: `line line-${index}`, points });
      const end = rows.at(-1);
      draw(svg, "circle", { class: `dot line-${index}`, cx: x(end.epoch), cy: y(end[column]), r: 4 });
    });
  }

  function fillTable() {
    $("log").querySelector("summary").textContent = livePage.live.strings.log;
    const table = $("log").querySelector("table");
    table.replaceChildren();
    const columns = [...new Set(run.epochs.flatMap(Object.keys))];
    const head = add(table, "tr");
    columns.forEach((column) => add(head, "th", column, { scope: "col", lang: "en" }));
    [...run.epochs].reverse().forEach((row) => {
      const line = add(table, "tr");
      columns.forEach((column) => add(line, "td", column in row ? round(row[column]) : ""));
    });
  }

  // The card of a sample image from the best bundle so far; it replaces an older one.
  async function showMaps(section, name) {
    try {
      const query = new URLSearchParams({ image: name, page_language: livePage.live.language });
      const { card } = await (await request(`v1/run/maps?${query}`)).json();
      if (!section.isConnected) return;
      const [layers, heads] = card.data.shape;
      if (!shape) { shape = [layers, heads]; captionPage.configure(shape); }
      cards.set(name, captionPage.addCard(card, section.querySelector(".maps"), cards.get(name) || null));
      section.querySelector(".problem").hidden = true;
    } catch (error) {
      const problem = section.querySelector(".problem");
      problem.hidden = false;
      problem.textContent = error.message;
    }
  }

  function showSamples() {
    const latest = run.samples.at(-1);
    if (!latest) return;
    latest.images.forEach((image, index) => {
      let section = [...$("photos").children].find((other) => other.dataset.name === image.name);
      if (!section) {
        section = add($("photos"), "section", "", { class: "photo", "data-name": image.name });
        add(section, "div", "", { class: "maps" });
        add(section, "p", "", { class: "problem" }).hidden = true;
        add(section, "div", "", { class: "tools scroll" });
      }
      const tools = section.querySelector(".tools");
      tools.replaceChildren();
      add(tools, "p", `${image.name} (${image.reference})`, { class: "hint" });
      const table = add(tools, "table"), head = add(table, "tr");
      add(head, "th", livePage.live.strings.epoch, { scope: "col" });
      const temperatures = image.captions.map((caption) => caption.temperature);
      temperatures.forEach((value) => add(head, "th", fill(livePage.live.strings.at_temperature, { value }), { scope: "col" }));
      for (const sample of [...run.samples].reverse()) {
        const own = sample.images.find((other) => other.name === image.name);
        if (!own) continue;
        const line = add(table, "tr");
        add(line, "td", String(sample.epoch));
        own.captions.forEach((caption) => add(line, "td", caption.text + (caption.finished ? "" : " …")));
      }
      if (run.bundle && index < MAX_CARDS) showMaps(section, image.name);
    });
  }

  function show() {
    if (!$("font").getAttribute("href").endsWith(run.font)) $("font").setAttribute("href", `assets/run.css?${run.font}`);
    const done = run.epochs.length ? run.epochs.at(-1).epoch : 0;
    const strings = livePage.live.strings;
    say(done ? fill(strings.progress, { done, planned: run.planned }) : strings.not_started);
    $("curves").replaceChildren();
    PANELS.forEach(drawCurve);
    fillTable();
    showSamples();
  }

  async function follow() {
    for (;;) {
      if (!document.hidden || !run) {
        try {
          const latest = await (await request("v1/run")).text();
          if (latest !== text) { text = latest; run = JSON.parse(latest); show(); }
        } catch (error) { say(error.message, true); text = ""; }
      }
      await pause(SECONDS);
    }
  }

  livePage.onLanguage((strings) => {
    captionPage.configure(shape || [1, 1], strings);
    if (run) show();
  });
  follow();
})();
