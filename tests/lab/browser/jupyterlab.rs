//! A JupyterLab of its own, as `lab open` starts it, and one with a notebook open in a browser.

use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::webdriver::{Browser, CONTROL, ENTER, SHIFT};
use crate::common::command::{LONG, Running, SHORT, all_gone, start_server};
use crate::common::{clean, free_port, lab, project, set_up};

/// Names of notebooks that a test puts into the course's folder while it runs. Git ignores them.
const PREFIX: &str = "Untitled-browser-test";

/// JupyterLab's server.
pub struct Server {
    running: Running,
    /// What it says to open in a browser.
    pub address: String,
    _settings: tempfile::TempDir,
}

impl Server {
    /// Starts it, and waits until it says where it is.
    pub fn start() -> Server {
        set_up();
        let settings = tempfile::tempdir().unwrap();
        let port = free_port().to_string();
        let mut command = clean(lab());
        command
            .args(["open", "--no-browser", "--port", &port])
            .current_dir(project().root());
        // Whoever runs this test may have settings of their own, and keeps them.
        for name in ["CONFIG", "DATA", "RUNTIME"] {
            command.env(format!("JUPYTER_{name}_DIR"), settings.path().join(name));
        }
        let mut running = start_server(&mut command);
        let output = running.output.clone();
        let mut address = String::new();
        running.until("JupyterLab prints its address", LONG, || {
            let text = fs::read_to_string(&output).unwrap_or_default();
            let printed = text.split("http://").find(|text| text.contains("?token="));
            // With the end of the line: not just the half of it that is there already.
            let line = printed.and_then(|rest| rest.split_once('\n'));
            line.map(|(line, _)| address = format!("http://{}", line.trim()))
                .is_some()
        });
        Server {
            running,
            address,
            _settings: settings,
        }
    }

    /// The address of a notebook in the course's folder.
    fn address_of(&self, notebook: &str) -> String {
        let (page, token) = self.address.split_once('?').unwrap();
        let (server, _) = page.split_once("/lab").unwrap();
        format!("{server}/lab/tree/{notebook}?{token}")
    }

    /// Ends it, and sees that it takes its kernels with it.
    pub fn close(self) {
        let mark = self.running.mark.clone();
        self.running.signal("TERM");
        self.running.finish(SHORT);
        all_gone(&mark, Duration::from_secs(20));
    }
}

/// A server, a browser, and a notebook. All are gone when it is dropped.
pub struct JupyterLab {
    /// The window.
    pub browser: Browser,
    server: Server,
    notebook: Notebook,
}

/// A notebook file in the course's folder, where the first cell's relative paths lead to the
/// support crates.
struct Notebook(PathBuf);

impl Notebook {
    fn new(text: &str) -> Notebook {
        static ONCE: Once = Once::new();
        ONCE.call_once(Notebook::sweep);
        let name = format!("{PREFIX}-{}.ipynb", uuid::Uuid::new_v4().simple());
        let path = project().notebooks().join(name);
        fs::write(&path, text).unwrap();
        Notebook(path)
    }

    /// Removes what a test that was killed has left.
    fn sweep() {
        for entry in fs::read_dir(project().notebooks()).unwrap().flatten() {
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                drop(Notebook(entry.path()));
            }
        }
    }
}

impl Drop for Notebook {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        let checkpoints = self.0.with_file_name(".ipynb_checkpoints");
        let stem = self.0.file_stem().unwrap_or_default().display();
        let _ = fs::remove_file(checkpoints.join(format!("{stem}-checkpoint.ipynb")));
        // Unless there is anything else in it.
        let _ = fs::remove_dir(checkpoints);
    }
}

/// A code cell as the page shows it.
#[derive(Debug, Deserialize)]
pub struct Cell {
    /// `[ ]:` before it runs, `[*]:` while it waits or runs, `[1]:` with its number afterwards.
    /// Empty where the cell is collapsed.
    pub prompt: String,
    /// Everything below it.
    pub text: String,
    /// Whether that ends with an error. On the page it looks like what is printed to stderr, so
    /// [`JupyterLab::saved`] knows better.
    pub failed: bool,
}

