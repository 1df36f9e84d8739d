// Copies the text of an element: the paragraphs to paste into a paper.
(() => {
  "use strict";

  async function copy(element) {
    const text = [...element.children].map((child) => child.textContent.trim()).join("\n\n");
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // A browser may refuse the clipboard to a page from disk: the text is selected, to be copied by hand.
      getSelection().selectAllChildren(element);
      return false;
    }
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const copied = await copy(document.getElementById(button.dataset.copy));
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  });
})();
