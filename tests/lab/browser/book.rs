//! The exported book as its readers meet it: files on a disk, opened in a browser without network.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use serde_json::{Value, json};

use super::axe::{Axe, Faults};
use super::webdriver::{Browser, ENTER, RIGHT, TAB};
use crate::common::FIRST_CELL;
use crate::common::command::SHORT;

/// How many look at the book at once.
const BROWSERS: usize = 2;

/// Opens every page of the book in `folder`; pictures of them are kept in `target/screenshots/`.
pub fn can_be_read_without_network(folder: &Path) {
    let axe = Axe::installed();
    let entries = fs::read_dir(folder).unwrap();
    let pages: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    // By several browsers, since axe keeps a processor busy for minutes; the longest page comes first.
    let left = Mutex::new(pages.iter().rev());
    thread::scope(|scope| {
        for _ in 0..BROWSERS {
            scope.spawn(|| {
                let browser = quiet();
                loop {
                    let path = left.lock().unwrap().next();
                    let Some(path) = path else { return };
                    is_whole(&browser, path, &pages, axe.as_ref());
                }
            });
        }
    });
    let browser = quiet();
    the_buttons_work(&browser, &folder.join("01-why-coroutines.html"));
    the_keyboard_is_enough(&browser, folder);
    the_search_finds(&browser, folder);
    the_whole_course_can_be_printed(&browser, folder);
}

/// A browser without network that has done what it does at its start: what is asked for from then on is
/// the page's.
fn quiet() -> Browser {
    let browser = Browser::without_network();
    browser.open("about:blank");
    drop((browser.requests(), browser.console()));
    browser
}

fn is_whole(browser: &Browser, path: &Path, pages: &BTreeSet<PathBuf>, axe: Option<&Axe>) {
    let page = Page {
        browser,
        path,
        name: format!("book-{}", path.file_stem().unwrap().display()),
    };
    page.open();
    page.asks_for_nothing();
    page.has_glyphs_for_chinese();
    page.has_a_text_for_every_picture();
    page.leads_only_to_what_is_there(pages);
    page.follows_the_systems_light_and_dark();
    if page.has_slides() {
        page.goes_on_from_slide_to_slide();
        page.has_slides_for_a_phone();
    } else {
        page.keeps_its_outline_in_view();
        page.fits_on_a_phone();
        page.fits_on_paper();
    }
    page.asks_for_nothing();
    if let Some(axe) = axe {
        page.can_be_read_by_everybody(axe);
    }
}

struct Page<'a> {
    browser: &'a Browser,
    path: &'a Path,
    /// For pictures.
    name: String,
}

