// Renews the parts of the page that are marked data-live, every second while somebody looks. The page works without it.
"use strict";
(() => {
  const lost = document.getElementById("lost");
  let seen = Date.now();

  // A part that someone types into, or selects text in, is left alone.
  function isBusy(part) {
    const active = document.activeElement;
    const selection = document.getSelection();
    const types = active && part.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
    return types || (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  }

  function renew(part, fresh) {
    if (part.innerHTML === fresh.innerHTML || isBusy(part)) return;
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const href = active && active.getAttribute("href");
    const open = new Map([...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]));
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    part.replaceChildren(...fresh.childNodes);
    part.toggleAttribute("data-done", fresh.hasAttribute("data-done"));
    open.forEach((is, id) => { const one = document.getElementById(id); if (one) one.open = is; });
    [...part.querySelectorAll(".scroll")].forEach((one, at) => { one.scrollLeft = scrolled[at] || 0; });
    if (href) { const again = [...part.querySelectorAll("a")].find((one) => one.getAttribute("href") === href); if (again) again.focus(); }
  }

  async function look() {
    if (document.hidden || document.querySelector("[data-done]")) return;
    const parts = [...document.querySelectorAll("[data-live]")];
    if (parts.length === 0) return;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.title = page.title;
      parts.forEach((part) => { const fresh = page.getElementById(part.id); if (fresh) renew(part, fresh); });
      seen = Date.now();
      lost.hidden = true;
    } catch (error) {
      const text = "This page is old: the daemon doesn’t answer.";
      if (Date.now() - seen > 4000) { if (lost.textContent !== text) lost.textContent = text; lost.hidden = false; }
    }
  }

  async function forever() {
    await look();
    setTimeout(forever, 1000);
  }
  setTimeout(forever, 1000);
})();
