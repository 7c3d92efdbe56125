"use strict";
// What the live pages share: messages, requests with the token, and the language.
const livePage = (() => {
  const MAX_RETRIES = 8;
  const $ = (id) => document.getElementById(id);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const read = (page) => JSON.parse(page.getElementById("data").textContent);
  const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const listeners = [];
  let { live } = read(document);
  let token = sessionStorage.getItem("token") || "";

  function say(text, isError = false) {
    if ($("message").textContent !== text) $("message").textContent = text;
    $("message").classList.toggle("error", isError);
  }

  function askForToken() {
    const dialog = $("token");
    if (!dialog.open) dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  }

  // Why the server did not do what was asked, in the language of the page. The API itself answers in English.
  async function explain(response) {
    let error, code;
    try { ({ error, code } = await response.json()); } catch { /* the answer of something between here and the server */ }
    const { strings, language } = live;
    if (!error) return fill(strings.unexpected, { status: response.status });
    if (!strings.errors[code]) return error;
    const limit = (live.max_bytes / 2 ** 20).toFixed(0), pixels = live.max_pixels.toLocaleString(language);
    return fill(strings.errors[code], { error, limit, pixels });
  }

  // The response of the server; asks for the token, and tries again while the server is busy.
  async function request(path, options = {}) {
    for (let attempt = 0; ; attempt += 1) {
      let response;
      try {
        const headers = token ? { Authorization: `Bearer ${token}` } : {};
        response = await fetch(path, { ...options, headers });
      } catch (error) { throw new Error(live.strings.unreachable, { cause: error }); }
      if (response.ok) return response;
      if (response.status === 401) { await askForToken(); continue; }
      if (response.status !== 503 || attempt === MAX_RETRIES) throw new Error(await explain(response));
      say(live.strings.wait);
      await pause(Number(response.headers.get("Retry-After") || 1) * (1 + Math.random()));
    }
  }

  // Replaces the text of the page by that in another language; photographs and values stay.
  async function switchLanguage(language) {
    let page;
    try {
      page = new DOMParser().parseFromString(await (await fetch(`?language=${language}`)).text(), "text/html");
    } catch { say(live.strings.unreachable, true); return; }
    const bundle = $("bundle") && $("bundle").value;
    for (const part of document.querySelectorAll("[data-swap]")) part.replaceChildren(...page.getElementById(part.id).childNodes);
    document.documentElement.lang = page.documentElement.lang;
    document.title = page.title;
    history.replaceState(null, "", `?language=${language}`);
    if (bundle) $("bundle").value = bundle;
    const data = read(page);
    live = data.live;
    say("");
    $("language").focus();
    listeners.forEach((listener) => listener(data.strings));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.id === "language") switchLanguage(button.dataset.language);
  });
  document.addEventListener("submit", (event) => {
    if (event.target.parentElement.id !== "token") return;
    event.preventDefault();
    token = $("token-value").value.trim();
    sessionStorage.setItem("token", token);
    $("token-value").value = "";
    $("token").close();
  });

  const onLanguage = (listener) => listeners.push(listener);
  return { $, fill, say, request, pause, onLanguage, get live() { return live; } };
})();
