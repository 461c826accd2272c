//! The process that runs the cells, which evcxr starts: this program once more.
//!
//! It does what evcxr's own would do: loads one library for each cell, and calls it. But evcxr's
//! commands do not come by standard input, where a cell, or a program that it starts, would swallow
//! them: what cells read there is the student's (`input.rs`). And what cells write goes to the front
//! (`output.rs`), which is told among it, in records that no cell prints by chance, how each cell
//! ended; before that, what still lies in buffers is flushed (`flush.rs`).

mod flush;
mod input;
mod output;

use std::ffi::c_void;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, bail};
use link::record::{self, told};
use link::variable;
use rustix::io::fcntl_dupfd_cloexec;
use serde_json::{Value, json};

use crate::start;
use flush::{Flush, FlushStd};
use kernel_core::evcxr::generated;
use kernel_core::{GENERATED, kept};

/// Runs cells until evcxr is gone. Without a front this process is evcxr's as ever.
///
/// # Errors
/// When the front does not take what cells write, or a cell cannot be loaded.
pub fn run() -> Result<ExitCode> {
    // evcxr asks for backtraces; all of one but a line or two is its own and tokio's.
    // SAFETY: there is no other thread yet.
    unsafe { std::env::set_var("RUST_BACKTRACE", "0") };
    start::give_back_environment();
    let Some(front) = std::env::var_os(variable::FRONT) else {
        return evcxr_jupyter::main().map(|()| ExitCode::SUCCESS);
    };
    let commands = fcntl_dupfd_cloexec(io::stdin(), 3)?;
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    let commands = hear(commands.into())?;
    // A front that does not see what cells write knows no cell's end.
    let front = output::hand_over(&front).context("连不上内核的前端，不能执行单元格")?;
    input::ask(front);
    let mut cells = Cells {
        variables: std::ptr::null_mut(),
        flush: Flush::new()?,
        flush_std: None,
    };
    for command in commands {
        cells.obey(&command)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Listens to evcxr on a thread of its own, which ends this process when evcxr is gone: a busy cell
/// would outlive it.
fn hear(commands: fs::File) -> Result<mpsc::Receiver<String>> {
    let (sender, received) = mpsc::channel();
    thread::Builder::new()
        .name("kernel-commands".into())
        .spawn(move || {
            let mut lines = BufReader::new(commands).lines();
            while let Some(Ok(command)) = lines.next() {
                let _ = sender.send(command);
            }
            // SAFETY: always sound. No destructor must run: a cell may hold any lock.
            unsafe { libc::_exit(0) };
        })?;
    Ok(received)
}

/// What runs cells.
struct Cells {
    /// evcxr's, which each cell gets and gives back.
    variables: *mut c_void,
    flush: Flush,
    /// What flushes std's buffer, when a cell has said so: all cells have the same std.
    flush_std: Option<FlushStd>,
}

impl Cells {
    /// Does what evcxr says: loads a library and calls a function of it.
    fn obey(&mut self, command: &str) -> Result<()> {
        let words: Vec<&str> = command.split(' ').collect();
        let ["LOAD_AND_RUN", path, name] = words[..] else {
            bail!("evcxr 说了不懂的话：{command}");
        };
        announce(Path::new(path), name);
        // SAFETY: what a library does when it is loaded is what the student's cell says.
        let library = unsafe { libloading::Library::new(path) };
        let library = library.with_context(|| format!("装载不了单元格 {path}"))?;
        // SAFETY: these are the types of what evcxr and we have generated. One without statements
        // has no such beginning.
        unsafe {
            if let Ok(begin) = library.get::<generated::Begin>(generated::BEGIN.as_bytes()) {
                self.flush_std = Some(begin(tell));
            }
            let run = library.get::<extern "C" fn(*mut c_void) -> *mut c_void>(name.as_bytes())?;
            self.variables = run(self.variables);
        }
        // Variables, tasks and threads hold on to its code.
        std::mem::forget(library);
        // What comes out of the buffers now has been written before the value was shown.
        tell_front(told::RETURNED, json!({}));
        self.flush.run(self.flush_std);
        output::tell(record::ENDED, b"");
        Ok(())
    }
}

/// Tells the front that the code of a library begins to run, and keeps the file that it was made
/// from: evcxr writes the next one over it.
fn announce(library: &Path, name: &str) {
    let folder = std::env::var_os(variable::BUILD).unwrap_or_default();
    // Without it no place in this cell is known.
    let _ = fs::copy(Path::new(&folder).join(GENERATED), kept(library));
    let build = generated::build(name);
    tell_front(told::BEGUN, json!({ "library": library, "build": build }));
}

fn tell_front(what: &str, content: Value) {
    let message = json!({ "msg_type": what, "content": content });
    output::tell(record::MESSAGE, message.to_string().as_bytes());
}

/// What a cell calls to tell how it ended.
extern "C" fn tell(kind: u8, text: *const u8, length: usize) {
    let kind = match kind {
        generated::PANICKED => record::PANICKED,
        generated::RETURNED => record::RETURNED,
        generated::CHANGED_TYPE => record::CHANGED,
        _ => return,
    };
    // SAFETY: it passes a text.
    output::tell(kind, unsafe { std::slice::from_raw_parts(text, length) });
}
