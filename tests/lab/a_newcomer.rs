//! The way of a newcomer, from a fresh clone to a book: through every kind of trouble, with Jupyter's own
//! programs. These are the longest tests of all. Tests begin in the order of their names, and this module
//! is called so that these begin first: the others run beside them, and nothing waits for them at the end.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::browser::{book, webdriver};
use crate::common::command::{Ended, LONG, Running, SHORT, all_gone, finish, start};
use crate::common::{self, FIRST_CELL, clean, free_port, lab, notebook, project};
use crate::program::{contains, lab_with};
use link::variable::CACHE as CACHE_ENV;
use serde_json::{Value, json};

/// A copy of this clone, as `git clone` would make it, at a path with spaces and Chinese in it.
struct Clone {
    folder: tempfile::TempDir,
}

impl Clone {
    fn new() -> Clone {
        let clone = Clone {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut list = clean("git");
        // New files too, before they are committed.
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let list = list.current_dir(project().root()).output().unwrap();
        let files = String::from_utf8(list.stdout).unwrap();
        for file in files.split_terminator('\0') {
            let from = project().root().join(file);
            let to = clone.root().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            if from.is_file() {
                fs::copy(&from, &to).unwrap();
            }
        }
        // Registry crates are compiled as this clone's were; its own are compiled anew.
        common::set_up();
        let below = "rust-async-notebooks/kernel";
        let kept = base::caches::folder().unwrap().join("kernel");
        fs::create_dir_all(clone.cache().join(below)).unwrap();
        for part in ["sets", "answers"] {
            // The temporary folder may be on another disk; and kernels of other tests replace what is
            // copied.
            let mut copy = clean("sh");
            copy.args([
                "-c",
                "for again in 1 2 3; do\n\
                    cp -al \"$0\" \"$1\" 2>/dev/null && exit\n\
                    rm -rf \"$1/${0##*/}\"\n\
                    cp -a \"$0\" \"$1\" && exit\n\
                    rm -rf \"$1/${0##*/}\"\n\
                done; exit 1",
            ]);
            copy.arg(kept.join(part)).arg(clone.cache().join(below));
            finish(&mut copy, LONG).succeeded();
        }
        clone
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("我的 笔记 本")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn lab(&self, arguments: &[&str]) -> Command {
        let mut command = clean(lab());
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    fn settle(&self, command: &mut Command) {
        command
            .env(CACHE_ENV, self.cache())
            // As `cargo run` does: the workspace's own builds of the support crates lie there, and
            // must not be taken for the cells'.
            .env("LD_LIBRARY_PATH", lab().with_file_name("deps"))
            .current_dir(self.root());
        // Whoever runs this test may have settings of their own.
        for name in [
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
        ] {
            command.env(name, self.folder.path().join(name));
        }
    }

    fn python(&self) -> PathBuf {
        self.root().join(".venv/bin/python")
    }
}

#[test]
fn a_fresh_clone_survives_every_interruption_and_becomes_a_course() {
    let clone = Clone::new();
    // What readers leave lying about is no reason to fail.
    fs::write(clone.root().join("notebooks/Untitled.ipynb"), "").unwrap();
    set_up_through_all_kinds_of_trouble(&clone);
    a_second_set_up_does_nothing(&clone);
    finish(&mut clone.lab(&["doctor"]), SHORT).succeeded();
    std::thread::scope(|scope| {
        scope.spawn(|| the_book_needs_nothing_but_a_browser(&clone));
        finish(&mut clone.lab(&["run", "01"]), LONG).succeeded();
        jupyter_runs_cells_in_the_kernel(&clone);
    });
    jupyterlab_opens_in_chinese_with_the_kernel(&clone);
}

fn set_up_through_all_kinds_of_trouble(clone: &Clone) {
    let cache = clone.cache();

    // Without network.
    let mut offline = clone.lab(&["setup"]);
    offline
        .env("PIP_INDEX_URL", "http://127.0.0.1:9/")
        .env("PIP_RETRIES", "0")
        .env_remove("PIP_EXTRA_INDEX_URL")
        .env_remove("PIP_FIND_LINKS");
    finish(&mut offline, LONG).failed_with(&["jupyterlab", "网络"]);

    // Ctrl-C while pip writes.
    let mut setup = start(&mut clone.lab(&["setup"]));
    setup.until("pip installs", LONG, || {
        contains(&cache, "python-unfinished")
    });
    interrupted(setup);

    // Ctrl-C while crates are compiled.
    let mut setup = start(&mut clone.lab(&["setup"]));
    let mark = setup.mark.clone();
    setup.until("something is compiled", LONG, || compiles(&mark));
    interrupted(setup);

    // A harder end, at the same place.
    let mut setup = start(&mut clone.lab(&["setup"]));
    let mark = setup.mark.clone();
    setup.until("a compiler runs", LONG, || compiles(&mark));
    setup.signal("KILL");
    assert_eq!(setup.finish(SHORT).status.code(), None);
    // The kernel goes at once, a compiler when it has finished its crate.
    all_gone(&mark, SHORT);

    // On a disk with room for nothing larger than 3 MB.
    let mut full = clean("bash");
    full.args(["-c", "trap '' XFSZ; ulimit -f 3000; exec \"$0\" \"$@\""])
        .arg(lab())
        .arg("setup");
    clone.settle(&mut full);
    finish(&mut full, LONG).failed_with(&["00-guide.ipynb", "磁盘空间"]);
    let doctor = finish(&mut clone.lab(&["doctor"]), SHORT);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(doctor.text.contains("✗ 笔记本的依赖"), "{}", doctor.text);

    // Two at once.
    let first = start(&mut clone.lab(&["setup"]));
    let second = start(&mut clone.lab(&["setup"]));
    first.finish(LONG).succeeded();
    second.finish(LONG).succeeded();
}

/// What Binder does when it makes an image, and what conda users do by hand.
#[test]
fn the_pip_part_of_environment_yml_installs_and_binders_steps_run_in_it() {
    let clone = Clone::new();
    // Of those whose dependencies take minutes more, none.
    for name in [
        "05-web-server.ipynb",
        "06-many-things.ipynb",
        "07-channels-and-streams.ipynb",
        "09-test-and-diagnose.ipynb",
    ] {
        fs::remove_file(clone.root().join("notebooks").join(name)).unwrap();
    }
    let environment = clone.folder.path().join("environment");
    let python = environment.join("bin/python");
    let mut make = clean("python3");
    finish(make.args(["-m", "venv"]).arg(&environment), LONG).succeeded();
    let text = fs::read_to_string(clone.root().join("environment.yml")).unwrap();
    let (_, packages) = text.split_once("- pip:\n").expect("a pip section");
    let packages = packages
        .lines()
        .map_while(|line| line.strip_prefix("      - "));
    let mut pip = clean(&python);
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    finish(&mut pip, LONG).succeeded();
    finish(clean(&python).args(["-m", "pip", "check"]), SHORT).succeeded();

    let mut steps = clean("bash");
    steps.arg(".binder/postBuild");
    clone.settle(&mut steps);
    // As repo2docker does, which activates nothing.
    steps.env("NB_PYTHON_PREFIX", &environment);
    steps.env_remove("LD_LIBRARY_PATH");
    finish(&mut steps, LONG).succeeded();
    let kernel = environment.join("share/jupyter/kernels/rust/kernel");
    assert!(kernel.is_file() && !clone.root().join("target").exists());
    assert!(!clone.root().join(".venv").exists());
    let mut ready = clean(&kernel);
    ready.arg("--ready").arg("notebooks/00-guide.ipynb");
    clone.settle(&mut ready);
    ready.env("LAB_LOCK", clone.root().join("Cargo.lock"));
    let ended = finish(&mut ready, SHORT).succeeded();
    assert_eq!(ended.text, "", "the image holds what 00 depends on");
}

/// Whether a compiler runs; cargo asks about it under the crate name `___`.
fn compiles(mark: &str) -> bool {
    let processes = Running::processes(mark);
    let is_one = |line: &String| line.contains("--crate-name") && !line.contains("___");
    processes.iter().any(is_one)
}

pub fn interrupted(running: Running) -> Ended {
    let mark = running.mark.clone();
    running.signal("INT");
    let ended = running.finish(Duration::from_secs(10));
    assert_eq!(ended.status.code(), Some(130), "{}", ended.text);
    assert!(ended.text.contains("已中断"), "{}", ended.text);
    all_gone(&mark, Duration::from_secs(10));
    ended
}

fn a_second_set_up_does_nothing(clone: &Clone) {
    let program = clone.root().join(".venv/share/jupyter/kernels/rust/kernel");
    let before = fs::metadata(&program).unwrap().ino();
    let again = finish(&mut clone.lab(&["setup"]), SHORT).succeeded();
    println!("a second set-up took {:?}", again.took);
    // It compiles nothing, which would take minutes.
    assert!(again.took < Duration::from_secs(30), "{:?}", again.took);
    assert_eq!(again.text.matches('✓').count(), 7, "{}", again.text);
    assert_eq!(again.text.lines().count(), 7, "{}", again.text);
    assert_eq!(fs::metadata(&program).unwrap().ino(), before);
}

/// Not our client but Jupyter's own, with the kernel as set-up has entered it.
fn jupyter_runs_cells_in_the_kernel(clone: &Clone) {
    let name = "由 Jupyter 执行.ipynb";
    let cells = [
        (FIRST_CELL, false),
        ("println!(\"到了 {}\", 6 * 7);", false),
    ];
    fs::write(clone.root().join("notebooks").join(name), notebook(&cells)).unwrap();
    let mut nbconvert = clean(clone.python());
    nbconvert.args([
        "-m",
        "nbconvert",
        "--to=notebook",
        "--execute",
        "--stdout",
        "--ExecutePreprocessor.kernel_name=rust",
    ]);
    clone.settle(&mut nbconvert);
    nbconvert
        .arg(name)
        .current_dir(clone.root().join("notebooks"));
    let running = start(&mut nbconvert);
    let mark = running.mark.clone();
    let ended = running.finish(LONG).succeeded();
    assert!(ended.text.contains("到了 42"), "{}", ended.text);
    all_gone(&mark, Duration::from_secs(10));
}

fn the_book_needs_nothing_but_a_browser(clone: &Clone) {
    let out = clone.folder.path().join("讲义 文件夹/第 1 版");
    let mut export = clone.lab(&["export", "--out"]);
    // The whole course.
    finish(export.arg(&out), 4 * LONG).succeeded();
    let course: Vec<String> = fs::read_dir(clone.root().join("notebooks"))
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .filter_map(|name| Some(name.strip_suffix(".ipynb")?.to_owned()))
        .collect();
    assert!(course.len() >= 2, "{course:?}");
    let pages = fs::read_dir(&out).unwrap().count();
    assert_eq!(
        pages,
        2 * course.len() + 2,
        "a page and slides a notebook, the index, the whole, and no other file"
    );
    let index = fs::read_to_string(out.join("index.html")).unwrap();
    requests_nothing(&index);
    // What the search looks through comes with the first page, and stays small.
    let (_, sections) = index.split_once("id=\"book-sections\"").unwrap();
    let (sections, _) = sections.split_once("</script>").unwrap();
    let size = sections.len();
    assert!((100_000..1_000_000).contains(&size), "{size} bytes");
    for name in &course {
        assert!(
            index.contains(&format!("href=\"{name}.html\"")),
            "{name}: {index}"
        );
        let slides = fs::read_to_string(out.join(format!("{name}.slides.html"))).unwrap();
        requests_nothing(&slides);
        let page = fs::read_to_string(out.join(format!("{name}.html"))).unwrap();
        requests_nothing(&page);
        let chinese = page
            .chars()
            .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c));
        assert!(chinese.count() > 1000, "{name} has its text");
    }
    // Outputs, not only the cells that make them.
    for (name, output) in [
        ("01-why-coroutines", "Answer: 42"),
        ("02-define-and-run", "answer 开始执行"),
    ] {
        let page = fs::read_to_string(out.join(format!("{name}.html"))).unwrap();
        let printed = page.split("<pre").skip(1).any(|block| {
            let block = block.split("</pre>").next().unwrap();
            block.contains(output) && !block.contains("println")
        });
        assert!(printed, "{name} shows {output}");
    }

    if webdriver::is_there() {
        book::can_be_read_without_network(&out);
    }

    // A notebook that fails, or is none, changes nothing.
    let contents = || -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
            .into_iter()
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    };
    let before = contents();
    let failing = clone.folder.path().join("90-failing.ipynb");
    fs::write(&failing, notebook(&[("let wrong: u8 = \"\";", false)])).unwrap();
    let broken = clone.folder.path().join("91-broken.ipynb");
    fs::write(&broken, "{").unwrap();
    for (file, words) in [
        (
            &failing,
            &["90-failing.ipynb", "第 1 个", "cell-0", "mismatched types"][..],
        ),
        (&broken, &["91-broken.ipynb", "JSON"]),
    ] {
        let mut export = clone.lab(&["export", "--out"]);
        finish(export.arg(&out).arg(file), LONG).failed_with(words);
        assert_eq!(contents(), before);
        let beside = fs::read_dir(out.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "something half-done lies beside the book");
    }
}

