//! A class that works. These tests share one hub, with a student or two of their own each.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use crate::common::command::{SHORT, finish};
use crate::common::{FIRST_CELL, clean, free_port, program, project, run, write_program};
use base::processes::{command_line, of_user};
use hub::browser::{Body, Browser};
use hub::channels::Channels;
use hub::played::PlayedHub;
use hub::student::Student;
use link::variable;
use reqwest::{Method, StatusCode};
use serde_json::json;
use walkdir::WalkDir;

/// Preparing a hub downloads JupyterHub and compiles what notebooks depend on.
const SET_UP: Duration = Duration::from_secs(1500);
pub(crate) const SERVER: Duration = Duration::from_secs(120);
pub(crate) const CELL: Duration = Duration::from_secs(180);
const NOTEBOOK: &str = "01-why-coroutines.ipynb";

/// Names a folder in which what the hub's students share is kept from run to run.
const DATA_ENV: &str = "LAB_HUB_DATA";

/// Its notebooks' dependencies are those of most; those of the others take minutes more.
/// Nothing is done ahead for students of whom each has a test of its own.
const OPTIONS: [&str; 7] = [
    "--memory",
    "2",
    "--notebook",
    "00",
    "--on-demand",
    "--spares",
    "0",
];

/// What the first test that needed a hub has come to.
struct Started {
    /// The hub, or why there is none.
    hub: Result<Arc<PlayedHub>, String>,
    /// Whether something had to be downloaded.
    is_new: bool,
    /// The folder to remove at the end.
    own: Option<PathBuf>,
}

static STARTED: Mutex<Option<Started>> = Mutex::new(None);

fn started() -> MutexGuard<'static, Option<Started>> {
    // A test that fails must not keep the others from saying what is wrong with them.
    STARTED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Whether users can be made.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(
            std::env::var_os("LAB_SKIP_NOTHING").is_none(),
            "making users needs root"
        );
        println!("skipped: making users needs root");
    }
    root
}

/// A folder that students can pass: not in one of root's alone, as `TMPDIR` may be.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix("lab-hub-")
        .tempdir_in("/var/tmp");
    folder.unwrap()
}

/// The hub, started with the first test; none where there can be none. Preparing it takes minutes:
/// when that fails, it does so once, for all of them.
pub(crate) fn hub() -> Option<Arc<PlayedHub>> {
    if !is_root() {
        return None;
    }
    let mut started = started();
    let Started { hub, .. } = started.get_or_insert_with(start);
    match hub {
        Ok(hub) => Some(hub.clone()),
        Err(error) => panic!("the hub has not started: {error}"),
    }
}

fn start() -> Started {
    let kept = std::env::var_os(DATA_ENV).map(PathBuf::from);
    let own = kept.is_none().then(|| folder().keep());
    let data = kept.or(own.clone()).unwrap();
    let is_new = !data.join("shared/proxy").exists();
    let students = [
        "ann", "bob", "cai", "dan", "eve", "fay", "gus", "hal", "ian", "joy", "kim",
    ]
    .map(str::to_owned);
    let mut command = clean(program("hub"));
    command.current_dir(project().root());
    with_secrets(&mut command);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hub = PlayedHub::start(command, &data, &students, &OPTIONS, SET_UP);
    let hub = runtime.block_on(hub);
    // SAFETY: the function is there as long as the process.
    unsafe { libc::atexit(end) };
    Started {
        hub: hub.map(Arc::new).map_err(|error| format!("{error:#}")),
        is_new,
        own,
    }
}

/// Ends the hub after the last test, and removes its users and files.
extern "C" fn end() {
    if let Some(Started { hub, own, .. }) = started().take() {
        drop(hub);
        if let Some(own) = own {
            let _ = fs::remove_dir_all(own);
        }
    }
}

/// A word that nobody but the preparing teacher must know.
static CANARY: LazyLock<String> =
    LazyLock::new(|| format!("canary{}", uuid::Uuid::new_v4().simple()));

/// The way to the network through which the class is prepared, unless this machine has one already.
static PROXY: LazyLock<Proxy> = LazyLock::new(Proxy::start);

