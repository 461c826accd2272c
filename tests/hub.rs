//! A class on JupyterHub: the real hub, proxy and spawner, with students that are system users.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{clean, lab, project, run_within};
use lab::class::hub::Hub;
use lab::class::student::{Body, Student};
use reqwest::{Method, StatusCode};

const START: Duration = Duration::from_secs(500);
const CELL: Duration = Duration::from_secs(120);

#[test]
fn first() {
    run_within(Duration::from_secs(600), async {
        let mut command = clean(lab());
        command.current_dir(project().root());
        let hub = Hub::start(
            command,
            std::path::Path::new("/srv/hubdev"),
            &["ann".into(), "bob".into()],
            &[],
            START,
        )
        .unwrap();
        let since = std::time::Instant::now();
        let mut ann = hub
            .student("ann", START)
            .await
            .unwrap_or_else(|e| panic!("{e:#}\n{}", hub.log()));
        println!("server {:?}", since.elapsed());
        let since = std::time::Instant::now();
        let (_, mut kernel) = ann
            .open("01-why-coroutines.ipynb")
            .await
            .unwrap_or_else(|e| panic!("{e:#}\n{}", hub.log()));
        println!("kernel {:?}", since.elapsed());
        for code in [
            common::FIRST_CELL,
            "let x = 1;",
            "x",
            "println!(\"{x}\")",
            "tokio::time::sleep(std::time::Duration::from_millis(1)).await;",
            "std::process::Command::new(\"id\").status().unwrap();",
        ] {
            println!(
                "{:?}",
                kernel
                    .execute(code, CELL)
                    .await
                    .unwrap_or_else(|e| panic!("{e:#}\n{}", hub.log()))
            );
        }
        let user = hub.user("ann").unwrap();
        println!("{:?}", lab::class::usage::of_user(user));
        println!("{}", hub.log());
        println!("{:?}", Command::new("sh").arg("-c").arg("ps aux | grep lab; find /srv/hubdev/homes -maxdepth 3 | head -50; ls -la /srv/hubdev/homes/ann/.cache/rust*/*/kernels/*/build/target/x86_64-unknown-linux-gnu/debug/deps | head -20; du -sh /srv/hubdev/homes/ann/.cache").status());
    });
}
