// Light or dark, the outline, copying, scrolling by keyboard: without this script a page is as
// readable.
(() => {
  const page = document.documentElement;
  // A browser may refuse to remember anything for a file.
  const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("theme", theme); } catch { /* until the next page */ } };
  const system = () => matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = () => page.dataset.theme ?? system();

  const SCROLLING = "pre, .book-scroll, .nb-table, .jp-OutputArea-output, .jp-RenderedMarkdown > div";

  // Before anything is painted.
  if (["light", "dark"].includes(remembered())) page.dataset.theme = remembered();

  const button = (text, press) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", () => press(made));
    return made;
  };

  const copy = async (block, pressed) => {
    try {
      await navigator.clipboard.writeText(block.textContent.trimEnd());
    } catch {
      getSelection().selectAllChildren(block);
      document.execCommand("copy");
    }
    pressed.textContent = "已复制";
    setTimeout(() => { pressed.textContent = "复制"; }, 2000);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const other = () => theme() === "dark" ? "浅色" : "深色";
    const themes = button(other(), (pressed) => {
      page.dataset.theme = theme() === "dark" ? "light" : "dark";
      remember(page.dataset.theme);
      pressed.textContent = other();
    });
    document.querySelector(".book-bar")?.append(themes);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { themes.textContent = other(); });

    for (const cell of document.querySelectorAll(".jp-CodeCell .jp-InputArea")) {
      const block = cell.querySelector("pre");
      const copies = button("复制", (pressed) => copy(block, pressed));
      copies.className = "book-copy";
      cell.append(copies);
    }

    // What is wider than the page can be scrolled by keyboard, and only that stops the Tab key.
    const wide = new ResizeObserver((entries) => {
      for (const { target } of entries) {
        const scrolls = target.scrollWidth > target.clientWidth + 1 && getComputedStyle(target).overflowX !== "visible";
        for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", "可以左右滚动"]]) {
          if (scrolls) target.setAttribute(name, value); else target.removeAttribute(name);
        }
      }
    });
    for (const part of document.querySelectorAll(SCROLLING)) wide.observe(part);

    const outline = document.querySelector(".book-outline details");
    if (!outline) return;
    // Beside the text it is always open, above the text only when asked for.
    const beside = matchMedia("(min-width: 76rem)");
    const unfold = () => { outline.open = beside.matches; };
    unfold();
    beside.addEventListener("change", unfold);
    const entries = [...outline.querySelectorAll("a")];
    const headings = entries.map((entry) => document.getElementById(entry.getAttribute("href").slice(1)));
    const mark = () => {
      const read = headings.filter((heading) => heading?.getBoundingClientRect().top < 120).length;
      entries.forEach((entry, place) => { entry.ariaCurrent = place === read - 1 ? "true" : null; });
    };
    mark();
    addEventListener("scroll", mark, { passive: true });
    outline.addEventListener("click", (event) => {
      if (event.target.closest("a") && !beside.matches) outline.open = false;
    });
  });
})();