impl Page<'_> {
    fn open(&self) {
        self.browser.open(&address(self.path));
    }

    fn value(&self, script: &str) -> Value {
        self.browser.script(script, json!([]))
    }

    fn has_slides(&self) -> bool {
        self.name.ends_with(".slides")
    }

    fn is_of_a_notebook(&self) -> bool {
        !self.has_slides() && !["book-index", "book-print"].contains(&&*self.name)
    }

    /// Only files were asked for, and nothing went wrong.
    fn asks_for_nothing(&self) {
        let requests = self.browser.requests();
        assert!(!requests.is_empty(), "{}: not even itself", self.name);
        let inside =
            |request: &String| request.starts_with("file:") || request.starts_with("data:");
        assert!(requests.iter().all(inside), "{}: {requests:#?}", self.name);
        let console = self.browser.console();
        assert!(console.is_empty(), "{}: {console:#?}", self.name);
    }

    /// In text and in code. Without a font for them, all characters look the same: like a box.
    fn has_glyphs_for_chinese(&self) {
        let script = "const drawn = (text, font) => {
                const canvas = new OffscreenCanvas(64, 64).getContext('2d');
                canvas.font = `48px ${font}`;
                canvas.fillText(text, 4, 52);
                return canvas.getImageData(0, 0, 64, 64).data.join();
            };
            return [document.body, document.querySelector('pre')].filter(Boolean).map(element => {
                const font = getComputedStyle(element).fontFamily;
                const characters = [...'协程的优点'];
                return new Set(characters.map(one => drawn(one, font))).size === characters.length;
            });";
        let distinct = self.value(script);
        let distinct = distinct.as_array().unwrap();
        assert!(!distinct.is_empty());
        assert!(
            distinct.iter().all(|one| *one == true),
            "{}: no font for Chinese: {distinct:?}",
            self.name
        );
    }

    /// Beside the text, with an entry for each section; the index is itself one.
    fn keeps_its_outline_in_view(&self) {
        if !self.is_of_a_notebook() {
            return;
        }
        let script = "const outline = document.querySelector('.book-outline details');
            scrollTo(0, document.body.scrollHeight / 2);
            const top = outline.getBoundingClientRect().top;
            scrollTo(0, 0);
            return [outline.open && 0 <= top && top < 100, outline.querySelectorAll('a').length,
                document.querySelectorAll('.jp-RenderedMarkdown :is(h2, h3)').length];";
        let seen = self.value(script);
        assert_eq!(seen[0], true, "{}: out of view", self.name);
        assert_eq!(seen[1], seen[2], "{}: entries and headings", self.name);
    }

    /// Links within the book lead to its pages, and to places that there are.
    fn leads_only_to_what_is_there(&self, pages: &BTreeSet<PathBuf>) {
        let script = "return [...document.querySelectorAll('a:not(.slide-number a)')].map(a => [
            a.rel, a.getAttribute('href'), a.protocol, decodeURIComponent(a.pathname),
            a.hash.slice(1)])";
        let links: Vec<[String; 5]> = serde_json::from_value(self.value(script)).unwrap();
        let mut within = 0;
        for [_, href, protocol, path, place] in &links {
            if protocol != "file:" {
                assert!(protocol.starts_with("http"), "{}: {href}", self.name);
                continue;
            }
            within += 1;
            let path = Path::new(path);
            assert!(pages.contains(path), "{}: {href}", self.name);
            let there = fs::read_to_string(path).unwrap();
            assert!(
                place.is_empty() || there.contains(&format!("id=\"{place}\"")),
                "{}: {href}",
                self.name
            );
        }
        assert!(within > 0, "{}", self.name);
        // From the first page to the last, and back.
        let mut course: Vec<&PathBuf> = pages.iter().collect();
        let is_numbered = |name: &OsStr| name.as_encoded_bytes()[0].is_ascii_digit();
        course.retain(|path| {
            let name = path.file_stem().unwrap();
            is_numbered(name) && !name.as_encoded_bytes().ends_with(b".slides")
        });
        let Some(position) = course.iter().position(|path| *path == self.path) else {
            return;
        };
        for (rel, expected) in [
            ("prev", position.checked_sub(1)),
            ("next", Some(position + 1)),
        ] {
            let leads_to = links.iter().find(|link| link[0] == rel);
            let leads_to = leads_to.map(|link| Path::new(&link[3]));
            let expected = expected.and_then(|position| course.get(position));
            assert_eq!(
                leads_to,
                expected.map(|path| path.as_path()),
                "{}",
                self.name
            );
        }
    }

    fn follows_the_systems_light_and_dark(&self) {
        for theme in ["light", "dark"] {
            self.prefers(Some(theme));
            let [paper, ink] = lightness(self.browser);
            assert_eq!(paper > ink, theme == "light", "{}: {theme}", self.name);
            assert!((paper - ink).abs() > 128.0, "{}: {theme}", self.name);
            self.browser.screenshot(&format!("{}-{theme}", self.name));
        }
        self.prefers(None);
    }

    /// For who does not see it.
    fn has_a_text_for_every_picture(&self) {
        let script = "const text = picture => picture.matches('img')
                ? picture.alt
                : picture.ariaLabel ?? picture.querySelector(':scope > title')?.textContent;
            const pictures = [...document.querySelectorAll('img, svg, canvas')];
            return pictures.filter(picture => !text(picture)?.trim() && !picture.closest('.controls'))
                .map(picture => picture.outerHTML.slice(0, 300));";
        assert_eq!(self.value(script), json!([]), "{}: no text", self.name);
    }

    /// In both themes, at a desk and on a phone, with what is folded and without; all slides, not only
    /// the first, and what the search finds.
    fn can_be_read_by_everybody(&self, axe: &Axe) {
        const BOTH_THEMES: [(&str, Faults); 2] =
            [("light", Faults::All), ("dark", Faults::OfColour)];
        const ANY_THEME: [(&str, Faults); 1] = [("light", Faults::OfForm)];
        let mut found = BTreeSet::new();
        for width in [1280, 390] {
            self.is_wide(Some(width));
            self.open();
            if width == 1280 {
                self.value(
                    "for (const part of document.querySelectorAll('details')) part.open = true",
                );
            }
            let mut look = |themes: &[(&str, Faults)]| {
                for (theme, faults) in themes {
                    self.prefers(Some(theme));
                    let violations = axe.violations(self.browser, *faults);
                    let place = |one| format!("{width}, {theme}: {one}");
                    found.extend(violations.into_iter().map(place));
                }
                self.prefers(None);
            };
            // Where there is much text, its colours take most of the time: they are those at a desk.
            let of_much = match width {
                390 => &ANY_THEME[..],
                _ => &BOTH_THEMES,
            };
            look(match &*self.name {
                "book-print" => of_much,
                _ => &BOTH_THEMES,
            });
            if self.has_slides() {
                self.shows_all_slides_at_once(width);
                look(of_much);
            }
            if self.name == "book-index" {
                for asked in ["取消", "nobodywrotethis"] {
                    self.looks_for(asked);
                    look(&BOTH_THEMES);
                }
            }
        }
        self.is_wide(None);
        assert!(found.is_empty(), "{}: {found:#?}", self.name);
    }

    /// As they are printed, but on the canvas of this screen, and for who does not see them, too:
    /// reveal.js hides all but one from a screen reader.
    fn shows_all_slides_at_once(&self, width: u32) {
        let canvas = match width {
            390 => "&width=640&height=1385",
            _ => "",
        };
        let address = address(self.path);
        self.browser.open(&format!(
            "{address}?view=print&pdfSeparateFragments=false{canvas}"
        ));
        let shown =
            "const slides = document.querySelectorAll('.slides section:not(.stack)').length;
            return slides >= 10 && document.querySelectorAll('.pdf-page').length === slides";
        self.browser.until("all slides are shown", SHORT, || {
            self.value(shown).as_bool().filter(|shown| *shown)
        });
        self.value(
            "for (const slide of document.querySelectorAll('.slides section')) {
                slide.hidden = false;
                slide.ariaHidden = null;
            }",
        );
    }

    /// Types it where the search is, on the first page, and waits for what is said of it.
    fn looks_for(&self, asked: &str) {
        self.open();
        self.browser.press(&['/']);
        for letter in asked.chars() {
            self.browser.press(&[letter]);
        }
        let said = "return document.querySelector('.book-found').textContent";
        self.browser.until("the search answers", SHORT, || {
            let said = self.value(said);
            said.as_str()?.contains(&format!("“{asked}”")).then_some(())
        });
    }

    /// One that is for presenting: the first slide, then the next, each visible and none scrolled to
    /// the side.
    fn goes_on_from_slide_to_slide(&self) {
        self.open();
        let shown = "const slide = Reveal.getCurrentSlide();
            const box = slide.getBoundingClientRect();
            return [Reveal.getSlidePastCount(), slide.checkVisibility() && box.height > 100
                && box.left >= 0 && box.right <= innerWidth, slide.textContent.trim() !== '']";
        let after = |presses: u64| {
            self.browser.until("a slide is shown", SHORT, || {
                let seen = self.value(shown);
                (seen == json!([presses, true, true])).then_some(())
            });
        };
        self.slides_are_ready();
        after(0);
        self.browser.screenshot(&format!("{}-first", self.name));
        let total = self
            .value("return Reveal.getTotalSlides()")
            .as_u64()
            .unwrap();
        assert!(total >= 10, "{}: {total} slides", self.name);
        // As many steps as there are, one after the other, until the last slide.
        let mut steps = 0;
        while self.value("return Reveal.isLastSlide()") == false {
            self.browser.press(&[RIGHT]);
            steps += 1;
            assert!(steps < 4 * total, "{}: it does not end", self.name);
        }
        after(total - 1);
        let fragments = self.value("return document.querySelectorAll('.fragment').length");
        assert!(fragments.as_u64().unwrap() > 3, "{}", self.name);
    }

    /// Letters are as large as on a page, nothing but code and tables is wider than the screen, and a
    /// finger turns the page: but not where it moves what is wide.
    fn has_slides_for_a_phone(&self) {
        self.is_wide(Some(390));
        self.browser.devtools(
            "Emulation.setTouchEmulationEnabled",
            json!({"enabled": true}),
        );
        self.open();
        self.slides_are_ready();
        let script = "const [size, wide] = [Reveal.getScale() * parseFloat(
                getComputedStyle(document.querySelector('.reveal')).fontSize), []];
            for (const slide of Reveal.getSlides()) {
                const {h, v} = Reveal.getIndices(slide);
                Reveal.slide(h, v, 99);
                const held = [...slide.querySelectorAll('pre, table')]
                    .filter(e => e.scrollWidth > e.clientWidth + 1 && !e.hasAttribute('data-prevent-swipe'));
                if (slide.scrollWidth > slide.clientWidth + 1) held.push(slide);
                wide.push(...held.map(e => e.outerHTML.slice(0, 300)));
            }
            Reveal.slide(0, 0);
            return [size >= 14, wide]";
        assert_eq!(self.value(script), json!([true, []]), "{}", self.name);
        let finger = |kind: &str, x: Option<u32>| {
            let points: Vec<Value> = x.iter().map(|x| json!({"x": x, "y": 420})).collect();
            let event = json!({"type": kind, "touchPoints": points});
            self.browser.devtools("Input.dispatchTouchEvent", event);
        };
        finger("touchStart", Some(300));
        for x in [250, 200, 150] {
            finger("touchMove", Some(x));
        }
        finger("touchEnd", None);
        self.browser.until("a finger turns the page", SHORT, || {
            let past = self.value("return Reveal.getSlidePastCount()");
            (past == 1).then_some(())
        });
        self.browser.screenshot(&format!("{}-narrow", self.name));
        self.browser.devtools(
            "Emulation.setTouchEmulationEnabled",
            json!({"enabled": false}),
        );
        self.is_wide(None);
    }

    fn slides_are_ready(&self) {
        let ready = "return Reveal.isReady()";
        self.browser.until("the slides are ready", SHORT, || {
            self.value(ready).as_bool().filter(|ready| *ready)
        });
    }

    fn prefers(&self, theme: Option<&str>) {
        let features = match theme {
            Some(theme) => json!([{"name": "prefers-color-scheme", "value": theme}]),
            None => json!([]),
        };
        self.browser
            .devtools("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    fn is_wide(&self, width: Option<u32>) {
        match width {
            Some(width) => self.browser.devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}),
            ),
            None => self
                .browser
                .devtools("Emulation.clearDeviceMetricsOverride", json!({})),
        };
    }

    /// What is too wide scrolls by itself; the page does not.
    fn fits_on_a_phone(&self) {
        let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
        self.browser
            .devtools("Emulation.setDeviceMetricsOverride", phone);
        self.open();
        let script = "const inside = e => e && (getComputedStyle(e).overflowX !== 'visible' || inside(e.parentElement));
            return document.documentElement.scrollWidth <= 390 ? [] : [...document.body.querySelectorAll('*')]
                .filter(e => e.getBoundingClientRect().right > 391 && !inside(e.parentElement))
                .map(e => e.outerHTML.slice(0, 300))";
        let wide = self.value(script);
        assert_eq!(wide, json!([]), "{}: wider than a phone", self.name);
        let unfolded =
            self.value("return document.querySelector('.book-outline details')?.open ?? false");
        assert_eq!(unfolded, false, "{}", self.name);
        self.browser.screenshot(&format!("{}-narrow", self.name));
        self.browser
            .devtools("Emulation.clearDeviceMetricsOverride", json!({}));
    }

    /// Nothing is cut off on A4, and there is nothing to click.
    fn fits_on_paper(&self) {
        // 210 mm less two margins of 10 mm, in pixels.
        let paper = json!({"width": 718, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
        self.browser
            .devtools("Emulation.setDeviceMetricsOverride", paper);
        let print = json!({"media": "print"});
        self.browser.devtools("Emulation.setEmulatedMedia", print);
        let script = "const all = [...document.querySelectorAll('body *')];
            const right = document.documentElement.clientWidth;
            return [
                all.filter(e => e.matches('pre, table, .jp-OutputArea-output, .highlight'))
                    .filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0
                        || e.getBoundingClientRect().right > right + 1),
                all.filter(e => e.matches('button, .book-outline, .book-neighbours'))
                    .filter(e => e.checkVisibility()),
            ].map(list => list.map(e => e.outerHTML.slice(0, 300)))";
        let [cut, clickable]: [Vec<String>; 2] =
            serde_json::from_value(self.value(script)).unwrap();
        assert!(cut.is_empty(), "{}: cut off: {cut:#?}", self.name);
        assert!(clickable.is_empty(), "{}: {clickable:#?}", self.name);
        self.browser
            .devtools("Emulation.clearDeviceMetricsOverride", json!({}));
        self.browser
            .devtools("Emulation.setEmulatedMedia", json!({"media": ""}));
    }
}

