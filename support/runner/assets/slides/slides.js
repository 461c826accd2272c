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

  const show = () => {
    const slide = Reveal.getCurrentSlide();
    section.textContent = name(slide);
    // Who uses the Tab key comes to what scrolls.
    if (slide.scrollHeight > slide.clientHeight + 1) slide.tabIndex = 0;
  };
  Reveal.on("ready", () => {
    show();
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
    width: 1280,
    height: 720,
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
