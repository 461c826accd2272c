//! The exported book as its readers meet it: files on a disk, opened in a browser without network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::webdriver::Browser;
use crate::common::FIRST_CELL;
use crate::common::command::SHORT;

/// Opens every page of the book in `folder`; pictures of them are kept in `target/screenshots/`.
pub fn can_be_read_without_network(folder: &Path) {
    let browser = Browser::without_network();
    // What the browser asks itself for at its start is not ours.
    browser.open("about:blank");
    drop((browser.requests(), browser.console()));
    let entries = fs::read_dir(folder).unwrap();
    let pages: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    for path in &pages {
        let page = Page {
            browser: &browser,
            path,
            name: format!("book-{}", path.file_stem().unwrap().display()),
        };
        page.open();
        page.asks_for_nothing();
        page.has_glyphs_for_chinese();
        page.keeps_its_outline_in_view();
        page.leads_only_to_what_is_there(&pages);
        page.follows_the_systems_light_and_dark();
        page.fits_on_a_phone();
        page.fits_on_paper();
        page.asks_for_nothing();
    }
    the_buttons_work(&browser, &folder.join("01-why-coroutines.html"));
    the_search_finds(&browser, folder);
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
        if self.path.ends_with("index.html") {
            return;
        }
        let script = "const outline = document.querySelector('.book-outline');
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
        let script = "return [...document.querySelectorAll('a')].map(a => [
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
        course.retain(|path| !path.ends_with("index.html"));
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
            let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
            self.browser
                .devtools("Emulation.setEmulatedMedia", json!({"features": features}));
            let [paper, ink] = lightness(self.browser);
            assert_eq!(paper > ink, theme == "light", "{}: {theme}", self.name);
            assert!((paper - ink).abs() > 128.0, "{}: {theme}", self.name);
            self.browser.screenshot(&format!("{}-{theme}", self.name));
        }
        let none = json!({"features": []});
        self.browser.devtools("Emulation.setEmulatedMedia", none);
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
        let unfolded = self.value("return document.querySelector('.book-outline')?.open ?? false");
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
