"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const settings = Object.assign({}, data.settings);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const FADE = 180, STEP = 1100, SIDE = 336;
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const colors = bytes(data.colors);
  const $ = (id) => document.getElementById(id);
  const texts = data.texts;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // One map per token as numbers: of 8-bit cells, each map in steps of a 255th of its own top.
  function unpack(part, size) {
    const cells = bytes(part.cells);
    return part.tops.map((top, i) => Float32Array.from(cells.subarray(i * size, (i + 1) * size), (q) => (q / 255) * top));
  }

  function pooled(image, token) {
    const [layers, heads, tokens] = image.shape;
    // A slider's 0 is all of them, and its k the one with the number k - 1.
    const all = (position, count) => (position === 0 ? [...Array(count).keys()] : [position - 1]);
    if (settings.pool === "rollout") return image.rolled[((settings.layer || layers) - 1) * tokens + token];
    let chosen = [];
    for (const layer of all(settings.layer, layers)) for (const head of all(settings.head, heads)) chosen.push([layer, head]);
    if (settings.pool === "spread") chosen = [image.widest[settings.layer][settings.head]];
    const maps = chosen.map(([layer, head]) => image.maps[(layer * heads + head) * tokens + token]);
    if (settings.pool === "max") return maps[0].map((_, cell) => Math.max(...maps.map((map) => map[cell])));
    return maps[0].map((_, cell) => maps.reduce((sum, map) => sum + map[cell], 0) / maps.length);
  }

  function wordMap(image, word) {
    const maps = image.words[word].tokens.map((token) => pooled(image, token));
    return maps[0].map((_, cell) => maps.reduce((sum, map) => sum + map[cell], 0) / maps.length);
  }

  // Where most of a map lies, in words: the ninth of the picture with the largest share.
  function place(map, h, w) {
    const shares = new Float64Array(9);
    let total = 0;
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      // A cell on a border between ninths counts for each by the part of it that lies there.
      for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) {
        const down = Math.min((y + 1) / h, (r + 1) / 3) - Math.max(y / h, r / 3);
        const across = Math.min((x + 1) / w, (c + 1) / 3) - Math.max(x / w, c / 3);
        if (down > 0 && across > 0) shares[3 * r + c] += map[y * w + x] * down * h * across * w;
      }
      total += map[y * w + x];
    }
    const best = shares.indexOf(Math.max(...shares));
    return [texts.places[best], total ? shares[best] / total : 0];
  }

  const percent = (share) => `${share >= 0.1 ? Math.round(100 * share) : (100 * share).toFixed(1)}%`;

  class Card {
    constructor(element, image) {
      this.image = image;
      [, , , this.h, this.w] = image.shape;
      image.maps = unpack(image.scores, this.h * this.w);
      image.rolled = image.rollout && unpack(image.rollout, this.h * this.w);
      this.stage = element.querySelector(".stage");
      this.canvas = this.stage.querySelector("canvas");
      const photo = this.stage.querySelector("img");
      this.stage.style.setProperty("--ratio", photo.getAttribute("width") / photo.getAttribute("height"));
      this.factor = Math.max(1, Math.ceil(SIDE / Math.max(this.h, this.w)));
      this.canvas.width = this.w * this.factor;
      this.canvas.height = this.h * this.factor;
      this.bar = element.querySelector(".bar");
      this.top = element.querySelector(".top");
      this.status = element.querySelector(".status");
      this.play = element.querySelector(".play");
      this.name = element.querySelector("h2").textContent;
      this.words = [...element.querySelectorAll(".word")];
      this.shares = new Float32Array(this.h * this.w);
      this.shown = this.pinned = this.timer = this.frame = null;
      this.listen(element);
      this.refresh();
    }

    listen(element) {
      this.words.forEach((button, word) => {
        button.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") this.show(word); });
        button.addEventListener("focus", () => { this.rove(word); this.show(word); });
        button.addEventListener("blur", () => this.rest());
        button.addEventListener("click", () => { this.stop(); this.pin(this.pinned === word ? null : word); });
      });
      element.querySelector(".words").addEventListener("pointerleave", () => this.rest());
      this.play.addEventListener("click", () => (this.timer === null ? this.start() : this.stop()));
    }

    rove(word) { this.words.forEach((button, i) => { button.tabIndex = i === word ? 0 : -1; }); }

    pin(word) {
      this.pinned = word;
      this.words.forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
      this.show(word);
    }

    // What stays when the pointer or the focus has gone: the word that plays or is kept, or the one in focus.
    rest() {
      if (this.timer !== null) return;
      const focused = this.words.indexOf(document.activeElement);
      this.show(this.pinned !== null ? this.pinned : focused >= 0 ? focused : null);
    }

    // What the button does next, to be seen and to be heard.
    offer(sign, action) {
      this.play.textContent = `${sign} ${texts[action]}`;
      this.play.setAttribute("aria-label", fill(texts[`${action}_of`], { name: this.name }));
    }

    start() {
      this.pin(null);
      let word = 0;
      this.status.setAttribute("aria-live", "off");
      this.offer("\u275a\u275a", "pause");
      const next = () => {
        if (word === this.words.length) { this.stop(); return; }
        this.show(word++);
        this.timer = setTimeout(next, STEP);
      };
      next();
    }

    stop() {
      if (this.timer === null) return;
      clearTimeout(this.timer);
      this.timer = null;
      this.offer("\u25b6", "play");
      this.status.setAttribute("aria-live", "polite");
      this.rest();
    }

    show(word) {
      this.shown = word;
      this.words.forEach((button, i) => button.classList.toggle("shown", i === word));
      this.stage.classList.toggle("active", word !== null);
      this.describe();
      this.fade(word === null ? new Float32Array(this.h * this.w) : this.sharesOf(word));
    }

    sharesOf(word) {
      const top = settings.scale === "common" ? this.highest : Math.max(...this.maps[word]);
      return this.maps[word].map((value) => (top > 0 ? value / top : 0));
    }

    describe() {
      this.status.replaceChildren();
      if (this.shown === null) return;
      const word = this.image.words[this.shown], map = this.maps[this.shown];
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = word.text;
      const language = this.words[this.shown].querySelector(".text").getAttribute("lang");
      if (language) text.setAttribute("lang", language);
      const [name, share] = place(map, this.h, this.w);
      const unknown = word.unknown ? texts.status_unknown : "";
      const values = { sure: percent(word.probability), unknown, place: name, share: percent(share) };
      this.status.append(text, fill(texts.status, values));
    }

    // New settings: all maps anew, and what is shown at once.
    refresh() {
      this.maps = this.image.words.map((_, word) => wordMap(this.image, word));
      this.highest = Math.max(...this.maps.map((map) => Math.max(...map)));
      const even = percent(1 / (this.h * this.w)), size = { height: this.h, width: this.w };
      this.top.textContent = fill(texts[`brightest_${settings.scale}`], { most: percent(this.highest), even, ...size });
      this.drawBar();
      this.describe();
      if (this.shown !== null) { cancelAnimationFrame(this.frame); this.draw(this.sharesOf(this.shown)); }
    }

    fade(target) {
      cancelAnimationFrame(this.frame);
      if (still.matches) { this.draw(target); return; }
      const from = this.shares.slice(), begin = performance.now();
      const step = (now) => {
        const part = Math.min(1, Math.max(0, (now - begin) / FADE));
        this.draw(from.map((value, i) => value + (target[i] - value) * part));
        if (part < 1) this.frame = requestAnimationFrame(step);
      };
      this.frame = requestAnimationFrame(step);
    }

    // Bilinear between the centers of the cells; color and opacity grow with the share, as in the figures.
    draw(shares) {
      this.shares = shares;
      const { w, h, factor } = this, width = w * factor, height = h * factor;
      const context = this.canvas.getContext("2d");
      const picture = context.createImageData(width, height);
      const at = (i, n) => {
        const center = Math.min(n - 1, Math.max(0, (i + 0.5) / factor - 0.5)), low = Math.floor(center);
        return [low, Math.min(n - 1, low + 1), center - low];
      };
      const across = Array.from({ length: width }, (_, x) => at(x, w));
      for (let y = 0, place = 0; y < height; y++) {
        const [up, down, v] = at(y, h);
        for (let x = 0; x < width; x++, place += 4) {
          const [left, right, u] = across[x];
          const above = shares[up * w + left] * (1 - u) + shares[up * w + right] * u;
          const below = shares[down * w + left] * (1 - u) + shares[down * w + right] * u;
          this.paint(picture.data, place, above * (1 - v) + below * v);
        }
      }
      context.putImageData(picture, 0, 0);
    }

    paint(pixels, place, share) {
      const color = 3 * Math.min(255, Math.max(0, Math.round(255 * share)));
      pixels[place] = colors[color];
      pixels[place + 1] = colors[color + 1];
      pixels[place + 2] = colors[color + 2];
      pixels[place + 3] = Math.round(2.55 * settings.opacity * Math.sqrt(Math.min(1, Math.max(0, share))));
    }

    drawBar() {
      const context = this.bar.getContext("2d"), picture = context.createImageData(256, 1);
      for (let x = 0; x < 256; x++) this.paint(picture.data, 4 * x, x / 255);
      context.putImageData(picture, 0, 0);
    }
  }

  const cards = [...document.querySelectorAll(".card")].map((element, i) => new Card(element, data.images[i]));

  function settle() {
    const rolls = settings.pool === "rollout";
    $("head").disabled = rolls;
    $("pool").disabled = settings.layer > 0 && settings.head > 0 && !rolls;
    const layer = settings.layer, head = rolls ? 0 : settings.head; // rollout takes the mean of all heads
    $("head").value = head;
    const chosen = {
      opacity: `${settings.opacity}%`,
      layer: layer ? fill(rolls ? texts.up_to_layer : texts.one_layer, { number: layer - 1 }) : texts.all_layers,
      head: head ? fill(texts.one_head, { number: head - 1 }) : texts.all_heads,
    };
    for (const [name, text] of Object.entries(chosen)) {
      $(`${name}-value`).textContent = text;
      $(name).setAttribute("aria-valuetext", text);
    }
  }

  for (const name of ["opacity", "scale", "layer", "head", "pool"]) {
    $(name).value = settings[name];
    $(name).addEventListener("input", (event) => {
      settings[name] = event.target.type === "range" ? Number(event.target.value) : event.target.value;
      settle();
      cards.forEach((card) => card.refresh());
    });
  }
  settle();

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = document.activeElement;
    const mine = cards.find((card) => card.words.includes(target));
    if (!mine) {
      const loose = target === document.body || target === document.documentElement || target === null;
      if (loose && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
        const visible = cards.find((card) => card.stage.getBoundingClientRect().bottom > 80) || cards[0];
        visible.words[0].focus();
        event.preventDefault();
      }
      return;
    }
    const word = mine.words.indexOf(target), card = cards.indexOf(mine), last = mine.words.length - 1;
    const other = { ArrowUp: cards[card - 1], ArrowDown: cards[card + 1] }[event.key];
    const next = { ArrowRight: Math.min(last, word + 1), ArrowLeft: Math.max(0, word - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") { mine.stop(); mine.pin(null); return; }
    if (other) {
      other.words[0].focus();
      other.stage.scrollIntoView({ block: "nearest" }); // the browser brings the word into view, not its photograph
    }
    else if (next !== undefined) { mine.stop(); mine.words[next].focus(); }
    else return;
    event.preventDefault();
  });
})();
