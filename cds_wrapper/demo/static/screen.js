// Saves reloading, nothing more: without this script every button still works.
"use strict";
(() => {
  const filter = () => {
    const box = document.getElementById("query");
    const words = box.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const line of document.querySelectorAll("#patients li[data-search]")) {
      line.hidden = !words.every((word) => line.dataset.search.includes(word));
      shown += line.hidden ? 0 : 1;
    }
    const others = document.querySelector("#patients .others");
    if (others && words.length) others.open = true;
    const nobody = document.querySelector("#patients .nobody");
    if (nobody) nobody.hidden = shown > 0 || words.length === 0;
  };

  const announce = (text) => {
    document.getElementById("announce").textContent = text;
  };

  const show = (html, fields) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const scrolled = document.getElementById("patients").scrollTop;
    const typed = document.getElementById("query").value;
    document.getElementById("screen").replaceWith(document.adoptNode(page.getElementById("screen")));
    document.body.className = page.body.className;
    document.getElementById("patients").scrollTop = scrolled;
    document.getElementById("query").value = typed;
    filter();
    const card = document.querySelector(".card h3");
    const name = document.getElementById("banner-name");
    if (fields.has("fault")) {
      document.querySelector('.rehearse .faults [aria-pressed="true"]').focus({ preventScroll: true });
    } else if (name) {
      name.focus({ preventScroll: true });
      document.getElementById("chart").scrollTop = 0;
      document.getElementById("record").scrollTop = 0;
      window.scrollTo(0, 0);
    }
    announce(card ? card.textContent : "No card.");
  };

  const send = async (form, button) => {
    const fields = new URLSearchParams(new FormData(form));
    if (button && button.name) fields.set(button.name, button.value);
    const screen = document.getElementById("screen");
    screen.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/", { method: "POST", body: fields });
      show(await answer.text(), fields);
    } catch {
      screen.removeAttribute("aria-busy");
      announce("The demonstration does not answer. Is it still running?");
      document.body.classList.add("lost");
    }
  };

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target.getAttribute("role") === "search") return filter();
    send(event.target, event.submitter);
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "query") filter();
  });
})();