/// The chosen theme stays with the reader, and code can be copied.
fn the_buttons_work(browser: &Browser, page: &Path) {
    browser.open(&address(page));
    let [before, _] = lightness(browser);
    browser.click(".book-bar button");
    let [chosen, ink] = lightness(browser);
    assert_eq!(chosen > ink, before <= 128.0, "the other theme");
    browser.open(&address(&page.with_file_name("index.html")));
    assert_eq!(lightness(browser)[0], chosen, "it is remembered");
    browser.open(&address(page));
    // What the page puts into the clipboard, with or without leave to read that.
    let listen = "window.copied = '';
        navigator.clipboard.writeText = async text => { window.copied = text; };";
    browser.script(listen, json!([]));
    browser.script("document.querySelector('.book-copy').focus()", json!([]));
    browser.click(".book-copy:focus");
    let copied = browser.until("something is copied", SHORT, || {
        let copied = browser.script("return window.copied", json!([]));
        copied
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    });
    assert_eq!(copied, FIRST_CELL);
}

/// From the Tab key to a place in the book: the text, the search, what it finds; each with a frame
/// around it.
fn the_keyboard_is_enough(browser: &Browser, folder: &Path) {
    let focused = || {
        let script = "const element = document.activeElement;
            const { outlineStyle, outlineWidth } = getComputedStyle(element);
            const seen = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
            return [element.className || element.name || element.textContent, seen]";
        let [what, framed]: [Value; 2] =
            serde_json::from_value(browser.script(script, json!([]))).unwrap();
        assert_eq!(framed, true, "{what} has a frame");
        what.as_str().unwrap().to_owned()
    };
    browser.open(&address(&folder.join("01-why-coroutines.html")));
    browser.press(&[TAB]);
    assert_eq!(focused(), "book-skip");
    browser.screenshot("book-keyboard");
    browser.press(&[ENTER]);
    assert_eq!(
        browser.script("return document.activeElement.id", json!([])),
        "book-text"
    );
    // What scrolls is among what follows, so that the arrow keys can move it.
    let wide = "const scrolls = element => element.checkVisibility()
            && getComputedStyle(element).overflowX === 'auto'
            && element.scrollWidth > element.clientWidth + 1;
        return [...document.querySelectorAll('main *')].filter(scrolls)
            .map(element => [element.tabIndex, element.role])";
    let wide: Vec<(i64, String)> = serde_json::from_value(browser.script(wide, json!([]))).unwrap();
    assert!(!wide.is_empty());
    assert!(wide.iter().all(|it| *it == (0, "group".into())), "{wide:?}");
    browser.press(&['/']);
    assert_eq!(focused(), "find");
    for letter in "spawn".chars() {
        browser.press(&[letter]);
    }
    browser.press(&[ENTER]);
    let first = "return document.activeElement.matches('.book-found li:first-child a')";
    browser.until("the first result can be opened", SHORT, || {
        browser.script(first, json!([])).as_bool().filter(|it| *it)
    });
    focused();
    browser.press(&[ENTER]);
    browser.until("it is open", SHORT, || {
        let script = "return document.querySelector('.book-outline') !== null";
        browser.script(script, json!([])).as_bool().filter(|it| *it)
    });
}

