//! What ends, and what stays: a hub that crashes, what nobody uses, what was started ahead. Each test
//! has a hub of its own; what students share is that of the hub of the others.

use std::collections::HashSet;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base::processes::of_user;
use hub::browser::Body;
use hub::played::PlayedHub;
use hub::student::Student;
use hub::usage;
use reqwest::Method;
use serde_json::json;

use crate::class::{CELL, SERVER, folder, hub, kernel, prints, student};
use crate::common::{FIRST_CELL, clean, program, project, run};

/// What a hub may take to start for which everything is prepared.
const START: Duration = Duration::from_secs(120);
/// What culling, or starting ahead, may take on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// A hub for these students with everything prepared already, as long as `test` runs.
fn with_hub<F: Future<Output = ()>>(
    students: &[&str],
    options: &[&str],
    test: impl FnOnce(PlayedHub) -> F,
) {
    let Some(prepared) = hub() else { return };
    let folder = folder();
    let prepared = prepared.data().to_str().unwrap().to_owned();
    let students: Vec<String> = students.iter().map(|name| (*name).to_owned()).collect();
    let options = [&["--prepared", &prepared][..], options].concat();
    run(async {
        let mut command = clean(program("hub"));
        command.current_dir(project().root());
        let hub = PlayedHub::start(command, folder.path(), &students, &options, START).await;
        test(hub.unwrap_or_else(|error| panic!("the hub has not started: {error:#}"))).await;
    });
}

/// Waits until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {LONG:?}: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Saves a file of the student's own.
async fn save(student: &mut Student, name: &str, content: &str) {
    let file = json!({"type": "file", "format": "text", "content": content});
    let path = format!("api/contents/{name}");
    let saved = student.server.api(Method::PUT, &path, Body::Json(&file));
    saved.await.unwrap();
}

#[test]
fn servers_and_kernels_survive_a_hub_that_is_killed_and_started_again() {
    with_hub(
        &["lea", "max"],
        &["--on-demand", "--spares", "0"],
        async |hub| {
            let mut lea = student(&hub, "lea").await;
            let mut before = kernel(&hub, &mut lea).await;
            prints(&mut before, "let kept = 42;").await;
            let hub = hub.crash(START).await.unwrap();
            // Her page connects to the kernel once more; she has not logged in again.
            lea.spawn(SERVER).await.unwrap();
            let mut after = lea.server.channels(&before.kernel).await.unwrap();
            assert_eq!(prints(&mut after, "println!(\"{kept}\");").await, "42\n");
            // The hub knows her server, and can end it; others come as before.
            student(&hub, "max").await;
            lea.stop_server().await.unwrap();
            assert_eq!(of_user(hub.user("lea").unwrap()).count(), 0);
        },
    );
}

#[test]
fn what_nobody_uses_goes_and_what_somebody_uses_or_has_saved_stays() {
    let options = ["--on-demand", "--spares", "0", "--cull", "10"];
    with_hub(&["lea", "max"], &options, async |hub| {
        let mut lea = student(&hub, "lea").await;
        save(&mut lea, "own.txt", "lea's own").await;
        let mut max = student(&hub, "max").await;
        let mut used = kernel(&hub, &mut max).await;
        prints(&mut used, "let kept = 42;").await;
        let (_, unused) = max.server.open("00-guide.ipynb").await.unwrap();
        drop(unused); // the page is closed
        until("only what is used is there", async || {
            assert_eq!(prints(&mut used, "println!(\"{kept}\");").await, "42\n");
            let kernels = max.server.api(Method::GET, "api/kernels", Body::None);
            let kernels = kernels.await.unwrap();
            let left: HashSet<_> = kernels
                .as_array()
                .unwrap()
                .iter()
                .map(|k| &k["id"])
                .collect();
            assert!(left.contains(&json!(used.kernel)), "{left:?}");
            left.len() == 1 && of_user(hub.user("lea").unwrap()).next().is_none()
        })
        .await;
        lea.start_server(SERVER).await.unwrap();
        let own = lea
            .server
            .api(Method::GET, "api/contents/own.txt", Body::None);
        assert_eq!(own.await.unwrap()["content"], "lea's own");
    });
}

/// The sockets of a student's spare kernels that wait.
fn spares(hub: &PlayedHub, name: &str) -> Vec<PathBuf> {
    let folder = format!("/run/rust-async-class/{}/spares", hub.account(name));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn a_server_and_a_kernel_are_ready_before_the_student_comes_and_go_with_the_server() {
    with_hub(&["lea"], &[], async |hub| {
        until("a server with a spare kernel", async || {
            !spares(&hub, "lea").is_empty() && usage::of_spares(&hub.account("lea")) > 0
        })
        .await;
        hub.until_all_are_open(LONG).await.unwrap();
        // As this student, who is no other's.
        let first = spares(&hub, "lea").remove(0);
        let mut lea = student(&hub, "lea").await;
        let mut taken = kernel(&hub, &mut lea).await;
        assert!(!first.exists(), "the kernel is another one");
        prints(&mut taken, "let kept = 42;").await;
        until("the next spare", async || !spares(&hub, "lea").is_empty()).await;
        let second = spares(&hub, "lea").remove(0);
        // What a restart gives is a new one.
        let mut taken = lea.server.restart(&taken.kernel).await.unwrap();
        let first_cell = taken.execute(FIRST_CELL, CELL).await.unwrap();
        assert_eq!(first_cell.status, "ok", "{first_cell:?}");
        let done = taken.execute("kept", CELL).await.unwrap();
        assert_eq!(done.status, "error", "{done:?}");
        assert!(!second.exists(), "the kernel is another one");
        lea.stop_server().await.unwrap();
        assert_eq!(of_user(hub.user("lea").unwrap()).count(), 0);
        // For the next one she waits herself: it does not stand behind the others.
        lea.start_server(SERVER).await.unwrap();
        let browser = &mut lea.server.browser;
        let lea = browser.request(Method::GET, "/hub/api/users/lea", Body::None);
        let lea = lea.await.unwrap().json().unwrap();
        assert_eq!(lea["servers"][""]["user_options"], json!({}), "{lea}");
    });
}
