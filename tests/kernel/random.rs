//! A real kernel, and whatever a student may do with it, in any order: it never hangs, answers each
//! cell once, and loses no variable that should have survived.
//!
//! `LAB_RANDOM_SECONDS` says for how long (120), `LAB_RANDOM_SEED` makes the same again.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::front::{Client, status};
use crate::common::{FIRST_CELL, LIMIT, kernel, run_within};
use jupyter_protocol::{CompleteRequest, ReplyStatus};
use runner::client::KernelClient;

/// What the memory of a front may grow by, whatever has been done with it.
const GROWTH: u64 = 60 << 20;

/// What is done next, and how often it is, compared with the others.
const STEPS: [(Step, u64); 13] = [
    (Step::Counts, 12),
    (Step::Panics, 6),
    (Step::Returns, 4),
    (Step::Mistake, 4),
    (Step::CancelledWait, 6),
    (Step::InterruptAnywhere, 12),
    (Step::InterruptIdle, 3),
    (Step::SecondPress, 2),
    (Step::Exits, 2),
    (Step::KilledBetween, 2),
    (Step::Completes, 4),
    (Step::Floods, 3),
    (Step::Asks, 4),
];
/// A restart takes as long as many of the others.
const RESTART_EVERY: u64 = 60;

#[derive(Clone, Copy, Debug)]
enum Step {
    Counts,
    Panics,
    Returns,
    Mistake,
    CancelledWait,
    /// At some moment of a cell that would end by itself.
    InterruptAnywhere,
    InterruptIdle,
    /// Of a loop that nothing else ends.
    SecondPress,
    Exits,
    /// The process of the cells, while no cell runs.
    KilledBetween,
    Completes,
    Floods,
    /// Reads from standard input.
    Asks,
}

/// Numbers that look random, the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn step(&mut self) -> Step {
        let mut at = self.below(STEPS.iter().map(|(_, often)| often).sum());
        for (step, often) in STEPS {
            match at.checked_sub(often) {
                Some(rest) => at = rest,
                None => return step,
            }
        }
        unreachable!("it is below the sum")
    }
}

/// A kernel, its client, and what the variable in it must be: none if it is lost.
struct Session {
    kernel: KernelClient,
    client: Client,
    kept: Option<u64>,
}

impl Session {
    async fn new() -> Session {
        let kernel = kernel().await;
        let client = Client::new(&kernel).await;
        let mut session = Session {
            kernel,
            client,
            kept: None,
        };
        assert_eq!(session.run(FIRST_CELL).await, "");
        session
    }

    /// Runs a cell. Returns its error's name, or nothing.
    async fn run(&mut self, code: &str) -> String {
        let id = self.client.execute(code).await;
        self.end(&id).await
    }

    /// Waits for the end of a cell. Returns its error's name, or nothing.
    async fn end(&mut self, id: &str) -> String {
        let shown = self.client.until_idle(id).await;
        let reply = self.client.reply().await;
        let parent = reply.parent_header.as_ref().map(|parent| &*parent.msg_id);
        assert_eq!(parent, Some(id), "each cell is answered once");
        let errors = shown.iter().filter(|(kind, _)| kind == "error");
        let errors: Vec<&Value> = errors.map(|(_, content)| content).collect();
        let failed = status(&reply) != ReplyStatus::Ok;
        assert_eq!(errors.len(), usize::from(failed), "{errors:?}");
        let name = errors.first().and_then(|error| error["ename"].as_str());
        name.unwrap_or_default().to_owned()
    }

    /// The value of the variable, which is made if there is none.
    async fn count(&mut self) -> u64 {
        if self.kept.is_none() {
            assert_eq!(self.run("let mut kept: u64 = 0;").await, "");
            self.kept = Some(0);
        }
        let shown = self.client.shown("kept").await;
        let value = shown[0].1["data"]["text/plain"].as_str().unwrap();
        value.parse().unwrap()
    }