/// One page with every heading of the others, once, that a browser prints whole.
fn the_whole_course_can_be_printed(browser: &Browser, folder: &Path) {
    let headings = |name: &Path| -> Vec<String> {
        browser.open(&address(name));
        let script =
            "return [...document.querySelectorAll('main .jp-RenderedMarkdown :is(h1, h2, h3)')]
            .map(heading => heading.textContent)";
        serde_json::from_value(browser.script(script, json!([]))).unwrap()
    };
    let mut pages: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().as_encoded_bytes();
            name[0].is_ascii_digit() && !name.ends_with(b".slides.html")
        })
        .collect();
    pages.sort();
    let expected: Vec<String> = pages.iter().flat_map(|page| headings(page)).collect();
    assert!(expected.len() > 50, "{expected:?}");
    let whole = folder.join("print.html");
    assert_eq!(headings(&whole), expected);
    let twice = "const seen = new Set();
        return [...document.querySelectorAll('[id]')].map(element => element.id)
            .filter(id => seen.has(id) || !seen.add(id))";
    assert_eq!(browser.script(twice, json!([])), json!([]));
    let size = fs::metadata(&whole).unwrap().len();
    assert!(size < 8 << 20, "{size} bytes");
    let printed = browser.print();
    // Chromium leaves the objects that pages are as text.
    let count = |what: &[u8]| {
        printed
            .windows(what.len())
            .filter(|part| *part == what)
            .count()
    };
    let sheets = count(b"/Type /Page") - count(b"/Type /Pages");
    assert!(sheets > 100, "{sheets} sheets");
}