impl Cell {
    /// Whether only its first line is shown, and then no number either: whether it has run is
    /// seen at the next.
    pub fn is_collapsed(&self) -> bool {
        self.prompt.is_empty()
    }

    /// Whether it has run.
    pub fn is_done(&self) -> bool {
        self.number().is_some()
    }

    /// Its number, once it has run.
    pub fn number(&self) -> Option<u32> {
        number(&self.prompt)
    }
}

/// The number in `[1]:`.
fn number(prompt: &str) -> Option<u32> {
    prompt.strip_prefix('[')?.strip_suffix("]:")?.parse().ok()
}

impl JupyterLab {
    /// Opens a copy of a notebook with this text, and waits for its kernel.
    pub fn open(text: &str) -> JupyterLab {
        let lab = JupyterLab {
            server: Server::start(),
            browser: Browser::start(),
            notebook: Notebook::new(text),
        };
        let name = lab.notebook.0.file_name().unwrap().to_str().unwrap();
        let address = lab.server.address_of(name);
        lab.browser.open(&address);
        lab.browser.until("the kernel is ready", LONG, || {
            is_idle(&lab.browser).then_some(())
        });
        // Where a reader begins, whatever the page does about the keyboard at its start.
        lab.select(":first-child");
        lab
    }

    /// The file of the notebook, without its extension.
    pub fn name(&self) -> String {
        self.notebook.0.file_stem().unwrap().display().to_string()
    }

    /// The notebook as it stands in its file.
    pub fn saved(&self) -> Value {
        let limit = Duration::from_secs(20);
        self.browser
            .until("the file is whole", limit, || self.try_saved())
    }

