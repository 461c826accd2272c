//! What breaks or talks nonsense on a kernel's ports harms nobody else. Here at a whole kernel;
//! `support/lab/src/front/sockets/tests.rs` has every byte.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use crate::common::{kernel, kernel_command, ok, run, until};
use base::processes;
use jupyter_protocol::{
    ExecuteRequest, InputReply, JupyterMessage, JupyterMessageContent, KernelInfoRequest,
    ReplyStatus,
};
use jupyter_zmq_client::{
    create_client_control_connection, create_client_iopub_connection,
    create_client_shell_connection_with_identity, create_client_stdin_connection_with_identity,
    peer_identity_for_session,
};
use runner::client::KernelClient;
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::stdio::dup2_stderr;
use tokio::time::timeout;
use zeromq::{ReqSocket, Socket, SocketRecv, SocketSend};

/// What an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a client sends, in three parts: a greeting, READY, and a message without a signature.
fn talk(socket_type: &str) -> [Vec<u8>; 3] {
    let mut greeting = vec![0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    ready.push(socket_type.len() as u8);
    ready.extend(socket_type.as_bytes());
    ready.splice(0..0, [4, ready.len() as u8]);
    let message: &[u8] = match socket_type {
        "REQ" => b"\x01\0\0\x04ping",
        "SUB" => b"\0\x01\x01",
        _ => b"\x01\x09<IDS|MSG>\x01\0\x01\x02{}\x01\x02{}\x01\x02{}\0\x02{}",
    };
    [greeting, ready, message.to_vec()]
}

/// Lets the connection be reset when it is dropped, whatever has been read.
fn reset_at_the_end(stream: &TcpStream) {
    set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Connects, says this, hears at least `answer` bytes, and goes.
fn visit(port: u16, bytes: &[u8], answer: usize, reset: bool) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(bytes).unwrap();
    stream.read_exact(&mut vec![0; answer]).unwrap();
    if reset {
        reset_at_the_end(&stream);
    }
}

/// Everything that breaks, on all five channels.
fn bad_visits(kernel: &KernelClient) {
    let ports = kernel.connection();
    let channels = [
        (ports.shell_port, "DEALER"),
        (ports.control_port, "DEALER"),
        (ports.stdin_port, "DEALER"),
        (ports.iopub_port, "SUB"),
        (ports.hb_port, "REQ"),
    ];
    for (port, socket_type) in channels {
        let [greeting, ready, message] = talk(socket_type);
        let handshake = [greeting, ready].concat();
        let whole = [&handshake[..], &message].concat();
        for reset in [false, true] {
            for cut in [0, 1, 10, 63] {
                visit(port, &whole[..cut], 0, reset);
            }
            for cut in [64, 65, handshake.len() - 1, handshake.len(), whole.len()] {
                // What it is greeted with, and the beginning of the kernel's READY.
                visit(port, &whole[..cut], 70, reset);
            }
            let half = &whole[..whole.len() - 1];
            visit(port, half, 70, reset);
            visit(port, &[0xa5; 200], 0, reset);
            visit(port, &[&handshake[..], &[0xa5; 100]].concat(), 0, reset);
        }
        // More than there is memory in any machine: whoever says so is thrown out.
        let announced = [&handshake[..], b"\x02\x40\0\0\0\0\0\0\0"].concat();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&announced).unwrap();
        match stream.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }
}

