//! Notebooks 06 and 07 against the real things: MariaDB, Redis, and a server that takes spans as Zipkin
//! does. All of them live in temporary folders, on free ports of loopback, and end with the test.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::common::command::{LONG, Running, SHORT, finish, start_server};
use crate::common::{LIMIT, assert_in_order, clean, free_port, kernel_with, project, run};
use base::ipynb::Notebook;
use runner::client::{KernelClient, Outcome};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// What only the services make the cells print: all of these, in this order.
const PRINTS: [(&str, &[&str]); 13] = [
    ("database", &["数据库：mysql\n"]),
    ("pool", &["打开 5 个连接"]),
    ("count", &["20 行\n"]),
    ("find", &["[(\"JP\", \"日本\")]\n"]),
    ("injection", &["找到 0 行\n"]),
    ("injection-forced", &["找到 20 行\n"]),
    ("rollback", &["CN 90，IN 110\n", "RowNotFound", "CN 90\n"]),
    ("rollback-cancel", &["Err(Elapsed(()))\nCN 90\n"]),
    ("redis", &["连上了 Redis\n"]),
    ("get-set", &["Some(\"中国\")\nNone\n"]),
    (
        "redis-pipeline",
        &["一条一条：", "毫秒\n一起：", "最后的值：999\n"],
    ),
    ("counter", &["取出再存回：", "INCR：Some(100)\n"]),
    (
        "pub-sub",
        &["notebook:news：第一条\n", "第二条\n", "第三条\n"],
    ),
];

/// A program, also where Debian puts what an ordinary user's PATH leaves out.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.exists())
}

/// Whether all programs are there. If not, that is said aloud, and where no test may be skipped it
/// is a failure.
pub fn are_there() -> bool {
    let programs = ["mariadbd", "mariadb-install-db", "mariadb", "redis-server"];
    let missing = programs.into_iter().find(|name| program(name).is_none());
    let Some(missing) = missing else { return true };
    let how = format!("没有 {missing}：请安装（Debian：apt install mariadb-server redis-server）");
    assert!(std::env::var_os("LAB_SKIP_NOTHING").is_none(), "{how}");
    // Past the capture of the test's output: a skipped test is to be seen.
    let _ = writeln!(std::io::stderr(), "跳过对着 MariaDB 和 Redis 的测试，{how}");
    false
}

/// A server that ends with the test, also with one that fails or is killed.
pub struct Service {
    _running: Running,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Service {
    /// What notebooks are told of a Redis.
    pub fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Starts a server and waits until it takes connections.
fn serve(folder: tempfile::TempDir, port: u16, command: &mut Command) -> Service {
    let mut running = start_server(command);
    let what = format!("{:?} listens", command.get_program());
    running.until(&what, SHORT, || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Service {
        _running: running,
        port,
        _folder: folder,
    }
}

/// A MariaDB with an empty database `course`, whose user root needs no password.
fn mariadb() -> Service {
    let folder = tempfile::tempdir().unwrap();
    let place =
        |option: &str, name: &str| format!("--{option}={}", folder.path().join(name).display());
    // Servers refuse to run as root unless they are told to.
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let is_root = rustix::process::geteuid().is_root();
    let user = is_root.then_some("--user=root");
    finish(
        clean(program("mariadb-install-db").unwrap())
            .args(["--no-defaults", "--skip-test-db"])
            .arg("--auth-root-authentication-method=normal")
            .arg(place("datadir", "data"))
            .args(user),
        LONG,
    )
    .succeeded();
    let port = free_port(); // not before what takes its time
    fs::write(
        folder.path().join("init.sql"),
        "CREATE DATABASE course CHARACTER SET utf8mb4;\n",
    )
    .unwrap();
    let mut command = clean(program("mariadbd").unwrap());
    command
        .args(["--no-defaults", "--bind-address=127.0.0.1"])
        .arg(format!("--port={port}"))
        .arg(place("datadir", "data"))
        .arg(place("socket", "socket"))
        .arg(place("pid-file", "pid"))
        .arg(place("init-file", "init.sql"))
        .args(user);
    serve(folder, port, &mut command)
}

/// What MariaDB's own client gets for `sql`: a line for each row.
fn query(mariadb: &Service, sql: &str) -> String {
    let port = format!("--port={}", mariadb.port);
    let answer = clean(program("mariadb").unwrap())
        .args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &port])
        .args(["--user=root", "--default-character-set=utf8mb4"])
        .args(["--skip-column-names", "--batch", "--execute", sql, "course"])
        .output()
        .unwrap();
    assert!(answer.status.success(), "{answer:?}");
    String::from_utf8(answer.stdout).unwrap()
}

/// A Redis that writes nothing to disk.
pub fn redis() -> Service {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut command = clean(program("redis-server").unwrap());
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path());
    serve(folder, port, &mut command)
}

/// The bodies of the requests that a server has got.
type Posts = Arc<Mutex<Vec<Value>>>;

/// Takes spans as Zipkin does, and answers 202. One request a connection is enough here.
async fn zipkin(posts: Posts) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v2/spans", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
            }
            for line in head.lines() {
                if let Some((name, value)) = line.split_once(": ")
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.parse().unwrap();
                }
            }
            assert!(
                head.starts_with("POST /api/v2/spans HTTP/1.1\r\n"),
                "{head}"
            );
            assert!(
                head.contains("content-type: application/json\r\n"),
                "{head}"
            );
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            posts
                .lock()
                .unwrap()
                .push(serde_json::from_slice(&body).unwrap());
            let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

