"use strict";
(function () {
  const root = document.documentElement;
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));

  // Storage is refused to files in some browsers; the page works without it.
  const store = {
    get(key) { try { return localStorage.getItem(key); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(key, value); } catch { /* see above */ } },
  };

  const themes = ["auto", "light", "dark"];
  const button = document.getElementById("theme");
  function setTheme(name) {
    if (name === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", name);
    button.textContent = "Theme: " + name;
    button.dataset.now = name;
  }
  const asked = new URLSearchParams(location.search).get("theme") || store.get("scorecard-theme");
  setTheme(themes.includes(asked) ? asked : "auto");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.dataset.now) + 1) % themes.length];
    setTheme(next);
    store.set("scorecard-theme", next);
  });

  function textToCopy(id) {
    const source = document.getElementById(id);
    const facts = all("dt", source);
    if (!facts.length) return source.textContent;
    return facts.map((dt) => dt.textContent + ": " + dt.nextElementSibling.dataset.full).join("\n");
  }
  for (const copy of navigator.clipboard ? all("[data-copy]") : []) {
    const label = copy.textContent;
    copy.hidden = false;
    copy.addEventListener("click", async () => {
      let said = "Copied";
      try { await navigator.clipboard.writeText(textToCopy(copy.dataset.copy)); } catch { said = "Could not copy"; }
      copy.textContent = said;
      setTimeout(() => { copy.textContent = label; }, 1500);
    });
  }

  function reveal() {
    let id = location.hash.slice(1);
    try { id = decodeURIComponent(id); } catch { /* a stray percent sign: take it as it stands */ }
    const target = id && document.getElementById(id);
    if (!target) return;
    const article = target.closest("article");
    if (article && article.hidden) clear();
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    (article || target).scrollIntoView();
  }
  addEventListener("hashchange", reveal);

  const bar = document.getElementById("filters");
  const found = document.getElementById("found");
  const search = bar.querySelector("[data-search]");
  const selects = all("select", bar);
  const samples = all("article.sample");
  const texts = new Map();
  function textOf(sample) {
    if (!texts.has(sample)) texts.set(sample, sample.textContent.toLowerCase());
    return texts.get(sample);
  }
  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const sample of samples) {
      const fits = selects.every((s) => !s.value || sample.dataset[s.dataset.filter] === s.value) &&
        words.every((word) => textOf(sample).includes(word));
      sample.hidden = !fits;
      shown += fits;
    }
    for (const group of all(".group")) group.hidden = !group.querySelector("article:not([hidden])");
    found.textContent = shown + " of " + samples.length + " samples shown";
  }
  function clear() {
    selects.forEach((s) => { s.value = ""; });
    search.value = "";
    apply();
  }
  if (samples.length) {
    bar.hidden = false;
    bar.addEventListener("input", apply);
    for (const fold of all("[data-fold]", bar)) {
      fold.addEventListener("click", () => {
        for (const sample of samples) {
          if (!sample.hidden) sample.querySelector("details").open = fold.dataset.fold === "open";
        }
      });
    }
    apply();
  }
  reveal();
})();