/// A client that comes now gets its answers on all channels.
async fn answers_everywhere(kernel: &KernelClient) {
    let (connection, session) = (kernel.connection(), "later");
    let identity = peer_identity_for_session(session).unwrap();
    let mut heartbeat = ReqSocket::new();
    let address = format!("tcp://{}:{}", connection.ip, connection.hb_port);
    heartbeat.connect(&address).await.unwrap();
    for beat in ["one", "two"] {
        heartbeat.send(beat.into()).await.unwrap();
        assert_eq!(heartbeat.recv().await.unwrap().into_vec(), [beat]);
    }
    let mut control = create_client_control_connection(connection, session)
        .await
        .unwrap();
    control.send(KernelInfoRequest {}.into()).await.unwrap();
    let reply = control.read().await.unwrap();
    assert_eq!(reply.header.msg_type, "kernel_info_reply");

    let mut iopub = create_client_iopub_connection(connection, "", session)
        .await
        .unwrap();
    let mut shell =
        create_client_shell_connection_with_identity(connection, session, identity.clone())
            .await
            .unwrap();
    let mut stdin = create_client_stdin_connection_with_identity(connection, session, identity)
        .await
        .unwrap();
    let code = "let mut line = String::new(); std::io::stdin().read_line(&mut line).unwrap();\n\
        println!(\"<{}>\", line.trim_end());";
    let request = ExecuteRequest {
        allow_stdin: true,
        ..ExecuteRequest::new(code.to_owned())
    };
    shell.send(request.into()).await.unwrap();
    let question = stdin.read().await.unwrap();
    let answer = InputReply {
        value: "typed".to_owned(),
        ..InputReply::default()
    };
    let answer = JupyterMessage::new(answer, Some(&question));
    stdin.send(answer).await.unwrap();
    let JupyterMessageContent::ExecuteReply(reply) = shell.read().await.unwrap().content else {
        panic!("not a reply to execute_request");
    };
    assert_eq!(reply.status, ReplyStatus::Ok);
    let mut text = String::new();
    while !text.contains("<typed>") {
        if let JupyterMessageContent::StreamContent(stream) = iopub.read().await.unwrap().content {
            text += &stream.text;
        }
    }
}

/// What the process holds in memory, in megabytes.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() >> 10
}

/// Lets everything happen to a kernel that might harm it.
async fn outlives(mut kernel: KernelClient) {
    ok(&mut kernel, "let before = 41;").await;
    let held = memory(kernel.id().unwrap());
    let visits = tokio::task::spawn_blocking(move || {
        bad_visits(&kernel);
        kernel
    });
    let mut kernel = visits.await.unwrap();
    timeout(LIMIT, answers_everywhere(&kernel))
        .await
        .expect("a client that comes now gets its answers");
    // Who was there before goes on, too.
    let after = ok(&mut kernel, "before + 1").await;
    assert_eq!(after.result(), Some("42"), "{}", kernel.log());
    let holds = memory(kernel.id().unwrap());
    assert!(holds < held + 64, "{held} MB, then {holds} MB");
    kernel.shutdown().await.unwrap();
}

#[test]
fn a_kernel_outlives_whoever_breaks_off_on_any_of_its_channels() {
    run(async { outlives(kernel().await).await });
}

#[test]
fn nor_does_it_need_anybody_to_read_its_log() {
    run(async {
        let mut command = kernel_command();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        // SAFETY: a system call and no more.
        unsafe { command.pre_exec(move || Ok(dup2_stderr(&full)?)) };
        outlives(KernelClient::start_with(command, |_| ()).await.unwrap()).await;
    });
}

#[test]
fn while_no_file_descriptor_is_left_a_kernel_rests_and_then_lets_clients_in_again() {
    run(async {
        let mut command = kernel_command();
        let few = Rlimit {
            current: Some(200),
            maximum: Some(200),
        };
        let limit = move || Ok(setrlimit(Resource::Nofile, few)?);
        // SAFETY: a system call and no more.
        unsafe { command.pre_exec(limit) };
        let mut kernel = KernelClient::start_with(command, |_| ()).await.unwrap();
        ok(&mut kernel, "let before = 41;").await;
        let process = kernel.id().unwrap();
        let ports = kernel.connection();
        let ports = [ports.hb_port, ports.iopub_port, ports.shell_port];
        let crowd = (0..300).map(|number| TcpStream::connect(("127.0.0.1", ports[number % 3])));
        let crowd: Vec<TcpStream> = crowd.collect::<io::Result<_>>().unwrap();
        let open = || fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
        until("it has used what it may", || open() > 160).await;
        let used = processes::time(process).as_secs_f64();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let used = processes::time(process).as_secs_f64() - used;
        assert!(used < 0.5, "{used} s of a processor in 2 s of rest");
        // Who was there before is not concerned.
        assert_eq!(ok(&mut kernel, "before + 1").await.result(), Some("42"));
        drop(crowd);
        timeout(LIMIT, answers_everywhere(&kernel))
            .await
            .expect("a client that comes now gets its answers");
        kernel.shutdown().await.unwrap();
    });
}