/// Gives the environment of whoever prepares a class what must not come through: secrets, and a
/// proxy with a password.
fn with_secrets(command: &mut Command) {
    let secret = &*CANARY;
    command
        .env("MY_REGISTRY_PASSWORD", secret)
        .env("CARGO_REGISTRIES_NEAR_TOKEN", secret)
        // Build scripts print it, commits name it.
        .env("CFLAGS", format!("-D{secret}"))
        .env("GIT_AUTHOR_NAME", secret)
        .env("GIT_COMMITTER_EMAIL", secret)
        // One that nothing uses, and one that everything does.
        .env(
            "RSYNC_PROXY",
            format!("http://teacher:{secret}@127.0.0.1:9"),
        );
    if !has_proxy() {
        let address = format!("http://teacher:{secret}@127.0.0.1:{}", PROXY.port);
        command.env("https_proxy", address);
    }
}

/// Whether this machine reaches the network through a proxy.
fn has_proxy() -> bool {
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// A proxy for HTTPS on loopback that lets everybody through, and counts who knew the password.
struct Proxy {
    port: u16,
    knowing: AtomicUsize,
    others: AtomicUsize,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                std::thread::spawn(move || PROXY.serve(client?));
            }
        });
        Proxy {
            port,
            knowing: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
        }
    }

    /// Connects one client with where it wants to go.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        let knows = head.to_lowercase().contains("proxy-authorization: basic");
        let count = if knows { &self.knowing } else { &self.others };
        count.fetch_add(1, Ordering::Relaxed);
        let mut words = head.split(' ').skip(1);
        let mut server = TcpStream::connect(words.next().unwrap_or_default())?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        let (mut to, mut from) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
        std::io::copy(&mut server, &mut client)?;
        client.shutdown(std::net::Shutdown::Write)
    }
}

/// A student with a server.
pub(crate) async fn student(hub: &PlayedHub, name: &str) -> Student {
    let student = hub.student(name, SERVER).await;
    student.unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", hub.log()))
}

/// A student's kernel for notebook 01, with the first cell run.
pub(crate) async fn kernel(hub: &PlayedHub, student: &mut Student) -> Channels {
    let (_, mut kernel) = student.server.open(NOTEBOOK).await.unwrap();
    let first = kernel.execute(FIRST_CELL, CELL).await;
    let first = first.unwrap_or_else(|error| panic!("{error:#}\n{}", hub.log()));
    assert_eq!(first.status, "ok", "{first:?}\n{}", hub.log());
    kernel
}

/// What a cell that succeeds prints.
pub(crate) async fn prints(kernel: &mut Channels, code: &str) -> String {
    let done = kernel.execute(code, CELL).await.unwrap();
    assert_eq!(done.status, "ok", "{code}: {done:?}");
    done.text
}

#[test]
fn a_students_first_cell_finds_everything_compiled() {
    let Some(hub) = hub() else { return };
    run(async {
        let mut ann = student(&hub, "ann").await;
        let mut kernel = kernel(&hub, &mut ann).await;
        assert_eq!(
            prints(
                &mut kernel,
                "tokio::time::sleep(std::time::Duration::from_millis(1)).await; 6 * 7"
            )
            .await,
            "42"
        );
        // All of them are links to what the class shares, or copies, which keep their times.
        let libraries = |folder: PathBuf| -> Vec<_> {
            let entries = WalkDir::new(folder).into_iter().flatten();
            entries
                .filter(|entry| entry.path().extension().is_some_and(|end| end == "rlib"))
                .map(|entry| {
                    let changed = entry.metadata().unwrap().modified().unwrap();
                    ((entry.file_name().to_owned(), changed), entry)
                })
                .collect()
        };
        let shared = libraries(hub.data().join("shared/warm"));
        let shared: HashSet<_> = shared.into_iter().map(|(what, _)| what).collect();
        let own = libraries(hub.home("ann").join(".cache"));
        assert!(own.len() > 20, "{own:?}");
        for (what, entry) in own {
            assert!(
                entry.path_is_symlink() || shared.contains(&what),
                "{entry:?} is the student's own"
            );
        }
    });
}

