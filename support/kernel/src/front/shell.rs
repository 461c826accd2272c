//! Does what the core decides.

use std::collections::VecDeque;

use kernel_core::{Action, Channel, Event, FromProcess, Front, Pace, Stream, Then, Tried};
use rustix::process::Signal;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::{Instant, sleep_until};

use super::link::{Guest, Link};
use super::log::Log;
use super::sockets::{Inner, Outer};
use super::{Heard, processes, wire};
use crate::priority;

/// Everything that the front hears and speaks with.
pub struct Shell {
    core: Front,
    /// When the core's time began.
    start: Instant,
    session: String,
    log: Log,
    pub outer: Outer,
    /// None until evcxr listens.
    inner: Option<Inner>,
    /// The number of evcxr's process and of its group; 0 until it listens.
    evcxr: u32,
    /// The process that runs the cells, with the number of its connection.
    link: Option<(u64, Link)>,
    /// A `notebook` crate that has connected and not been let in.
    joining: Option<(u64, OwnedWriteHalf)>,
    /// How fast output is read.
    pace: Pace,
    buffer: Box<[u8]>,
    /// Set when all has been run that was to be run ahead, or why not.
    pub warm: Option<Result<(), String>>,
    /// Set when the kernel is to end: its exit status.
    pub end: Option<u8>,
}

impl Shell {
    pub fn new(core: Front, outer: Outer, session: String, log: Log) -> Shell {
        Shell {
            core,
            start: Instant::now(),
            session,
            log,
            outer,
            inner: None,
            evcxr: 0,
            link: None,
            joining: None,
            pace: Pace::default(),
            buffer: vec![0; 1 << 16].into(),
            warm: None,
            end: None,
        }
    }

    /// When [`Event::Moment`] is to come.
    pub fn next_moment(&self) -> Option<Instant> {
        self.core.next_moment().map(|moment| self.start + moment)
    }

    /// evcxr, the process of this number, listens.
    pub async fn connect(&mut self, evcxr: u32, inner: Inner) {
        (self.evcxr, self.inner) = (evcxr, Some(inner));
        self.on(Event::Listening).await;
    }