/// Checks the spans of one request against Zipkin's API, version 2, and returns them by their ids.
fn spans(post: &Value) -> HashMap<&str, &Value> {
    let is_id =
        |id: &str| id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut spans = HashMap::new();
    for span in post.as_array().expect("an array of spans") {
        let id = span["id"].as_str().expect("an id");
        let trace = span["traceId"].as_str().expect("a trace");
        assert!(is_id(id) && is_id(trace), "{span}");
        assert!(
            span["name"].as_str().is_some_and(|name| !name.is_empty()),
            "{span}"
        );
        assert!(span["localEndpoint"]["serviceName"].is_string(), "{span}");
        // Microseconds since 1970, of this century.
        assert!(
            span["timestamp"]
                .as_u64()
                .is_some_and(|at| at > 1_000_000_000_000_000),
            "{span}"
        );
        assert!(
            span["duration"].as_u64().is_some_and(|long| long > 0),
            "{span}"
        );
        let tags = span["tags"].as_object().expect("tags");
        assert!(tags.values().all(Value::is_string), "{span}");
        assert!(spans.insert(id, span).is_none(), "twice: {span}");
    }
    for span in spans.values() {
        match span
            .get("parentId")
            .map(|parent| parent.as_str().expect("an id"))
        {
            Some(parent) => {
                let parent = spans
                    .get(parent)
                    .unwrap_or_else(|| panic!("no parent: {span}"));
                assert_eq!(parent["traceId"], span["traceId"], "{span}");
                assert!(
                    parent["timestamp"].as_u64() <= span["timestamp"].as_u64(),
                    "{span}"
                );
            }
            None => assert_eq!(span["traceId"], span["id"], "{span}"),
        }
    }
    spans
}

/// Runs all cells in order, and returns what each of them printed.
async fn execute(kernel: &mut KernelClient, notebook: &Notebook) -> HashMap<String, String> {
    let mut printed = HashMap::new();
    for cell in notebook.code_cells() {
        let execution = kernel.execute(&cell.source, LIMIT).await.unwrap();
        let failed = matches!(execution.outcome, Outcome::Failed(_));
        assert_eq!(
            failed,
            cell.raises_exception(),
            "{}: {execution:#?}",
            cell.id
        );
        printed.insert(cell.id.clone(), execution.stream("stdout"));
    }
    printed
}

/// Our kernel for this notebook, with these services in its environment.
async fn kernel(notebook: &Path, mariadb: &Service, redis: &Service, zipkin: &str) -> KernelClient {
    let database = format!("mysql://root@127.0.0.1:{}/course", mariadb.port);
    let variables = [
        ("DATABASE_URL", database),
        ("REDIS_URL", redis.redis_url()),
        ("ZIPKIN_URL", zipkin.to_owned()),
    ];
    kernel_with(notebook, variables).await
}

#[test]
fn the_same_cells_run_against_mariadb_redis_and_zipkin() {
    if !are_there() {
        return;
    }
    let (mariadb, redis, posts) = (mariadb(), redis(), Posts::default());
    run(async {
        let zipkin = zipkin(posts.clone()).await;
        let mut printed = HashMap::new();
        for name in ["06", "07"] {
            let path = project().select(&[name.to_owned()]).unwrap().remove(0);
            let notebook = Notebook::load(&path).unwrap();
            let mut kernel = kernel(&path, &mariadb, &redis, &zipkin).await;
            for (id, text) in execute(&mut kernel, &notebook).await {
                printed.entry(id).or_insert(text); // ids that both have are 06's
            }
            kernel.shutdown().await.unwrap();
        }
        for (id, pieces) in PRINTS {
            assert_in_order(id, &printed[id], pieces);
        }
        the_rows_are_in_mariadb(&mariadb, &printed["pipeline-run"]);
    });
    zipkin_got_the_traces(&posts.lock().unwrap());
}

fn the_rows_are_in_mariadb(mariadb: &Service, printed: &str) {
    let countries = query(
        mariadb,
        "SELECT code, name, chinese, stamps FROM notebook_countries ORDER BY code",
    );
    let countries: Vec<_> = countries.lines().collect();
    assert_eq!(countries.len(), 20, "{countries:#?}");
    assert!(countries.contains(&"CN\tChina\t中国\t90"), "{countries:#?}");
    assert!(
        countries.contains(&"IN\tIndia\t印度\t110"),
        "{countries:#?}"
    );
    let flags = query(mariadb, "SELECT COUNT(*) FROM notebook_flags");
    let flags = flags.trim();
    assert!(
        printed.contains(&format!("数据库里 {flags} 行，一面不少：true")),
        "{printed}"
    );
    assert_ne!(flags, "0");
}

fn zipkin_got_the_traces(posts: &[Value]) {
    let traces: Vec<_> = posts.iter().map(spans).collect();
    let download = &traces[0];
    let named = |name| {
        download
            .values()
            .filter(|span| span["name"] == name)
            .count()
    };
    let counts = ["countries", "country", "国旗", "国名"].map(named);
    assert_eq!(counts, [1, 6, 6, 6], "{download:#?}");
    let whole: HashSet<_> = download.values().map(|span| &span["traceId"]).collect();
    assert_eq!(whole.len(), 1, "one trace: {download:#?}");
}
