"use strict";
// The script of the page: one `Card` per image. Its data comes from `render.page_data` and `cards.card_data`.
// A live page adds cards from `render.card_document` with `addCard`.
const captionPage = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const settings = Object.assign({}, data.settings);
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const CONTROLS = ["opacity", "scale", "layer", "head", "pool"];
  const FADE_MS = 180, WORD_MS = 1100, HEATMAP_SIDE = 336, PEAK_POINTS = 7, FUNCTION_STRENGTH = 0.4;
  const decodeBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const colors = decodeBase64(data.colors);
  const $ = (id) => document.getElementById(id);
  let strings = data.strings;
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // Quantized maps (see `cards.quantize_maps`) -> one Float32Array per map.
  function dequantize(quantized, size) {
    const cells = decodeBase64(quantized.cells);
    return quantized.maxima.map((maximum, i) =>
      Float32Array.from(cells.subarray(i * size, (i + 1) * size), (cell) => (cell / 255) ** 2 * maximum));
  }

  // The map of one token with the layer, head and pooling of the settings, as `pooling.MapSelection.pooled`.
  function pooled(image, token) {
    const [layers, heads, tokens] = image.shape;
    // Slider value 0 selects all, value k the index k - 1.
    const indices = (value, count) => (value === 0 ? [...Array(count).keys()] : [value - 1]);
    const pool = image.pool || settings.pool; // an image that is compared has its own
    if (pool === "rollout") return image.rolloutMaps[((settings.layer || layers) - 1) * tokens + token];
    let selected = [];
    for (const layer of indices(settings.layer, layers)) {
      for (const head of indices(settings.head, heads)) selected.push([layer, head]);
    }
    if (pool === "spread") selected = [image.most_divergent[settings.layer][settings.head]];
    const maps = selected.map(([layer, head]) => image.maps[(layer * heads + head) * tokens + token]);
    if (pool === "max") return maps[0].map((_, cell) => Math.max(...maps.map((map) => map[cell])));
    const mean = maps[0].map((_, cell) => maps.reduce((sum, map) => sum + map[cell], 0) / maps.length);
    if (isPooledBy("sharp", image)) return sharpened(mean);
    if (!isPooledBy("posterior", image)) return mean;
    return scaled(sharpened(mean).map((value, cell) => value * image.cellMaps[token][cell]));
  }

  // Whether the maps of an image have this pooling; those of one head of one layer have none.
  const isPooledBy = (pool, image) => (image.pool || settings.pool) === pool && !(settings.layer && settings.head);

  // A map squared and scaled, as `pooling._sharpened_mean_maps`.
  function sharpened(map) {
    const highest = Math.max(...map) || 1;
    return scaled(map.map((value) => (value / highest) ** 2));
  }

  // A map scaled to sum to 1, or all 0.
  function scaled(map) {
    const total = map.reduce((sum, value) => sum + value, 0) || 1;
    return map.map((value) => value / total);
  }

  function wordMap(image, word) {
    const maps = image.words[word].tokens.map((token) => pooled(image, token));
    return maps[0].map((_, cell) => maps.reduce((sum, map) => sum + map[cell], 0) / maps.length);
  }

  // The ninth of the image with the largest share of a map: its name and that share.
  function strongestRegion(map, h, w) {
    const shares = new Float64Array(9);
    let total = 0;
    for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
      // A cell on a border between ninths counts in proportion to its area in each.
      for (let r = 0; r < 3; r++) for (let c = 0; c < 3; c++) {
        const down = Math.min((y + 1) / h, (r + 1) / 3) - Math.max(y / h, r / 3);
        const across = Math.min((x + 1) / w, (c + 1) / 3) - Math.max(x / w, c / 3);
        if (down > 0 && across > 0) shares[3 * r + c] += map[y * w + x] * down * h * across * w;
      }
      total += map[y * w + x];
    }
    const best = shares.indexOf(Math.max(...shares));
    return [strings.regions[best], total ? shares[best] / total : 0];
  }

  // For each pixel of an axis with n cells: the first of the cells that reach it, and their weights (`spline.py`).
  function splineWeights(n, factor) {
    return Array.from({ length: n * factor }, (_, pixel) => {
      if (n === 1) return [0, [1]];
      const center = (pixel + 0.5) / factor - 0.5, first = Math.max(0, Math.ceil(center - 2));
      const weights = [];
      for (let cell = first; cell < Math.min(n, center + 2); cell++) {
        const d = Math.abs(center - cell);
        weights.push(d < 1 ? 2 / 3 - d * d + d ** 3 / 2 : (2 - d) ** 3 / 6);
      }
      return [first, weights];
    });
  }

  // The heatmap of a map, `factor` pixels per cell in each direction, row by row (`spline.py`).
  function spread(map, h, w, factor) {
    const roots = Array.from(map, (value) => Math.sqrt(Math.sqrt(value))), width = w * factor;
    const lines = new Float64Array(h * width), heat = new Float64Array(h * factor * width);
    splineWeights(w, factor).forEach(([first, weights], x) => {
      for (let y = 0; y < h; y++) weights.forEach((weight, i) => { lines[y * width + x] += weight * roots[y * w + first + i]; });
    });
    splineWeights(h, factor).forEach(([first, weights], y) => {
      weights.forEach((weight, i) => {
        const from = (first + i) * width, to = y * width;
        for (let x = 0; x < width; x++) heat[to + x] += weight * lines[from + x];
      });
    });
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    heat.forEach((value, i) => { heat[i] = value ** 4; });
    const drawn = sum(heat), scale = drawn ? sum(map) * factor ** 2 / drawn : 0;
    return heat.map((value) => value * scale);
  }

  const highestPoint = (map, h, w) => spread(map, h, w, PEAK_POINTS).reduce((high, value) => Math.max(high, value), 0);

  const percent = (share) => `${share >= 0.1 ? Math.round(100 * share) : (100 * share).toFixed(1)}%`;

  class Card {
    constructor(element, image) {
      this.element = element;
      this.image = image;
      [, , , this.h, this.w] = image.shape;
      image.maps = dequantize(image.scores, this.h * this.w);
      image.rolloutMaps = image.rollout && dequantize(image.rollout, this.h * this.w);
      image.cellMaps = image.cells && dequantize(image.cells, this.h * this.w);
      this.stage = element.querySelector(".stage");
      this.canvas = this.stage.querySelector("canvas");
      const photo = this.stage.querySelector("img");
      this.stage.style.setProperty("--ratio", photo.getAttribute("width") / photo.getAttribute("height"));
      this.factor = Math.max(1, Math.ceil(HEATMAP_SIDE / Math.max(this.h, this.w)));
      this.canvas.width = this.w * this.factor;
      this.canvas.height = this.h * this.factor;
      this.bar = element.querySelector(".bar");
      this.maximum = element.querySelector(".maximum");
      this.status = element.querySelector(".status");
      this.play = element.querySelector(".play");
      this.name = element.querySelector("h2").textContent;
      this.words = [...element.querySelectorAll(".word")];
      this.shares = new Float32Array(this.h * this.w);
      this.strength = 1;
      this.shown = this.pinned = this.timer = this.frame = null;
      this.listen(element);
      this.refresh();
    }

    listen(element) {
      this.words.forEach((button, word) => {
        button.addEventListener("pointerenter", (event) => { if (event.pointerType !== "touch") this.show(word); });
        button.addEventListener("focus", () => { this.setTabStop(word); this.show(word); });
        button.addEventListener("blur", () => this.restore());
        button.addEventListener("click", () => { this.stop(); this.pin(this.pinned === word ? null : word); });
      });
      element.querySelector(".words").addEventListener("pointerleave", () => this.restore());
      this.play.addEventListener("click", () => (this.timer === null ? this.start() : this.stop()));
    }

    setTabStop(word) { this.words.forEach((button, i) => { button.tabIndex = i === word ? 0 : -1; }); }

    pin(word) {
      this.pinned = word;
      this.words.forEach((button, i) => button.setAttribute("aria-pressed", String(i === word)));
      this.show(word);
    }

    // Shows the pinned or focused word again when the pointer or focus leaves; a running animation continues.
    restore() {
      if (this.timer !== null) return;
      const focused = this.words.indexOf(document.activeElement);
      this.show(this.pinned !== null ? this.pinned : focused >= 0 ? focused : null);
    }

    // Labels the play button for sighted users and screen readers.
    labelPlay(icon, action) {
      this.play.textContent = `${icon} ${strings[action]}`;
      this.play.setAttribute("aria-label", fill(strings[`${action}_of`], { name: this.name }));
    }

    start() {
      this.pin(null);
      let word = 0;
      this.status.setAttribute("aria-live", "off");
      this.labelPlay("\u275a\u275a", "pause");
      const next = () => {
        if (word === this.words.length) { this.stop(); return; }
        this.show(word++);
        this.timer = setTimeout(next, WORD_MS);
      };
      next();
    }

    stop() {
      if (this.timer === null) return;
      clearTimeout(this.timer);
      this.timer = null;
      this.labelPlay("\u25b6", "play");
      this.status.setAttribute("aria-live", "polite");
      this.restore();
    }

    show(word) {
      this.shown = word;
      this.words.forEach((button, i) => button.classList.toggle("shown", i === word));
      this.stage.classList.toggle("active", word !== null);
      this.strength = word !== null && this.image.words[word].function ? FUNCTION_STRENGTH : 1;
      this.updateStatus();
      this.fade(word === null ? new Float32Array(this.h * this.w) : this.sharesOf(word));
    }

    sharesOf(word) {
      const maximum = settings.scale === "common" ? this.highest : highestPoint(this.maps[word], this.h, this.w);
      return this.maps[word].map((value) => (maximum > 0 ? value / maximum : 0));
    }

    updateStatus() {
      this.status.replaceChildren();
      if (this.shown === null) return;
      const word = this.image.words[this.shown], map = this.maps[this.shown];
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = word.text;
      const language = this.words[this.shown].querySelector(".text").getAttribute("lang");
      if (language) text.setAttribute("lang", language);
      const [region, share] = strongestRegion(map, this.h, this.w);
      const unknown = word.unknown ? strings.status_unknown : "";
      const values = { confidence: percent(word.probability), unknown, region, share: percent(share) };
      this.status.append(text, fill(strings.status, values));
      if (word.function) this.status.append(strings.status_function);
    }

    // Recomputes all maps after a change of settings and redraws the shown word without fading.
    refresh() {
      this.maps = this.image.words.map((_, word) => wordMap(this.image, word));
      this.highest = Math.max(...this.maps.map((map) => highestPoint(map, this.h, this.w)));
      const uniform = percent(1 / (this.h * this.w)), size = { height: this.h, width: this.w };
      const values = { maximum: percent(this.highest), uniform, ...size };
      const pool = ["sharp", "posterior"].find((name) => isPooledBy(name, this.image));
      this.maximum.textContent = fill(strings[`maximum_${settings.scale}`], values) + (pool ? strings[pool] : "");
      this.drawBar();
      this.updateStatus();
      if (this.shown !== null) { cancelAnimationFrame(this.frame); this.draw(this.sharesOf(this.shown)); }
    }

    fade(target) {
      cancelAnimationFrame(this.frame);
      if (reducedMotion.matches) { this.draw(target); return; }
      const from = this.shares.slice(), start = performance.now();
      const step = (now) => {
        const progress = Math.min(1, Math.max(0, (now - start) / FADE_MS));
        this.draw(from.map((value, i) => value + (target[i] - value) * progress));
        if (progress < 1) this.frame = requestAnimationFrame(step);
      };
      this.frame = requestAnimationFrame(step);
    }

    // Draws the heatmap as `spline.spread`, with colors and opacity as in `overlay.heatmap_rgba`.
    draw(shares) {
      this.shares = shares;
      const context = this.canvas.getContext("2d");
      const pixels = context.createImageData(this.canvas.width, this.canvas.height);
      spread(shares, this.h, this.w, this.factor).forEach((share, i) => this.paint(pixels.data, 4 * i, share));
      context.putImageData(pixels, 0, 0);
    }

    // One pixel of the overlay; the browser blends the canvas with the photograph below it.
    paint(pixels, offset, share) {
      const color = 3 * Math.min(255, Math.max(0, Math.round(255 * share)));
      pixels[offset] = colors[color];
      pixels[offset + 1] = colors[color + 1];
      pixels[offset + 2] = colors[color + 2];
      pixels[offset + 3] = Math.round(2.55 * settings.opacity * this.strength * Math.sqrt(Math.min(1, Math.max(0, share))));
    }

    drawBar() {
      const strength = this.strength;
      this.strength = 1;
      const context = this.bar.getContext("2d"), pixels = context.createImageData(256, 1);
      for (let x = 0; x < 256; x++) this.paint(pixels.data, 4 * x, x / 255);
      context.putImageData(pixels, 0, 0);
      this.strength = strength;
    }
  }

  let cards = [...document.querySelectorAll(".card")].map((element, i) => new Card(element, data.images[i]));

  // Disables controls that have no effect, and updates the text beside each slider.
  function updateControls() {
    const isRollout = settings.pool === "rollout";
    $("head").disabled = isRollout;
    $("pool").disabled = cards.some((card) => card.image.pool) || settings.layer > 0 && settings.head > 0 && !isRollout;
    const layer = settings.layer, head = isRollout ? 0 : settings.head; // rollout uses the mean of all heads
    $("head").value = head;
    const labels = {
      opacity: `${settings.opacity}%`,
      layer: layer ? fill(isRollout ? strings.up_to_layer : strings.one_layer, { index: layer - 1 }) : strings.all_layers,
      head: head ? fill(strings.one_head, { index: head - 1 }) : strings.all_heads,
    };
    for (const [name, text] of Object.entries(labels)) {
      $(`${name}-value`).textContent = text;
      $(name).setAttribute("aria-valuetext", text);
    }
  }

  // Shows the settings in the controls, which a live page replaces when the language changes.
  function fillControls() {
    for (const name of CONTROLS) $(name).value = settings[name];
    updateControls();
  }

  document.addEventListener("input", (event) => {
    const name = event.target.id;
    if (!CONTROLS.includes(name)) return;
    settings[name] = event.target.type === "range" ? Number(event.target.value) : event.target.value;
    updateControls();
    cards.forEach((card) => card.refresh());
  });
  fillControls();

  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const focused = document.activeElement;
    const card = cards.find((other) => other.words.includes(focused));
    if (!card) {
      const nothingFocused = focused === document.body || focused === document.documentElement || focused === null;
      if (nothingFocused && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
        const visible = cards.find((other) => other.stage.getBoundingClientRect().bottom > 80) || cards[0];
        if (!visible) return;
        visible.words[0].focus();
        event.preventDefault();
      }
      return;
    }
    const word = card.words.indexOf(focused), row = cards.indexOf(card), last = card.words.length - 1;
    const nextCard = { ArrowUp: cards[row - 1], ArrowDown: cards[row + 1] }[event.key];
    const nextWord = { ArrowRight: Math.min(last, word + 1), ArrowLeft: Math.max(0, word - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") { card.stop(); card.pin(null); return; }
    if (nextCard) {
      nextCard.words[0].focus();
      nextCard.stage.scrollIntoView({ block: "nearest" }); // focus() only scrolls the word into view
    } else if (nextWord !== undefined) {
      card.stop();
      card.words[nextWord].focus();
    } else return;
    event.preventDefault();
  });

  // Adds a card to an element, in place of the element `old` if there is one; returns its element.
  function addCard(json, parent, old = null) {
    const holder = document.createElement("template");
    holder.innerHTML = json.html; // escaped by the server
    const element = holder.content.querySelector(".card");
    if (old) { removeCard(old, element); } else parent.append(element);
    const card = new Card(element, json.data);
    const follows = (other) => element.compareDocumentPosition(other.element) & Node.DOCUMENT_POSITION_FOLLOWING;
    const index = cards.findIndex(follows);
    cards.splice(index < 0 ? cards.length : index, 0, card);
    updateControls();
    return element;
  }

  // Removes the card of an element from the page, or replaces it.
  function removeCard(element, replacement = null) {
    const card = cards.find((other) => other.element === element);
    if (card) card.stop();
    cards = cards.filter((other) => other !== card);
    if (replacement) element.replaceWith(replacement); else element.remove();
  }

  // Sets the number of layers and heads that can be chosen, and the strings of the language.
  function configure(shape, newStrings) {
    [["layer", shape[0]], ["head", shape[1]]].forEach(([name, count]) => {
      $(name).max = count;
      settings[name] = Math.min(settings[name], count);
    });
    strings = newStrings || strings;
    fillControls();
  }

  return { addCard, removeCard, configure, settings };
})();
