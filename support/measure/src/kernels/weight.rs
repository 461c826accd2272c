//! What a kernel takes of the memory, and what the front costs: time for each cell, and memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, ExecutionState, JupyterMessage, JupyterMessageContent,
};
use jupyter_zmq_client::{
    ClientIoPubConnection, ClientShellConnection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, peer_identity_for_session,
};
use tokio::time::timeout;

use super::start::Spare;
use super::{LIMIT, Setting, run};
use base::ipynb::Notebook;
use base::processes;
use link::variable;
use runner::client::{KernelClient, Outcome};

/// Cells run each way.
const CELLS: usize = 60;
/// Cells run to see what they leave behind.
const MANY_CELLS: usize = 1_000;
/// What a notebook does soon: infers a type, awaits.
const USED: &str = "let kept = vec![1, 2, 3]; tokio::task::yield_now().await;";
/// Frames of a spinner that nothing holds up.
const FRAMES: u32 = 300_000;

pub async fn measure(setting: &Setting) -> Result<()> {
    kernels(setting).await?;
    let mut kernel = setting.open(setting.ours()).await?;
    let start = at_rest(&kernel).await?;
    println!("前端空闲时的内存（不算 evcxr；括号里是其中不与别的进程共用的）");
    row(start, "刚运行完 :dep 单元格（目标 < 30 MB）");
    for _ in 0..MANY_CELLS {
        run(&mut kernel, ":vars", true).await?;
    }
    row(
        at_rest(&kernel).await?,
        &format!("{MANY_CELLS} 个单元格之后（目标：不增长）"),
    );
    spin(&mut kernel).await?;
    row(
        at_rest(&kernel).await?,
        &format!("{FRAMES} 帧动画之后（目标：不增长）"),
    );
    added(&mut kernel).await?;
    kernel.shutdown().await
}

/// What kernels take with everything below them, for each notebook that begins with other crates.
async fn kernels(setting: &Setting) -> Result<()> {
    println!("一个内核的全部进程占的内存（PSS 之和：几个进程共用的页只算一次）");
    let mut known = Vec::new();
    for path in setting.project.course()? {
        let cells = Notebook::load(&path)?.code_cells();
        let Some(first) = cells.into_iter().next().map(|cell| cell.source) else {
            continue;
        };
        if known.contains(&first) {
            continue;
        }
        let mut command = setting.ours();
        command.env(variable::NOTEBOOK, &path);
        let mut kernel = setting.start(command).await?;
        run(&mut kernel, &first, true).await?;
        run(&mut kernel, USED, true).await?;
        let name = path.file_name().unwrap_or_default().display();
        share(
            &kernel.id(),
            &format!("{name} 的第一格，一个变量，一次 await"),
        )
        .await?;
        kernel.shutdown().await?;
        known.push(first);
    }
    let spare = Spare::warm(setting).await?;
    share(&spare.id(), "一个备用的内核").await
}

/// Prints what a process and all below it have, shared pages counted in parts.
async fn share(process: &Option<u32>, name: &str) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let all = processes::below(process.context("the kernel runs")?, None);
    let sum: u64 = all.into_iter().filter_map(processes::memory).sum();
    println!("  {:>5.0} MB  {name}", sum as f64 / 1e6);
    Ok(())
}

/// Draws a spinner's frames as fast as it can.
async fn spin(kernel: &mut KernelClient) -> Result<()> {
    let code = format!(
        "for i in 0..{FRAMES} {{
            print!(\"\\r{{}} {{i}}\", ['|', '/', '-', '\\\\'][i as usize % 4]);
            std::io::Write::flush(&mut std::io::stdout()).unwrap();
        }}"
    );
    let front = kernel.id().context("the kernel runs")?;
    let (mut messages, mut most) = (0, Memory::default());
    let execution = kernel.watch(&code, LIMIT, |content| {
        messages += usize::from(matches!(content, JupyterMessageContent::StreamContent(_)));
        let now = Memory::of(front).unwrap_or_default();
        if now.all > most.all {
            most = now;
        }
    });
    let execution = execution.await?;
    ensure!(execution.outcome == Outcome::Ok, "{:?}", execution.outcome);
    let last = format!(" {}", FRAMES - 1);
    ensure!(
        execution.stream("stdout").ends_with(&last),
        "最后一帧没有到"
    );
    let took = execution.took;
    row(
        most,
        &format!("{FRAMES} 帧动画时最多（{took:.2?}，{messages} 条消息）"),
    );
    Ok(())
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Default)]
struct Memory {
    /// What it has in main memory.
    all: u64,
    /// What of that is its own: not the program file.
    own: u64,
}

