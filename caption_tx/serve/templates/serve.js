"use strict";
// The live page: sends photographs to the API and shows its cards with `captionPage` of page.js.
(() => {
  const MAX_REQUESTS = 4;
  const { $, fill, say } = livePage;
  const photos = [];

  // At most MAX_REQUESTS at a time; the others wait for their turn.
  let active = 0;
  const turns = [];
  async function withTurn(work) {
    if (active >= MAX_REQUESTS) await new Promise((resolve) => turns.push(resolve));
    active += 1;
    try { return await work(); } finally { active -= 1; (turns.shift() || (() => {}))(); }
  }

  const send = (form) => livePage.request("v1/explanations", { method: "POST", body: form });

  class Photo {
    constructor(file) {
      this.file = file;
      this.options = {};
      this.number = 0;
      this.card = null;
      this.element = document.createElement("section");
      this.element.className = "photo";
      $("photos").append(this.element);
      this.request({});
    }

    form(options, format) {
      const form = new FormData();
      form.append("image", this.file, this.file.name || "photo.jpg");
      const values = { bundle: $("bundle").value, page_language: livePage.live.language, format, ...options };
      for (const [name, value] of Object.entries(values)) form.append(name, value);
      return form;
    }

    // Explains a caption: the best one, another, a sampled or a typed one. Only the latest request counts.
    async request(options) {
      const number = (this.number += 1);
      this.element.setAttribute("aria-busy", "true");
      if (!this.card) this.showText("waiting", fill(livePage.live.strings.working, { name: this.file.name }));
      try {
        if (this.file.size > livePage.live.max_bytes) throw new Error(this.tooLarge());
        const response = await withTurn(() => send(this.form(options, "card")));
        const [image] = (await response.json()).images;
        if (number === this.number) this.show(image, options);
      } catch (error) {
        if (number === this.number) this.fail(error);
      } finally {
        if (number === this.number) this.element.removeAttribute("aria-busy");
      }
    }

    tooLarge() {
      const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
      return fill(livePage.live.strings.too_large, { size: megabytes(this.file.size), limit: megabytes(livePage.live.max_bytes) });
    }

    showText(name, text) {
      const note = document.createElement("p");
      note.className = name;
      note.textContent = text;
      this.element.replaceChildren(note);
    }

    fail(error) {
      const { name } = this.file, { message } = error;
      const text = message.startsWith(name) ? message : fill(livePage.live.strings.failed, { name, error: message });
      if (!this.card) this.showText("problem", text);
      say(text, true);
    }

    show(image, options) {
      const first = !this.card;
      if (first) this.element.replaceChildren();
      const { rank, ...search } = options;
      this.card = captionPage.addCard(image.card, this.element, this.card);
      if (first) this.addTools();
      this.showNotes(image.notes || []);
      this.options = options;
      if (rank === undefined && options.caption === undefined) {
        this.search = search;
        this.showCaptions(image.captions);
      }
      this.markCaption(options.caption === undefined ? rank || 0 : null);
      const caption = options.caption === undefined ? image.captions[rank || 0].text : options.caption;
      say(fill(livePage.live.strings.done, { name: this.file.name, caption }));
    }

    // What the model did not see as an image viewer shows it, such as further pages.
    showNotes(notes) {
      this.element.querySelectorAll(".note").forEach((note) => note.remove());
      for (const { code, note } of notes) {
        const line = document.createElement("p");
        line.className = "note";
        line.textContent = livePage.live.strings.notes[code] || note;
        this.tools.before(line);
      }
    }

    addTools() {
      const tools = $("tools").content.cloneNode(true).querySelector(".tools");
      tools.querySelector("summary").setAttribute("aria-label", fill(livePage.live.strings.tools_of, { name: this.file.name }));
      tools.querySelector(".remove").setAttribute("aria-label", fill(livePage.live.strings.remove_of, { name: this.file.name }));
      const typed = tools.querySelector(".typed input");
      typed.setAttribute("aria-label", fill(livePage.live.strings.typed_label, { name: this.file.name }));
      if (this.options.caption) typed.value = this.options.caption;
      this.element.append(tools);
      this.tools = tools;
      tools.querySelector(".sample").addEventListener("submit", (event) => { event.preventDefault(); this.sample(event.target); });
      tools.querySelector(".typed").addEventListener("submit", (event) => {
        event.preventDefault();
        this.request({ caption: typed.value });
      });
      tools.querySelectorAll("[data-format]").forEach((button) => {
        button.addEventListener("click", () => this.download(button.dataset.format));
      });
      tools.querySelector(".remove").addEventListener("click", () => this.remove());
    }

    sample(form) {
      const temperature = Number(form.temperature.value), seed = Number(form.seed.value);
      if (temperature === 0) { this.request({}); return; }
      this.request({ temperature, seed, samples: livePage.live.samples, n_best: livePage.live.samples });
      form.seed.value = (seed + 1) % 2 ** 31;
    }

    showCaptions(captions) {
      this.tools.querySelector(".captions").replaceChildren(...captions.map((caption, rank) => {
        const button = document.createElement("button"), text = document.createElement("span"), share = document.createElement("span");
        button.type = "button";
        text.textContent = caption.text + (caption.finished ? "" : ` (${livePage.live.strings.unfinished})`);
        share.className = "share";
        const percent = 100 * Math.exp(caption.log_probability);
        share.textContent = fill(livePage.live.strings.probability, { share: percent >= 10 ? percent.toFixed(0) : percent.toPrecision(2) });
        button.append(text, share);
        button.addEventListener("click", () => this.request({ ...this.search, rank }));
        const item = document.createElement("li");
        item.append(button);
        return item;
      }));
    }

    markCaption(rank) {
      this.tools.querySelectorAll(".captions button").forEach((button, index) => {
        button.setAttribute("aria-pressed", String(index === rank));
      });
    }

    async download(format) {
      const { layer, head, pool, opacity, scale } = captionPage.settings;
      const shown = { pool, alpha: Math.max(0.01, opacity / 100), scale_per_word: scale === "own" };
      if (layer) shown.layer = layer - 1;
      if (head && pool !== "rollout") shown.head = head - 1;
      try {
        const response = await withTurn(() => send(this.form({ ...this.options, ...shown }, format)));
        const link = document.createElement("a");
        link.href = URL.createObjectURL(await response.blob());
        link.download = `${this.file.name.replace(/\.\w+$/, "")}.${{ page: "html", png: "png", json: "json" }[format]}`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      } catch (error) { this.fail(error); }
    }

    // Asks again after the model or the language changed.
    restart(options) {
      const open = this.tools && this.tools.open;
      if (this.card) captionPage.removeCard(this.card);
      this.card = this.tools = null;
      this.element.replaceChildren();
      this.options = options;
      const { rank, caption } = options;
      // Another caption than the best one follows once the list of captions is there again.
      const first = caption === undefined ? this.without(options, "rank") : this.search || {};
      this.request(first).then(() => {
        if (this.tools) this.tools.open = open;
        if (rank !== undefined || caption !== undefined) this.request(options);
      });
    }

    without(options, name) { const { [name]: _, ...rest } = options; return rest; }

    remove() {
      this.number += 1;
      if (this.card) captionPage.removeCard(this.card);
      this.element.remove();
      photos.splice(photos.indexOf(this), 1);
      $("files").focus();
    }
  }

  const add = (files) => [...files].forEach((file) => photos.push(new Photo(file)));

  async function addExample(name) {
    try {
      const response = await fetch(`examples/${name}`);
      add([new File([await response.blob()], name, { type: "image/png" })]);
    } catch { say(livePage.live.strings.unreachable, true); }
  }

  function configure(strings) {
    const [option] = $("bundle").selectedOptions;
    captionPage.configure(option ? [Number(option.dataset.layers), Number(option.dataset.heads)] : [1, 1], strings);
  }

  livePage.onLanguage((strings) => {
    configure(strings);
    photos.forEach((photo) => photo.restart(photo.options));
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "files") { add(event.target.files); event.target.value = ""; }
    if (event.target.id === "bundle") { configure(); photos.forEach((photo) => { photo.search = {}; photo.restart({}); }); }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.dataset.example) addExample(button.dataset.example);
  });
  document.addEventListener("paste", (event) => add(event.clipboardData.files));
  for (const [name, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      $("drop").classList.toggle("over", isOver);
      if (name === "drop") add(event.dataTransfer.files);
    });
  }
  configure();
})();