    /// Tells the core what has come through a socket.
    pub async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Guest(number, guest) => self.take_guest(number, guest).await,
            Heard::Event(event) => {
                if let Event::Process(number, FromProcess::Gone) = event
                    && let Some((_, link)) = &mut self.link
                    && link.notebook() == Some(number)
                {
                    link.leave();
                }
                self.on(event).await;
            }
        }
    }

    async fn take_guest(&mut self, number: u64, guest: Guest) {
        let said = match guest {
            Guest::Process(link) => {
                // What the one before has written comes first.
                if let Some((known, _)) = self.link {
                    self.on(Event::Process(known, FromProcess::Gone)).await;
                }
                let process = link.process;
                self.link = Some((number, *link));
                FromProcess::Started(process)
            }
            Guest::Notebook(process, writer) => {
                self.joining = Some((number, writer));
                FromProcess::Loaded(process)
            }
            Guest::Cargo(_) => return, // which is heard elsewhere
        };
        self.on(Event::Process(number, said)).await;
        self.joining = None;
    }

    /// Tells the core what has happened, and does what it says.
    pub async fn on(&mut self, event: Event) {
        let mut actions = VecDeque::new();
        self.tell(event, &mut actions);
        while let Some(action) = actions.pop_front() {
            self.act(action, &mut actions).await;
        }
    }

    /// Tells the core what has happened; what it says is to be done behind `actions`.
    fn tell(&mut self, event: Event, actions: &mut VecDeque<Action>) {
        self.log.event(&event);
        let new = self.core.on(event, self.start.elapsed());
        for action in &new {
            self.log.action(action);
        }
        actions.extend(new);
    }

    async fn act(&mut self, action: Action, actions: &mut VecDeque<Action>) {
        let link = self.link.as_mut().map(|(_, link)| link);
        match action {
            Action::Publish(message) => {
                self.outer.iopub.publish(wire::new(message, &self.session));
            }
            Action::Pass(message) => self.outer.iopub.publish(message),
            Action::Reply(channel, message) => {
                let route = match channel {
                    Channel::Shell => &self.outer.shell,
                    Channel::Control => &self.outer.control,
                    Channel::Stdin => &self.outer.stdin,
                };
                route.send(wire::new(message, &self.session));
            }
            Action::PassReply(message) => self.outer.shell.send(message),
            Action::ToEvcxr(request) => {
                if let Some(inner) = &mut self.inner {
                    inner.request(request).await;
                }
            }
            Action::AskEvcxr(id, kind, content) => {
                if let Some(inner) = &mut self.inner {
                    let request = wire::request(&id, kind, &content, &self.session);
                    inner.request(request).await;
                }
            }
            Action::TellEvcxr(line) => {
                if let Some(link) = link {
                    link.tell_evcxr(&line);
                }
            }
            Action::Flush(number) => {
                if let Some(link) = link {
                    link.flush(number);
                }
            }
            Action::Interrupt => {
                let tried = self.interrupt();
                self.tell(Event::Tried(tried), actions);
            }
            Action::Drain(then) => self.drain(then, actions),
            Action::Welcome(number) => match (&mut self.link, self.joining.take()) {
                (Some((_, link)), Some((joining, writer))) if joining == number => {
                    link.join(number, writer);
                }
                (Some((known, link)), _) if *known == number => link.welcome(),
                _ => {}
            },
            Action::Kill => {
                let linked = link.map(|link| link.process);
                if let Some(process) = linked.or_else(|| processes::cells(self.evcxr)) {
                    base::processes::signal(process, Signal::KILL);
                }
            }
            Action::Forget => self.link = None,
            Action::AnswerInput(answer) => {
                if let Some(link) = link {
                    link.answer_input(answer.as_deref().map_err(|error| *error));
                }
            }
            Action::StepForward => drop(tokio::spawn(priority::normal())),
            Action::Tidy => give_memory_back(),
            Action::Warm(warm) => self.warm = Some(warm),
            Action::Log(line) => eprintln!("[front] {line}"),
            Action::End(status) => {
                self.end.get_or_insert(status);
            }
        }
    }

    /// Stops the compiler, or asks the process that runs the cells.
    fn interrupt(&self) -> Tried {
        let link = self.link.as_ref().map(|(_, link)| link);
        let cells = link.map(|link| link.process);
        let compilers = match self.evcxr {
            0 => Vec::new(),
            evcxr => processes::compilers(evcxr, cells.or_else(|| processes::cells(evcxr))),
        };
        if !compilers.is_empty() {
            for compiler in compilers {
                base::processes::signal(compiler, Signal::KILL);
            }
            return Tried::StoppedCompiler;
        }
        match link.is_some_and(Link::interrupt) {
            true => Tried::Asked,
            false => Tried::NobodyThere,
        }
    }
}

/// What cells write.
impl Shell {
    /// Waits until the cells' process has written something that may be read.
    pub async fn readable(&self) -> Stream {
        if let Some(until) = self.pace.pause(self.start.elapsed()) {
            sleep_until(self.start + until).await;
        }
        match &self.link {
            Some((_, link)) => link.readable().await,
            None => std::future::pending().await,
        }
    }

    /// Reads what has been written.
    pub async fn read(&mut self, stream: Stream) {
        let Some((_, link)) = &mut self.link else {
            return;
        };
        let read = link.read(stream, &mut self.buffer);
        self.pace.count(read, self.start.elapsed());
        if read > 0 {
            let bytes = self.buffer[..read].to_vec();
            self.on(Event::Written(stream, bytes)).await;
        }
    }

    /// Reads what has been written up to now, of both streams: no more, since a background task may
    /// never stop printing.
    fn drain(&mut self, then: Then, actions: &mut VecDeque<Action>) {
        for stream in [Stream::Stderr, Stream::Stdout] {
            let mut rest = match &mut self.link {
                Some((_, link)) => link.waiting(stream),
                None => 0,
            };
            while rest > 0
                && let Some((_, link)) = &mut self.link
            {
                let most = rest.min(self.buffer.len());
                let read = link.read_now(stream, &mut self.buffer[..most]);
                if read == 0 {
                    break;
                }
                rest -= read;
                let bytes = self.buffer[..read].to_vec();
                self.tell(Event::Written(stream, bytes), actions);
            }
        }
        self.tell(Event::Drained(then), actions);
    }

    /// Reads what is left when evcxr is gone.
    pub async fn read_rest(&mut self) {
        if let Some((number, _)) = self.link {
            self.on(Event::Process(number, FromProcess::Gone)).await;
        }
    }
}

/// A flood of output leaves free memory behind, which the allocator that evcxr has chosen for the
/// whole program would keep.
fn give_memory_back() {
    // SAFETY: any thread may call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
