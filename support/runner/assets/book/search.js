// The search: the first page looks through the text of all sections; the page that a result leads
// to marks what was looked for.
(() => {
  const words = (text) => lower(text).split(/\s+/).filter(Boolean);
  // As long as the text itself: places are told by it.
  const lower = (text) => text.replace(/./gsu, (letter) => {
    const small = letter.toLowerCase();
    return small.length === letter.length ? small : letter;
  });

  // Where any of the words stands: [start, end], in order, none inside of another.
  const places = (text, wanted) => {
    const found = wanted.flatMap((word) => {
      const all = [];
      for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) all.push([at, at + word.length]);
      return all;
    });
    found.sort(([a], [b]) => a - b);
    return found.filter(([start], place) => found.slice(0, place).every(([, end]) => end <= start));
  };

  const element = (name, ...content) => {
    const made = document.createElement(name);
    made.append(...content);
    return made;
  };

  // A text in which the words are marked.
  const marked = (text, wanted) => {
    const parts = [];
    let told = 0;
    for (const [start, end] of places(lower(text), wanted)) {
      parts.push(text.slice(told, start), element("mark", text.slice(start, end)));
      told = end;
    }
    return [...parts, text.slice(told)];
  };

  const result = ({ address, title, id, heading, text }, wanted, asked) => {
    const link = element("a", ...marked(heading ? `${title} › ${heading}` : title, wanted));
    link.href = `${address}?find=${encodeURIComponent(asked)}#${encodeURIComponent(id)}`;
    const [first] = places(lower(text), wanted);
    const start = Math.max(0, (first?.[0] ?? 0) - 24);
    const excerpt = (start > 0 ? "…" : "") + text.slice(start, start + 120) + (text.length > start + 120 ? "…" : "");
    return element("li", link, element("p", ...marked(excerpt, wanted)));
  };

  // In a title or a heading before anywhere else, and then as the course goes.
  const search = (sections, asked) => {
    const wanted = words(asked);
    const inName = (section) => wanted.every((word) => lower(`${section.title} ${section.heading}`).includes(word));
    const anywhere = ({ title, heading, text }) => {
      const all = lower(`${title} ${heading} ${text}`);
      return wanted.every((word) => all.includes(word));
    };
    const found = sections.filter(anywhere);
    const ordered = [...found.filter(inName), ...found.filter((section) => !inName(section))];
    return ordered.map((section) => result(section, wanted, asked));
  };

  const MOST = 40;

  const searchHere = (input, asked) => {
    const found = document.querySelector(".book-found");
    const [status, list] = found.children;
    const map = document.querySelector(".book-map");
    const sections = JSON.parse(document.getElementById("book-sections").textContent);
    const show = () => {
      const asked = input.value.trim();
      map.hidden = !!asked;
      const results = asked ? search(sections, asked) : [];
      const more = results.length > MOST ? `，列出前 ${MOST} 节` : "";
      const said = !asked ? "" : results.length ? `${results.length} 节里有“${asked}”${more}。` : `没有找到“${asked}”：试试更短的词。`;
      // Only this is read out as it changes.
      status.textContent = said;
      list.replaceChildren(...results.slice(0, MOST));
    };
    const goThere = () => { list.querySelector("a")?.focus(); };
    input.value = asked;
    input.addEventListener("input", show);
    input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      goThere();
    });
    show();
    if (asked) goThere();
  };

  const markHere = (asked) => {
    if (!asked || !CSS.highlights) return;
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const nodes = [];
    let text = "";
    while (walker.nextNode()) {
      nodes.push([text.length, walker.currentNode]);
      text += walker.currentNode.data;
    }
    let last = 0;
    const point = (place) => {
      while (last + 1 < nodes.length && nodes[last + 1][0] <= place) last += 1;
      return [nodes[last][1], place - nodes[last][0]];
    };
    const ranges = places(lower(text), words(asked)).map(([start, end]) => {
      const range = new Range();
      range.setStart(...point(start));
      const [node, offset] = point(end - 1);
      range.setEnd(node, offset + 1);
      return range;
    });
    CSS.highlights.set("found", new Highlight(...ranges));
  };

  document.addEventListener("DOMContentLoaded", () => {
    const asked = new URLSearchParams(location.search).get("find") ?? "";
    const input = document.querySelector(".book-search input");
    if (!input) return;
    if (document.querySelector(".book-found")) {
      searchHere(input, asked);
    } else {
      input.value = asked;
      markHere(asked.trim());
    }
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, textarea")) return;
      event.preventDefault();
      input.focus();
    });
  });
})();