impl Memory {
    fn of(process: u32) -> Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            Some(kilobytes * 1024)
        };
        Ok(Memory {
            all: field("VmRSS:").context("/proc shows the memory")?,
            own: field("RssAnon:").context("/proc shows the memory")?,
        })
    }
}

/// What the front has when nothing happens any more: it tidies up a moment after a cell's end.
async fn at_rest(kernel: &KernelClient) -> Result<Memory> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Memory::of(kernel.id().context("the kernel runs")?)
}

fn row(memory: Memory, name: &str) {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let Memory { all, own } = memory;
    println!(
        "  {:>5.1} MB（{:.1}）  {name}",
        megabytes(all),
        megabytes(own)
    );
}

/// The same cells in the same kernel, through the front and around it.
async fn added(kernel: &mut KernelClient) -> Result<()> {
    println!("前端给单元格增加的时间（同一个 evcxr，经过和绕过前端各 {CELLS} 次，交替执行）");
    let mut direct = Direct::to(kernel).await?;
    for (name, code) in [
        ("不编译的单元格", ":vars"),
        ("println! 单元格", "println!(\"{}\", 40 + 2);"),
        ("没有输出的单元格", "let _ = 40 + 2;"),
    ] {
        let (mut through, mut around) = (Vec::new(), Vec::new());
        for turn in 0..CELLS {
            // Neither always comes first: a cell leaves something to do behind.
            if turn % 2 == 0 {
                through.push(run(kernel, code, true).await?);
                around.push(direct.run(code).await?);
            } else {
                around.push(direct.run(code).await?);
                through.push(run(kernel, code, true).await?);
            }
        }
        through.sort();
        around.sort();
        // What else the machine does is in the median, and hardly in the fastest tenth.
        let more = |rank: usize| (through[rank].as_secs_f64() - around[rank].as_secs_f64()) * 1e3;
        println!(
            "  {:>+6.1} ms  {name}：最快的十分之一，{:.2?} 与 {:.2?}；中位数 {:+.1} ms（目标 < 5 ms）",
            more(CELLS / 10),
            through[CELLS / 10],
            around[CELLS / 10],
            more(CELLS / 2)
        );
    }
    Ok(())
}

/// A client of the evcxr behind a front.
struct Direct {
    shell: ClientShellConnection,
    iopub: ClientIoPubConnection,
}

impl Direct {
    async fn to(kernel: &KernelClient) -> Result<Direct> {
        let front = kernel.id().context("the kernel runs")?;
        // What evcxr was started with: the file that says where it listens.
        let file = processes::children(front).into_iter().find_map(|child| {
            let words = processes::command_line(child).into_iter();
            words.skip_while(|word| word != "--control_file").nth(1)
        });
        let file = file.context("evcxr is a child of the front")?;
        let connection: ConnectionInfo = serde_json::from_slice(&fs::read(file)?)?;
        // evcxr gives its sockets other names than clients expect.
        for port in [connection.shell_port, connection.iopub_port] {
            let socket = format!("{}:{port}", connection.ip);
            symlink(socket, format!("{}-{port}", connection.ip))?;
        }
        let session = uuid::Uuid::new_v4().to_string();
        Ok(Direct {
            shell: create_client_shell_connection_with_identity(
                &connection,
                &session,
                peer_identity_for_session(&session)?,
            )
            .await?,
            iopub: create_client_iopub_connection(&connection, "", &session).await?,
        })
    }

    /// How long a cell takes.
    async fn run(&mut self, code: &str) -> Result<Duration> {
        let request: JupyterMessage = ExecuteRequest::new(code.to_owned()).into();
        let id = request.header.msg_id.clone();
        let since = Instant::now();
        self.shell.send(request).await?;
        let (mut replied, mut idle) = (false, false);
        let ended = async {
            while !(replied && idle) {
                let message = tokio::select! {
                    message = self.iopub.read() => message?,
                    message = self.shell.read() => message?,
                };
                let parent = message.parent_header.as_ref();
                if parent.is_none_or(|parent| parent.msg_id != id) {
                    continue;
                }
                match message.content {
                    JupyterMessageContent::Status(status) => {
                        idle = status.execution_state == ExecutionState::Idle;
                    }
                    JupyterMessageContent::ExecuteReply(_) => replied = true,
                    _ => {}
                }
            }
            anyhow::Ok(())
        };
        match timeout(LIMIT, ended).await {
            Ok(ended) => ended?,
            Err(_) => bail!("绕过前端的单元格没有执行完：{code}"),
        }
        Ok(since.elapsed())
    }
}