#[test]
fn a_crate_that_the_class_does_not_share_is_downloaded() {
    let Some(hub) = hub() else { return };
    run(async {
        let mut joy = student(&hub, "joy").await;
        let (_, mut kernel) = joy.server.open(NOTEBOOK).await.unwrap();
        // None of ours, nor of what we depend on, uses this one.
        let code = ":dep roman = \"0.1\"\nprintln!(\"{:?}\", roman::to(42));";
        let text = prints(&mut kernel, code).await;
        assert_eq!(text, "Some(\"XLII\")\n", "{}", hub.log());
        assert!(hub.home("joy").join(".cargo/registry").is_dir());
        // It went the way that the teacher has named, without the password for it.
        assert!(has_proxy() || PROXY.others.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn what_a_class_shares_holds_no_secret_of_who_prepares_it() {
    let Some(hub) = hub() else { return };
    let shared = hub.data().join("shared");
    let secret = &*CANARY;
    let (mut files, mut bytes, mut seen) = (Vec::new(), 0, HashSet::new());
    for entry in WalkDir::new(&shared) {
        // Another test has new commits pulled, and git's own files come and go.
        let Ok(entry) = entry else { continue };
        let target = fs::read_link(entry.path()).unwrap_or_default();
        for name in [entry.path(), &target] {
            assert!(!name.to_string_lossy().contains(secret), "{entry:?}");
        }
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.is_file() && seen.insert((found.dev(), found.ino())) {
            bytes += found.len();
            files.extend_from_slice(entry.path().as_os_str().as_bytes());
            files.push(0);
        }
    }
    println!("{} files, {bytes} bytes", seen.len());
    assert!(
        seen.len() > 10_000 && bytes > 1 << 29,
        "what a class shares is more"
    );
    let list = hub.data().join("hub/files");
    fs::write(&list, files).unwrap();
    let containing = |text: &str| {
        let mut grep = clean("xargs");
        grep.env("LC_ALL", "C")
            .args(["--null", "--arg-file"])
            .arg(&list)
            .args([
                "grep",
                "--no-messages",
                "--text",
                "--files-with-matches",
                "--fixed-strings",
                text,
                "/dev/null",
            ]);
        String::from_utf8(grep.output().unwrap().stdout).unwrap()
    };
    assert_eq!(containing(secret), "");
    // It is looked for where it could be: this is in a library and in text.
    let found = containing("nest_tokio");
    assert!(
        found.contains(".rlib\n") && found.contains(".rs\n"),
        "{found}"
    );
    // What is compressed.
    let mut log = clean("git");
    log.arg("--git-dir")
        .arg(shared.join("notebooks.git"))
        .args(["-c", "safe.directory=*", "log", "--format=fuller"]);
    let log = String::from_utf8(log.output().unwrap().stdout).unwrap();
    assert!(
        log.contains("lab@localhost") && !log.contains(secret),
        "{log}"
    );
    let is_new = started().as_ref().is_some_and(|started| started.is_new);
    if is_new && !has_proxy() {
        let knowing = PROXY.knowing.load(Ordering::Relaxed);
        println!("{knowing} downloads with the password");
        assert!(knowing > 0, "the class was not prepared with the password");
    }
}

#[test]
fn students_reach_the_network_as_the_class_does_but_without_passwords() {
    let Some(hub) = hub() else { return };
    run(async {
        let _server = student(&hub, "kim").await;
        let environments: Vec<String> = of_user(hub.user("kim").unwrap())
            .filter_map(|process| fs::read_to_string(format!("/proc/{process}/environ")).ok())
            // One that has just ended or is just being started has none.
            .filter(|environment| !environment.is_empty())
            .collect();
        assert!(!environments.is_empty());
        for environment in environments {
            let environment = format!("\0{environment}");
            assert!(!environment.contains(&*CANARY), "{environment}");
            let proxy = "\0RSYNC_PROXY=http://127.0.0.1:9\0";
            assert!(environment.contains(proxy), "{environment}");
        }
    });
}

/// A class that cannot be prepared, since npm fails: with its name, and what it has made.
fn without_npm(data: &Path) -> Command {
    let (list, bin) = (data.join("list"), data.join("bin"));
    fs::write(&list, "ann").unwrap();
    fs::create_dir(&bin).unwrap();
    // Its last argument is the folder.
    let npm = "#!/bin/sh\nfor place; do :; done\nmkdir \"$place/node_modules\"\necho self-signed certificate in certificate chain >&2\nexit 1\n";
    write_program(&bin.join("npm"), npm);
    let mut path = vec![bin];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let mut command = clean(program("hub"));
    command
        .current_dir(project().root())
        .env("PATH", std::env::join_paths(path).unwrap())
        .args(["--port", &free_port().to_string(), "--students"])
        .arg(&list)
        .arg("--data")
        .arg(data);
    command
}

#[test]
fn a_proxy_that_cannot_be_installed_is_said_before_anything_takes_time() {
    if !is_root() {
        return;
    }
    let data = folder();
    let said = ["self-signed certificate", "NODE_EXTRA_CA_CERTS"];
    finish(&mut without_npm(data.path()), SHORT).failed_with(&said);
    let shared = fs::read_dir(data.path().join("shared")).unwrap();
    let shared: Vec<_> = shared.map(|entry| entry.unwrap().file_name()).collect();
    let quick = |name: &OsString| name == "project" || name == "commit";
    assert!(shared.iter().all(quick), "{shared:?}");
}

#[test]
fn a_teacher_who_has_used_the_notebooks_before_can_have_a_class() {
    if !is_root() {
        return;
    }
    // Root is given the teacher's home, with caches that are not root's.
    let data = folder();
    let cache = data.path().join("cache");
    let mut doctor = clean(program("lab"));
    doctor
        .arg("doctor")
        .env(variable::CACHE, &cache)
        .current_dir(project().root());
    finish(&mut doctor, SHORT);
    let folders = WalkDir::new(&cache).into_iter().flatten();
    let made = folders.map(|entry| chown(entry.path(), Some(12345), None).unwrap());
    assert!(made.count() > 2);
    let mut command = without_npm(data.path());
    finish(command.env(variable::CACHE, &cache), SHORT).failed_with(&["self-signed certificate"]);
}

#[test]
fn a_wrong_password_and_a_name_that_is_not_on_the_list_are_refused() {
    let Some(hub) = hub() else { return };
    run(async {
        for (name, password) in [
            ("bob", "wrong-password"),
            ("bob", ""),
            ("bob", &*hub.password("cai").unwrap()),
            ("nobody", "wrong-password"),
            ("root", ""),
        ] {
            let mut student = Student::new(&hub.url(), name).unwrap();
            assert!(
                !student.log_in(password).await.unwrap(),
                "{name} {password}"
            );
            let home = student.server.browser.page("/hub/home").await.unwrap();
            assert!(home.text.contains("login"), "{}", home.text);
        }
        let signup = Browser::new(&hub.url()).unwrap().page("/hub/signup").await;
        assert_eq!(signup.unwrap().status, StatusCode::NOT_FOUND);
        let mut bob = Student::new(&hub.url(), "bob").unwrap();
        assert!(bob.log_in(&hub.password("bob").unwrap()).await.unwrap());
    });
}

/// Whether an answer shows nothing: refused, not found, or sent to log in.
fn refused(status: StatusCode) -> bool {
    [401, 403, 404].contains(&status.as_u16()) || status.is_redirection()
}

#[test]
fn another_students_server_files_and_kernels_are_refused() {
    let Some(hub) = hub() else { return };
    run(async {
        let mut cai = student(&hub, "cai").await;
        let mut secret = kernel(&hub, &mut cai).await;
        prints(&mut secret, "let secret = 42;").await;
        let mut dan = student(&hub, "dan").await;
        let mut own = kernel(&hub, &mut dan).await;

        // Through the hub and the proxy, with dan's cookies.
        let mut intruder = dan.server.clone();
        intruder.path = cai.server.path.clone();
        let id = &secret.kernel;
        for (method, path) in [
            (Method::GET, "lab".to_owned()),
            (Method::GET, "api/status".to_owned()),
            (Method::GET, format!("api/contents/{NOTEBOOK}")),
            (Method::GET, format!("files/{NOTEBOOK}")),
            (Method::GET, "api/kernels".to_owned()),
            (Method::POST, format!("api/kernels/{id}/restart")),
            (Method::DELETE, format!("api/kernels/{id}")),
            (Method::DELETE, format!("api/contents/{NOTEBOOK}")),
        ] {
            let path = intruder.at(&path);
            let answer = intruder
                .browser
                .request(method.clone(), &path, Body::None)
                .await
                .unwrap();
            assert!(refused(answer.status), "{method} {path}: {answer:?}");
            if method == Method::GET {
                let page = intruder.browser.page(&path).await.unwrap();
                assert!(!page.status.is_success(), "{path}: {page:?}");
            }
        }
        assert!(intruder.channels(id).await.is_err());
        for (method, path) in [
            (Method::GET, "/hub/api/users/cai"),
            (Method::DELETE, "/hub/api/users/cai/server"),
            (Method::POST, "/hub/api/users/cai/tokens"),
            (Method::GET, "/hub/api/users"),
        ] {
            let browser = &mut dan.server.browser;
            let answer = browser.request(method.clone(), path, Body::None).await;
            let answer = answer.unwrap();
            assert!(refused(answer.status), "{method} {path}: {answer:?}");
        }

        // Past them, from a cell.
        let server = hub.user("cai").unwrap();
        let process = of_user(server).next().unwrap();
        let runtime = format!("/run/rust-async-class/{}", hub.account("cai"));
        let shared = hub.data().join("shared/warm/x");
        for shell in [
            format!("ls {}", hub.home("cai").display()),
            format!("cat {}/notebooks/{NOTEBOOK}", hub.home("cai").display()),
            format!("ls {runtime}"),
            format!("cat /proc/{process}/environ"),
            format!("kill {process}"),
            format!("ls {}/hub", hub.data().display()),
            format!("touch {}", shared.display()),
            format!("rm -r {}/shared/toolchain", hub.data().display()),
            "cat /etc/shadow".to_owned(),
        ] {
            let code = format!(
                "let done = std::process::Command::new(\"sh\").arg(\"-c\").arg({shell:?}).output().unwrap();\nprintln!(\"{{}}{{}}\", done.status.success(), String::from_utf8_lossy(&done.stdout));"
            );
            assert_eq!(prints(&mut own, &code).await, "false\n", "{shell}");
        }
        // No channel of a kernel is on a port, where any user could listen: neither those to
        // Jupyter nor those to evcxr.
        let inner = of_user(server)
            .flat_map(command_line)
            .map(PathBuf::from)
            .find(|argument| argument.ends_with("inner.json"));
        let outer = Path::new(&runtime).join(format!("kernel-{id}.json"));
        for file in [outer, inner.unwrap()] {
            let connection = fs::read(&file).unwrap();
            let connection: serde_json::Value = serde_json::from_slice(&connection).unwrap();
            assert_eq!(connection["transport"], "ipc", "{}", file.display());
        }

        assert_eq!(prints(&mut secret, "println!(\"{secret}\");").await, "42\n");
    });
}

#[test]
fn forged_cookies_and_tokens_are_refused() {
    let Some(hub) = hub() else { return };
    run(async {
        let eve = student(&hub, "eve").await.server;
        let pages = [eve.at("api/contents"), "/hub/api/user".to_owned()];
        for path in &pages {
            // What is refused below is let in otherwise.
            let mut browser = eve.browser.clone();
            let answer = browser.request(Method::GET, path, Body::None).await;
            assert_eq!(answer.unwrap().status, StatusCode::OK, "{path}");
            let mut forged = eve.browser.clone();
            forged.forge_cookies();
            let answer = forged.request(Method::GET, path, Body::None).await.unwrap();
            assert!(refused(answer.status), "{path}: {answer:?}");
            for token in ["", "0123456789abcdef0123456789abcdef"] {
                let mut stranger = Browser::new(&hub.url()).unwrap();
                let answer = stranger
                    .request(Method::GET, path, Body::Token(token))
                    .await;
                let answer = answer.unwrap();
                assert!(refused(answer.status), "{path} {token}: {answer:?}");
            }
        }
    });
}

/// Git, in a folder.
fn git(folder: &Path, arguments: &[&str]) {
    let mut git = clean("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@localhost", "-C"])
        .arg(folder)
        .args(arguments);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn updates_reach_a_students_copy_and_what_was_changed_in_it_stays() {
    let Some(hub) = hub() else { return };
    run(async {
        let mut fay = student(&hub, "fay").await;
        let path = format!("api/contents/{NOTEBOOK}");
        let mut file = fay
            .server
            .api(Method::GET, &path, Body::None)
            .await
            .unwrap();
        file["content"]["cells"][1]["source"] = json!("// fay was here");
        let saved = json!({"type": "notebook", "content": file["content"]});
        fay.server
            .api(Method::PUT, &path, Body::Json(&saved))
            .await
            .unwrap();
        let own = json!({"type": "file", "format": "text", "content": "fay's own"});
        fay.server
            .api(Method::PUT, "api/contents/own.txt", Body::Json(&own))
            .await
            .unwrap();
        fay.stop_server().await.unwrap();

        // The teacher's update: a new file, and a notebook changed that fay has changed, too.
        let folder = tempfile::tempdir().unwrap();
        let repository = hub.data().join("shared/notebooks.git");
        git(
            folder.path(),
            &["clone", "--quiet", repository.to_str().unwrap(), "teacher"],
        );
        let teacher = folder.path().join("teacher");
        fs::write(teacher.join("news.txt"), "news").unwrap();
        let notebook = teacher.join(NOTEBOOK);
        let text = fs::read_to_string(&notebook).unwrap();
        let (before, after) = text.rsplit_once("\"source\": [").unwrap();
        fs::write(
            &notebook,
            format!("{before}\"source\": [\n    \"// the teacher was here\\n\",{after}"),
        )
        .unwrap();
        git(&teacher, &["add", "."]);
        git(&teacher, &["commit", "--quiet", "--message", "update"]);
        git(&teacher, &["push", "--quiet", "origin", "main"]);

        fay.start_server(SERVER).await.unwrap();
        let news = fay
            .server
            .api(Method::GET, "api/contents/news.txt", Body::None)
            .await
            .unwrap();
        assert_eq!(news["content"], "news");
        let own = fay
            .server
            .api(Method::GET, "api/contents/own.txt", Body::None)
            .await
            .unwrap();
        assert_eq!(own["content"], "fay's own");
        let file = fay
            .server
            .api(Method::GET, &path, Body::None)
            .await
            .unwrap();
        let text = file["content"].to_string();
        assert!(text.contains("fay was here"), "{text}");
        assert!(text.contains("the teacher was here"), "{text}");
    });
}

#[test]
fn a_cell_that_takes_too_much_memory_fails_and_a_neighbour_does_not_notice() {
    let Some(hub) = hub() else { return };
    run(async {
        let (mut gus, mut hal) = (student(&hub, "gus").await, student(&hub, "hal").await);
        let mut neighbour = kernel(&hub, &mut hal).await;
        prints(&mut neighbour, "let kept = 42;").await;
        let mut greedy = kernel(&hub, &mut gus).await;
        let code = "let mut much: Vec<Vec<u8>> = Vec::new();\nfor _ in 0..64 { much.push(vec![1; 64 << 20]); }\nprintln!(\"{}\", much.len());";
        let done = greedy.execute(code, CELL).await.unwrap();
        assert_eq!(done.status, "error", "{done:?}");
        assert!(!done.text.contains("64\n"), "{done:?}");
        // It is only the cells' process that has gone.
        assert_eq!(
            prints(&mut greedy, "println!(\"{}\", 6 * 7);").await,
            "42\n"
        );
        assert_eq!(
            prints(&mut neighbour, "println!(\"{kept}\");").await,
            "42\n"
        );
    });
}

#[test]
fn what_is_idle_is_culled() {
    let Some(hub) = hub() else { return };
    // Half an hour is too long to wait for: this is what both are told. `ends.rs` waits for less.
    let log = hub.log();
    assert!(
        log.contains("jupyterhub_idle_culler', '--timeout=3600'"),
        "{log}"
    );
    run(async {
        student(&hub, "ian").await;
        let log = hub.log();
        assert!(log.contains("cull_idle_timeout=1800"), "{log}");
    });
}

#[test]
fn the_passwords_are_for_root_alone_and_no_two_are_the_same() {
    let Some(hub) = hub() else { return };
    let list = hub.data().join("hub/passwords");
    assert_eq!(fs::metadata(&list).unwrap().mode() & 0o777, 0o600);
    let list = fs::read_to_string(list).unwrap();
    let mut passwords: Vec<&str> = list
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    passwords.sort();
    passwords.dedup();
    assert_eq!(passwords.len(), 12, "eleven students and the teacher");
}