#[test]
fn what_tasks_print_after_the_last_cell_is_in_the_page() {
    let spawns = "tokio::spawn(async {
        for n in 1..=3 {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            println!(\"第 {n} 声\");
        }
    });";
    let (folder, mut export) = lab_with("58-late.ipynb", &[(FIRST_CELL, false), (spawns, false)]);
    let out = folder.path().join("book");
    export
        .arg("export")
        .arg("58-late.ipynb")
        .arg("--out")
        .arg(&out);
    finish(&mut export, LONG).succeeded();
    let page = fs::read_to_string(out.join("58-late.html")).unwrap();
    assert!(page.contains("第 1 声\n第 2 声\n第 3 声\n"), "{page}");
}

/// What JupyterLab's menu does when "Sanitize HTML output" is ticked, as it proposes.
#[test]
fn sanitizing_keeps_text_and_pictures_and_lets_nothing_run() {
    let kept = [
        "<h2 id=",
        "<table>",
        "src=\"data:image/png;base64,AA\"/>",
        "<style>.a{fill:red}</style>",
        "<rect class=\"a\">",
        "<a href=\"02-x.ipynb#a\">",
    ];
    let text = "## 节\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n\n\
        [篇](02-x.ipynb#a) [坏](javascript:a) [坏](data:text/html,a)\n\n\
        <img src=\"data:image/png;base64,AA\" onerror=\"a\">\n\n<script>a</script>\n\n\
        <p title='<style>\" onclick=\"a</style>'>字</p>\n";
    let drawing = "<svg viewBox=\"0 0 1 1\" onload=\"a\"><style>.a{fill:red}</style>\
        <style>.b{fill:url(http://x)}</style><rect class=\"a\"/></svg>";
    let output = json!({
        "output_type": "display_data", "metadata": {}, "data": {"text/html": drawing},
    });
    let notebook = json!({
        "cells": [
            {"cell_type": "markdown", "id": "a", "metadata": {}, "source": text},
            {"cell_type": "code", "id": "b", "metadata": {}, "source": "1",
             "execution_count": 1, "outputs": [output]},
        ],
        "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ipynb");
    fs::write(&file, notebook.to_string()).unwrap();
    let mut nbconvert = clean(common::python());
    nbconvert.args([
        "-m",
        "nbconvert",
        "--to=html",
        "--HTMLExporter.sanitize_html=True",
    ]);
    // Whoever runs this test may have settings of their own.
    nbconvert
        .arg(&file)
        .env("JUPYTER_CONFIG_DIR", folder.path());
    finish(&mut nbconvert, SHORT).succeeded();
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    let body = page.split_once("<main>").unwrap().1;
    for expected in kept {
        assert!(body.contains(expected), "{expected} is missing: {body}");
    }
    // As text they do nothing.
    let tags = body
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next());
    for tag in tags {
        let runs = ["onerror", "onload", "onclick", "javascript:", "data:text"];
        let runs = runs.iter().any(|word| tag.contains(word)) || tag.starts_with("script");
        assert!(!runs, "<{tag}>");
    }
    assert!(!body.contains("<style>.b"), "{body}");
}

