// What the page does without asking its server for markup: judgements, wishes for similar songs,
// keys. Everything is delegated, since Gradio replaces markup whenever it likes.
(function () {
  "use strict";

  function closest(event, selector) {
    return event.target.closest ? event.target.closest(selector) : null;
  }

  // Enter sends the mood and Shift+Enter breaks the line; a Hangul syllable that is still being
  // composed must not be cut off. Ctrl+Enter sends pasted lyrics.
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
    if (!event.target.matches) return;
    let button = null;
    if (event.target.matches("#maeum-mood-text textarea") && !event.shiftKey) {
      button = document.querySelector("#maeum-mood-go");
    } else if (event.target.matches("#maeum-song-lyrics textarea") && (event.ctrlKey || event.metaKey)) {
      button = document.querySelector("#maeum-song-go");
    }
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    button.click();
  }, true);

  // The page's own footer opens the panel that Gradio's hidden footer would.
  document.addEventListener("click", function (event) {
    const link = closest(event, "#maeum-api");
    const panel = document.querySelector("footer .show-api");
    if (!link || !panel) return;
    event.preventDefault();
    panel.click();
  });

  document.addEventListener("click", function (event) {
    const skip = closest(event, "#maeum-skip");
    if (!skip) return;
    event.preventDefault();
    const box = document.querySelector("#maeum-mood-text textarea");
    if (box) box.focus();
  });

  // Judgements: pressed at once, put back if they could not be kept.
  document.addEventListener("click", async function (event) {
    const button = closest(event, ".maeum-judge");
    if (!button) return;
    const results = button.closest(".maeum-results");
    const card = button.closest("[data-song]");
    const before = new Map();
    for (const each of card.querySelectorAll(".maeum-judge")) {
      before.set(each, each.getAttribute("aria-pressed"));
    }
    const isTakenBack = button.getAttribute("aria-pressed") === "true";
    for (const each of before.keys()) {
      each.setAttribute("aria-pressed", String(each === button && !isTakenBack));
    }
    const said = results.querySelector(".maeum-said");
    try {
      const answer = await fetch("api/v1/feedback", {
        method: "POST",
        headers: {"Content-Type": "application/json"},
        body: JSON.stringify({
          list: results.dataset.list,
          song: card.dataset.song,
          verdict: isTakenBack ? 0 : Number(button.dataset.verdict),
        }),
      });
      if (!answer.ok) throw new Error(String(answer.status));
      said.textContent = isTakenBack ? results.dataset.undone : results.dataset.thanks;
    } catch (error) {
      for (const [each, pressed] of before) each.setAttribute("aria-pressed", pressed);
      said.textContent = results.dataset.failed;
    }
    said.classList.toggle("is-shown", true);
  });

  // Similar songs are drawn by the server; it is asked through a box that nobody sees.
  window.maeumLike = function (id) {
    const box = document.querySelector("#maeum-like textarea");
    if (!box) return;
    const write = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set;
    write.call(box, JSON.stringify([id, Date.now()]));
    box.dispatchEvent(new Event("input", {bubbles: true}));
  };
  document.addEventListener("click", function (event) {
    const button = closest(event, "[data-like]");
    if (button) window.maeumLike(button.dataset.like);
  });
})();
