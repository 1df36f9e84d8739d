// The button [data-theme-toggle] goes round auto, light, dark. Pages are opened from disk, where a browser may
// refuse localStorage: then the choice lasts as long as the page.
(() => {
  "use strict";
  const KEY = "fourview-theme";
  const ROUND = ["auto", "light", "dark"];

  function remembered() {
    try {
      const found = localStorage.getItem(KEY);
      return ROUND.includes(found) ? found : "auto";
    } catch {
      return "auto";
    }
  }

  function remember(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // a page without storage
    }
  }

  function show(theme) {
    if (theme === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", theme);
    for (const button of document.querySelectorAll("[data-theme-toggle]")) {
      button.textContent = { auto: "◐ Auto", light: "○ Light", dark: "● Dark" }[theme];
      button.setAttribute("aria-label", `Colours: ${theme}. Press for ${next(theme)}`);
    }
  }

  function next(theme) {
    return ROUND[(ROUND.indexOf(theme) + 1) % ROUND.length];
  }

  let theme = remembered();
  show(theme);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    theme = next(theme);
    remember(theme);
    show(theme);
  });
})();