/// Each word of the glossary is found where the glossary says that it is explained.
fn the_search_finds(browser: &Browser, folder: &Path) {
    let list = |script: &str| -> Vec<[String; 2]> {
        serde_json::from_value(browser.script(script, json!([]))).unwrap()
    };
    let last = "const last = link => decodeURIComponent(link.pathname).split('/').pop();";
    browser.open(&address(&folder.join("00-guide.html")));
    let words = list(&format!(
        "{last} const glossary = [...document.querySelectorAll('table')]
            .find(table => table.querySelector('th').textContent === '词');
        return [...glossary.querySelectorAll('tbody tr')].flatMap(row =>
            row.cells[0].textContent.split('、').map(word => [word, last(row.querySelector('a'))]));"
    ));
    assert!(words.len() > 10, "{words:?}");
    let index = address(&folder.join("index.html"));
    browser.open(&index);
    for [word, page] in &words {
        let found = list(&format!(
            "{last} const input = document.querySelector('.book-search input');
            input.value = {};
            input.dispatchEvent(new Event('input'));
            return [...document.querySelectorAll('.book-found a')].map(link => [last(link), link.href]);",
            json!(word)
        ));
        assert!(
            found.iter().any(|[name, _]| name == page),
            "{word}: {found:?}"
        );
    }
    // What nobody has written, and then what a result leads to.
    let said = |asked: &str| {
        browser.open(&format!("{index}?find={asked}"));
        let script = "return document.querySelector('.book-found').textContent";
        browser
            .script(script, json!([]))
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(said("nobodywrotethis").starts_with("没有找到“nobodywrotethis”"));
    assert!(said("TOKIO::spawn").contains("节里有“TOKIO::spawn”"));
    browser.screenshot("book-search");
    browser.click(".book-found a");
    let marked = "return CSS.highlights.get('found').size";
    browser.until("what was looked for is marked", SHORT, || {
        browser
            .script(marked, json!([]))
            .as_u64()
            .filter(|marks| *marks > 0)
    });
}

/// Of the page's background and of its text, from 0 (black) to 255.
fn lightness(browser: &Browser) -> [f64; 2] {
    let script = "const style = getComputedStyle(document.body);
        return [style.backgroundColor, style.color].map(colour => {
            const canvas = new OffscreenCanvas(1, 1).getContext('2d');
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
            return (red + green + blue) / 3;
        })";
    serde_json::from_value(browser.script(script, json!([]))).unwrap()
}

/// The address of a file, whatever characters are in its path.
fn address(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let escaped = bytes.map(|byte| match byte {
        b'/' | b'-' | b'.' | b'_' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    format!("file://{}", escaped.collect::<String>())
}