/// A browser that shows this page asks for nothing more.
fn requests_nothing(html: &str) {
    for tag in html
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
    {
        let kind = tag.split_whitespace().next().unwrap_or_default();
        for attribute in ["src", "srcset", "href", "data", "poster", "background"] {
            let Some((_, value)) = tag.split_once(&format!(" {attribute}=")) else {
                continue;
            };
            let value = value.trim_start_matches(['"', '\'']);
            let followed_by_hand = attribute == "href" && kind == "a";
            assert!(value.starts_with("data:") || followed_by_hand, "<{tag}>");
        }
    }
    for style in html.split("<style").skip(1) {
        let style = style.split("</style>").next().unwrap();
        assert!(!style.contains("@import"), "{style}");
        let loaded = style
            .split("url(")
            .skip(1)
            .map(|rest| rest.trim_start_matches(['"', '\'']));
        for address in loaded {
            assert!(address.starts_with("data:"), "{address}");
        }
    }
}

fn jupyterlab_opens_in_chinese_with_the_kernel(clone: &Clone) {
    // Even now, or nobody could mend it.
    let broken = clone.root().join("notebooks/09-broken.ipynb");
    fs::write(&broken, "{").unwrap();
    let port = free_port();
    let mut running = start(&mut clone.lab(&["open", "--no-browser", "--port", &port.to_string()]));
    let mark = running.mark.clone();
    let runtime = clone.folder.path().join("JUPYTER_RUNTIME_DIR");
    let mut token = None;
    running.until("Jupyter writes down its token", LONG, || {
        let files = fs::read_dir(&runtime).into_iter().flatten().flatten();
        let servers = files
            .filter(|file| file.file_name().to_string_lossy().starts_with("jpserver-"))
            .filter(|file| file.path().extension().is_some_and(|end| end == "json"));
        token = servers
            .filter_map(|file| serde_json::from_slice(&fs::read(file.path()).ok()?).ok())
            .find_map(|server: Value| {
                (server["port"] == port).then(|| server["token"].as_str().unwrap().to_owned())
            });
        token.is_some()
    });
    let token = token.unwrap();
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(SHORT)
        .build()
        .unwrap();
    let get = |path: &str| {
        let request = client.get(format!("http://127.0.0.1:{port}/{path}"));
        request
            .header("Authorization", format!("token {token}"))
            .send()?
            .error_for_status()?
            .text()
    };
    running.until("Jupyter answers", LONG, || get("api/kernelspecs").is_ok());
    println!("ready after {:?}", running.since.elapsed());
    let data = |path: &str| -> Value { serde_json::from_str(&get(path).unwrap()).unwrap() };

    let rust = &data("api/kernelspecs")["kernelspecs"]["rust"];
    let program = clone.root().join(".venv/share/jupyter/kernels/rust/kernel");
    assert_eq!(rust["spec"]["argv"], json!([program, "{connection_file}"]));
    assert!(
        get("kernelspecs/rust/logo-svg.svg")
            .unwrap()
            .contains("<svg")
    );
    let listed = data("api/contents")["content"].to_string();
    assert!(listed.contains("01-why-coroutines.ipynb"), "{listed}");
    assert!(get("lab").unwrap().contains("jupyter-config-data"));
    let language = data("lab/api/settings/@jupyterlab/translation-extension:plugin");
    let language = &language["schema"]["properties"]["locale"]["default"];
    assert_eq!(language, "zh_CN");
    let translation = data("lab/api/translations/zh_CN")["data"].to_string();
    assert!(translation.contains("文件"), "the language pack is there");
    // Nobody gets in without the token.
    let refused = client
        .get(format!("http://127.0.0.1:{port}/api/contents"))
        .send();
    assert_eq!(refused.unwrap().status(), 403);
    for said in ["09-broken.ipynb", "/lab/tree/00-guide.ipynb?token="] {
        assert!(running.text().contains(said), "{}", running.text());
    }

    running.signal("TERM");
    running.finish(SHORT);
    all_gone(&mark, Duration::from_secs(10));
    fs::remove_file(broken).unwrap();
}