    async fn step(&mut self, step: Step, random: &mut Random) {
        let kept = self.count().await;
        assert_eq!(Some(kept), self.kept, "the variable is what it was");
        let mut lost = false;
        let mut counted = true;
        match step {
            Step::Counts => assert_eq!(self.run("kept += 1;").await, ""),
            Step::Panics => {
                let error = self.run("kept += 1; panic!(\"on purpose\");").await;
                assert_eq!(error, "panic");
            }
            Step::Returns => {
                let error = self.run("kept += 1; \"x\".parse::<i32>()?;").await;
                assert_eq!(error, "Err");
            }
            Step::Mistake => {
                assert_ne!(self.run("kept += 1; let wrong: i32 = \"\";").await, "");
                counted = false;
            }
            Step::CancelledWait => {
                let code = "kept += 1; println!(\"begun\"); std::future::pending::<()>().await;";
                let id = self.client.execute(code).await;
                self.client.text_until("begun\n").await;
                self.client.interrupt().await;
                assert_eq!(self.end(&id).await, "已中断");
            }
            Step::InterruptAnywhere => {
                let code =
                    "tokio::time::sleep(std::time::Duration::from_millis(50)).await; kept += 1;";
                let id = self.client.execute(code).await;
                sleep(Duration::from_millis(random.below(400))).await;
                self.client.interrupt().await;
                let error = self.end(&id).await;
                assert!(["", "已中断"].contains(&&*error), "{error}");
                counted = error.is_empty();
            }
            Step::InterruptIdle => {
                self.client.interrupt().await;
                counted = false;
            }
            Step::SecondPress => {
                let id = self.client.execute("println!(\"busy\"); loop {}").await;
                self.client.text_until("busy\n").await;
                self.client.press_until_idle(&id, "都会丢失").await;
                let reply = self.client.reply().await;
                assert_eq!(status(&reply), ReplyStatus::Error);
                lost = true;
            }
            Step::Exits => {
                assert_eq!(self.run("std::process::exit(3);").await, "进程已结束");
                lost = true;
            }
            Step::KilledBetween => {
                let id = self.client.execute("std::process::id()").await;
                let shown = self.client.until_idle(&id).await;
                self.client.reply().await;
                let process = shown[0].1["data"]["text/plain"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                let killed = Command::new("kill").args(["-KILL", &process]).status();
                assert!(killed.unwrap().success());
                assert_eq!(self.run("1 + 1").await, "进程已结束");
                lost = true;
            }
            Step::Completes => {
                let request = CompleteRequest {
                    code: "ke".to_owned(),
                    cursor_pos: 2,
                };
                let id = self.client.ask(request).await;
                self.client.until_idle(&id).await;
                self.client.reply().await;
                counted = false;
            }
            Step::Floods => {
                let code = "kept += 1; for _ in 0..20_000 { println!(\"{}\", \"x\".repeat(99)); }";
                let id = self.client.execute(code).await;
                let shown = self.client.until_idle(&id).await;
                self.client.reply().await;
                let texts = shown
                    .iter()
                    .filter_map(|(_, content)| content["text"].as_str());
                assert_eq!(texts.map(str::len).sum::<usize>(), 2_000_000);
            }
            Step::Asks => {
                let code = "let mut line = String::new(); std::io::stdin().read_line(&mut line)?; kept += line.trim().parse::<u64>()?;";
                let id = self.client.ask_with_input(code).await;
                self.client.type_in("1").await;
                assert_eq!(self.end(&id).await, "");
            }
        }
        self.kept = (!lost).then_some(kept + u64::from(counted));
    }
}

/// The memory of a process, in bytes.
fn resident(process: u32) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}

#[test]
fn whatever_a_student_does_the_kernel_answers_and_keeps_what_it_should() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(setting("LAB_RANDOM_SECONDS").unwrap_or(120));
    let seed =
        setting("LAB_RANDOM_SEED").unwrap_or_else(|| u64::from(std::process::id()) * 1_000_003);
    println!("LAB_RANDOM_SEED={seed}");
    let mut random = Random(seed);
    run_within(time + Duration::from_secs(600), async {
        let mut session = Session::new().await;
        let mut before = None;
        let since = Instant::now();
        let mut steps = 0;
        while since.elapsed() < time {
            steps += 1;
            if steps % RESTART_EVERY == 0 {
                session.kernel.shutdown().await.unwrap();
                session = Session::new().await;
                before = None;
                continue;
            }
            let step = random.step();
            println!("{steps} {step:?}");
            timeout(LIMIT, session.step(step, &mut random))
                .await
                .unwrap();
            let front = resident(session.kernel.id().unwrap());
            let before = *before.get_or_insert(front);
            assert!(
                front < before + GROWTH,
                "the front has grown from {before} to {front}"
            );
        }
        println!("{steps} steps");
        session.kernel.shutdown().await.unwrap();
    });
}
