// One line of slides, whatever section they are in: a presenter needs two keys. Up and down scroll
// what is too long for a slide.
(() => {
  const scroll = (way) => () => Reveal.getCurrentSlide().scrollBy({ top: way * 120 });
  const notes = () => {
    Reveal.configure({ showNotes: !Reveal.getConfig().showNotes });
    Reveal.layout();
  };
  const section = document.querySelector(".slides-section");

  // The section that a slide belongs to: what stands in the last heading of the second level.
  const name = (slide) => {
    const slides = Reveal.getSlides();
    const before = slides.slice(0, slides.indexOf(slide) + 1).reverse();
    const heading = before.map((one) => one.querySelector("h1, h2")).find(Boolean);
    const text = heading?.cloneNode(true);
    text?.querySelector(".anchor-link")?.remove();
    return text?.textContent ?? "";
  };

  // On a screen that stands, a phone's, as much is shown as can be read; paper is as wide as a wall.
  const canvas = () => {
    if (innerWidth >= innerHeight || location.search.includes("print")) return { width: 1280, height: 720 };
    const width = Math.max(640, innerWidth);
    return { width, height: Math.round((width * innerHeight) / innerWidth) };
  };

  // Who uses the Tab key comes to what scrolls, and a finger there scrolls: it turns no page.
  const scrolls = (element) => {
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = element;
    const is = scrollWidth > clientWidth + 1 || scrollHeight > clientHeight + 1;
    element.toggleAttribute("data-prevent-swipe", is);
    return is;
  };

  const show = () => {
    const slide = Reveal.getCurrentSlide();
    section.textContent = name(slide);
    if (scrolls(slide)) slide.tabIndex = 0;
    slide.querySelectorAll("pre, table").forEach(scrolls);
  };
  Reveal.on("ready", () => {
    show();
    addEventListener("resize", () => {
      const { width, height } = Reveal.getConfig();
      const now = canvas();
      if (now.width !== width || now.height !== height) Reveal.configure(now);
      show();
    });
    for (const [way, label] of [["left", "上一张"], ["right", "下一张"], ["up", "上一张"], ["down", "下一张"]]) {
      document.querySelector(`.controls .navigate-${way}`).ariaLabel = label;
    }
  });
  Reveal.on("slidechanged", show);
  // What comes is seen, whole if it fits, or else from its beginning.
  Reveal.on("fragmentshown", ({ fragment }) => {
    const { offsetTop: top, offsetHeight: height } = fragment;
    const slide = Reveal.getCurrentSlide();
    slide.scrollTo({ top: Math.min(top, top + height - slide.clientHeight) });
  });
  Reveal.initialize({
    ...canvas(),
    margin: 0.05,
    center: false,
    transition: "none",
    navigationMode: "linear",
    slideNumber: "c/t",
    hash: true,
    scrollActivationWidth: null,
    keyboard: { 38: scroll(-1), 40: scroll(1), 83: notes },
  });
})();