    /// None while the server is writing it.
    fn try_saved(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(&self.notebook.0).ok()?).ok()
    }

    /// Whether there is a kernel and nothing runs in it.
    pub fn is_idle(&self) -> bool {
        is_idle(&self.browser)
    }

    /// The code cells, in order.
    pub fn cells(&self) -> Vec<Cell> {
        // Not `innerText`, which is empty where the page is scrolled out of sight.
        let script =
            "return [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell => {
            const outputs = [...cell.querySelectorAll('.jp-OutputArea-output')];
            return {
                prompt: cell.querySelector('.jp-InputPrompt').textContent,
                text: outputs.map(output => output.textContent).join(''),
                failed: outputs.at(-1)?.dataset.mimeType === 'application/vnd.jupyter.stderr',
            };
        })";
        serde_json::from_value(self.browser.script(script, json!([]))).unwrap()
    }

    /// Selects a cell with a click beside it.
    pub fn select(&self, which: &str) {
        let prompt = format!(".jp-Notebook .jp-Cell{which} .jp-InputPrompt");
        self.browser.click(&prompt);
    }

    /// Runs the selected cell and selects the next.
    pub fn shift_enter(&self) {
        self.browser.press(&[SHIFT, ENTER]);
    }

    /// Waits until a code cell, counted from 0, is as `condition` says.
    pub fn until_cell(&self, number: usize, what: &str, condition: impl Fn(&Cell) -> bool) -> Cell {
        let what = format!("code cell {number} {what}");
        self.browser.until(&what, LONG / 4, || {
            self.cells()
                .into_iter()
                .nth(number)
                .filter(|cell| condition(cell))
        })
    }

    /// Writes down, from now on, each state that the page shows of a code cell's outputs.
    pub fn observe(&self, number: usize) {
        let script = "const cell = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[arguments[0]];
            window.observed = [];
            const note = () => {
                const outputs = [...cell.querySelectorAll('.jp-OutputArea-output')];
                const state = outputs.map(output => output.textContent);
                if (JSON.stringify(state) !== JSON.stringify(window.observed.at(-1)))
                    window.observed.push(state);
            };
            new MutationObserver(note).observe(cell, {subtree: true, childList: true, characterData: true});";
        self.browser.script(script, json!([number]));
    }

    /// What [`observe`](Self::observe) saw: of each state, the outputs.
    pub fn observed(&self) -> Vec<Vec<String>> {
        let observed = self.browser.script("return window.observed", json!([]));
        serde_json::from_value(observed).unwrap()
    }

    /// Chooses from a menu, by the words that stand there.
    pub fn choose(&self, words: &[&str]) {
        let [menu, items @ ..] = words else { return };
        let label = |class: &str, word: &str| format!("//div[@class='{class}'][text()='{word}']");
        self.browser.click(&label("lm-MenuBar-itemLabel", menu));
        for item in items {
            self.browser.click(&label("lm-Menu-itemLabel", item));
        }
    }

    /// Runs all cells from the menu, restarts the kernel half-way, and waits until all have run
    /// in the new one.
    ///
    /// After a cell that is tagged to fail, JupyterLab shows `[ ]:` for those behind it, which
    /// wait in the kernel all the same: only a kernel that stays idle has given up.
    pub fn run_all_with_a_restart_half_way(&self) {
        self.choose(&["运行", "运行所有单元格"]);
        let cells = self.cells();
        let mut second_half = cells.len() / 2..cells.len();
        let half = second_half.find(|at| !cells[*at].is_collapsed()).unwrap();
        self.browser
            .until("half of the cells have run", 2 * LONG, || {
                self.cells()[half].is_done().then_some(())
            });
        let restart = "[data-command='notebook:restart-run-all']";
        self.browser.click(restart);
        self.browser.click(".jp-Dialog-button.jp-mod-warn");
        self.browser.until("the new kernel runs them", SHORT, || {
            (!self.cells()[half].is_done()).then_some(())
        });
        // Not what is below them: some outputs are long. What stands for a collapsed cell has no number.
        let prompts = "const prompts = '.jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)';
            return [...document.querySelector('.jp-Notebook').querySelectorAll(prompts)]
                .map(prompt => prompt.textContent)";
        let mut idle_since = Instant::now();
        self.browser.until("all cells have run", 2 * LONG, || {
            let prompts = self.browser.script(prompts, json!([]));
            let prompts: Vec<String> = serde_json::from_value(prompts).unwrap();
            let left = prompts
                .iter()
                .filter(|prompt| number(prompt).is_none())
                .count();
            if !self.is_idle() {
                idle_since = Instant::now();
            }
            let last = || self.cells().into_iter().rfind(Cell::is_done);
            assert!(
                left == 0 || idle_since.elapsed() < SHORT,
                "{left} cells were not run, after {:#?}",
                last()
            );
            (left == 0).then_some(())
        });
    }

    /// Saves the notebook, and waits until it stands in its file as far as it has run.
    pub fn save(&self) {
        self.browser.press(&[CONTROL, 's']);
        self.browser.until("the notebook is saved", SHORT, || {
            let saved = self.try_saved()?;
            let mut cells = saved["cells"].as_array().into_iter().flatten();
            let last = cells.rfind(|cell| cell["cell_type"] == "code")?;
            last["execution_count"].is_number().then_some(())
        });
    }

    /// Of each code cell, width and height of the pictures below it; 0 of one that did not load.
    pub fn pictures(&self) -> Vec<Vec<[f64; 2]>> {
        let script =
            "return [...document.querySelectorAll('.jp-Notebook .jp-CodeCell')].map(cell => {
            const pictures = cell.querySelectorAll('.jp-OutputArea-output :is(img, svg)');
            return [...pictures].map(picture => {
                // What is far away is not laid out.
                picture.scrollIntoView();
                const {width, height} = picture.getBoundingClientRect();
                return picture.naturalWidth === 0 ? [0, 0] : [width, height];
            });
        })";
        serde_json::from_value(self.browser.script(script, json!([]))).unwrap()
    }

    /// Brings what is below a code cell, counted from 0, into view.
    pub fn scroll_to_outputs(&self, number: usize) {
        let script = "document.querySelectorAll('.jp-Notebook .jp-CodeCell')[arguments[0]]
            .querySelector('.jp-OutputArea').scrollIntoView()";
        self.browser.script(script, json!([number]));
    }

    /// Ends the server, and sees that it takes its kernels with it.
    pub fn close(self) {
        drop(self.browser);
        self.server.close();
    }
}

/// Whether the page has a notebook with a kernel, and nothing runs in it.
pub fn is_idle(browser: &Browser) -> bool {
    // As the status bar says at the bottom.
    let script = "return [...document.querySelectorAll('.jp-StatusBar-TextItem')]
        .some(item => item.textContent === 'Rust | 空闲')";
    browser.script(script, json!([])) == true
}
