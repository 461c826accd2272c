//! What evcxr does that we rely on or change, in a live kernel: when a new version does something
//! else, it is seen here first.

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{failure, kernel, notebook_kernel, ok, run};
use crate::kernel::build_folder;
use runner::client::{Execution, KernelClient};

/// What evcxr's own code says in words that any cell may say.
const PLAIN_WORDS: [&str; 4] = [
    "println!(\"EVCXR_PANIC_NOTIFICATION\")",
    "println!(\"{VARIABLE_CHANGED_TYPE}{name}\")",
    "evcxr_internal_runtime::USER_ERROR_OCCURRED)",
    "eprintln!(\"{}\", error)",
];

/// The file that the latest cell was compiled from.
fn generated(kernel: &KernelClient) -> String {
    fs::read_to_string(build_folder(kernel).join("src/lib.rs")).unwrap()
}

fn assert_is_rewritten(kernel: &KernelClient, cell: &str) {
    let file = generated(kernel);
    assert!(file.contains("mod evcxr_kernel {"), "{cell}: {file}");
    for word in PLAIN_WORDS {
        assert!(!file.contains(word), "{cell}: {word}: {file}");
    }
}

/// What a cell wrote, whichever the stream.
fn written(execution: &Execution) -> String {
    let texts = execution
        .outputs
        .iter()
        .map(|output| output["text"].as_str());
    texts.map(Option::unwrap_or_default).collect()
}

#[test]
fn evcxr_generates_what_we_change_and_understands_what_we_tell_it() {
    run(async {
        let mut kernel = kernel().await;
        let cell = "if true { panic!(\"without variables\") }";
        assert!(
            failure(&mut kernel, cell)
                .await
                .contains("without variables")
        );
        assert_is_rewritten(&kernel, cell);
        ok(&mut kernel, "let kept = String::from(\"kept\");").await;
        let cell = "let lost = 1; panic!(\"with {kept}\")";
        assert!(failure(&mut kernel, cell).await.contains("with kept"));
        assert_is_rewritten(&kernel, cell);
        let cell = "let number: i32 = \"no\".parse()?;";
        assert!(failure(&mut kernel, cell).await.contains("invalid digit"));
        assert_is_rewritten(&kernel, cell);
        assert_eq!(ok(&mut kernel, "kept").await.result(), Some("\"kept\""));
        // It forgets a variable whose type is another now, and runs the cell again without it.
        ok(
            &mut kernel,
            "struct Size { a: u8 }\nlet size = Size { a: 1 };",
        )
        .await;
        let cell = "struct Size { a: u8, b: u8 }\nlet other = Size { a: 1, b: 2 };";
        let lost = ok(&mut kernel, cell).await;
        assert!(lost.stream("stderr").contains("size"), "{lost:?}");
        assert_is_rewritten(&kernel, cell);
        assert_eq!(ok(&mut kernel, "other.b").await.result(), Some("2"));
        // What the files say that are only compiled to find out about errors.
        let wrong = failure(&mut kernel, "let text = kept + 1;").await;
        assert!(wrong.contains("mismatched types"), "{wrong}");
        // And what is only checked, since a type is not known.
        let wrong = failure(&mut kernel, "let unknown = no_such_function(1);").await;
        assert!(wrong.contains("no_such_function"), "{wrong}");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn evcxr_generates_what_we_change_where_cells_await_too() {
    run(async {
        let mut kernel = notebook_kernel().await;
        ok(&mut kernel, "let kept = async { 5 }.await;").await;
        let cell = "async { if true { panic!(\"awaited\") } }.await;";
        assert!(failure(&mut kernel, cell).await.contains("awaited"));
        assert_is_rewritten(&kernel, cell);
        let cell = "let number: i32 = async { \"no\" }.await.parse()?;";
        assert!(failure(&mut kernel, cell).await.contains("invalid digit"));
        assert_is_rewritten(&kernel, cell);
        assert_eq!(ok(&mut kernel, "kept").await.result(), Some("5"));
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn what_panics_when_the_last_variables_are_dropped_costs_no_other() {
    run(async {
        let mut kernel = kernel().await;
        let fuse =
            "struct Fuse;\nimpl Drop for Fuse { fn drop(&mut self) { panic!(\"in drop\") } }";
        ok(&mut kernel, &format!("{fuse}\nlet safe = 5;")).await;
        ok(&mut kernel, "let fuse = Fuse;").await;
        let message = failure(&mut kernel, "let fuse = 0;").await;
        assert!(message.contains("in drop"), "{message}");
        assert_eq!(ok(&mut kernel, "safe").await.result(), Some("5"));
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn a_panic_says_why_whatever_hook_the_student_has_set() {
    run(async {
        let mut kernel = kernel().await;
        ok(&mut kernel, "std::panic::set_hook(Box::new(|_| {}));").await;
        let message = failure(&mut kernel, "panic!(\"x is {}\", 5)").await;
        assert!(message.contains("x is 5"), "{message}");
        let message = failure(&mut kernel, "std::panic::panic_any(5)").await;
        assert!(!message.is_empty());
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn nothing_that_a_cell_prints_ends_it_or_fails_it() {
    run(async {
        let mut kernel = notebook_kernel().await;
        for text in [
            "EVCXR_EXECUTION_COMPLETE",
            "EVCXR_PANIC_NOTIFICATION",
            "EVCXR_ERROR_OCCURRED",
            "EVCXR_VARIABLE_CHANGED_TYPE:kept",
            "EVCXR_NOTEBOOK_MESSAGE {}",
            "EVCXR_0123456789abcdef_ENDED 0",
            "EVCXR_0123456789abcdef_ERRORS 1",
            "EVCXR_",
        ] {
            let cell = format!(
                "let kept = 1; let text = {text:?};\nprintln!(\"{{text}}\"); print!(\"{{text}}\");"
            );
            let execution = ok(&mut kernel, &cell).await;
            assert_eq!(execution.stream("stdout"), format!("{text}\n{text}"));
            assert_eq!(ok(&mut kernel, "kept").await.result(), Some("1"), "{text}");
        }
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn what_is_written_to_both_streams_keeps_its_order() {
    run(async {
        let mut kernel = kernel().await;
        let cell = "for n in 0..4 { println!(\"o{n}\"); eprintln!(\"e{n} {}\", n + 1); }";
        let expected: String = (0..4).map(|n| format!("o{n}\ne{n} {}\n", n + 1)).collect();
        assert_eq!(written(&ok(&mut kernel, cell).await), expected);
        let cell = "println!(\"first\"); let two = dbg!(1 + 1); println!(\"third\");";
        let execution = ok(&mut kernel, cell).await;
        let text = written(&execution);
        assert!(text.starts_with("first\n["), "{text}");
        assert!(text.ends_with("] 1 + 1 = 2\nthird\n"), "{text}");
        // Longer than what stays together in a pipe.
        let cell = "eprint!(\"{}\", \"长\".repeat(50_000)); println!(\"behind\");";
        let execution = ok(&mut kernel, cell).await;
        assert_eq!(execution.stream("stderr"), "长".repeat(50_000));
        assert_eq!(execution.stream("stdout"), "behind\n");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn what_lies_in_a_buffer_at_a_cells_end_stands_in_that_cell() {
    run(async {
        let mut kernel = kernel().await;
        let of_std = ok(&mut kernel, "print!(\"no newline\");").await;
        assert_eq!(of_std.stream("stdout"), "no newline");
        let declared = "unsafe extern \"C\" { fn puts(text: *const std::ffi::c_char) -> i32; }";
        let of_c = format!("{declared}\nlet put = unsafe {{ puts(c\"printed by C\".as_ptr()) }};");
        let of_c = ok(&mut kernel, &of_c).await;
        assert_eq!(of_c.stream("stdout"), "printed by C\n");
        kernel.shutdown().await.unwrap();
    });
}

/// What the quickest of five cells that print takes.
async fn quickest(kernel: &mut KernelClient) -> Duration {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        let execution = ok(kernel, "println!(\"on\");").await;
        assert_eq!(execution.stream("stdout"), "on\n");
        quickest = quickest.min(begun.elapsed());
    }
    quickest
}

#[test]
fn a_variable_that_holds_stdout_makes_no_later_cell_wait() {
    run(async {
        let mut kernel = kernel().await;
        let usual = quickest(&mut kernel).await;
        ok(&mut kernel, "let mut locked = std::io::stdout().lock();").await;
        let now = quickest(&mut kernel).await;
        // It was longer by 1.2 s, each time.
        assert!(
            now < usual + Duration::from_millis(700),
            "{now:?}, {usual:?}"
        );
        ok(&mut kernel, "drop(locked); print!(\"off\");").await;
        let later = ok(&mut kernel, "print!(\" and on\");").await;
        assert!(later.stream("stdout").ends_with(" and on"), "{later:?}");
        kernel.shutdown().await.unwrap();
    });
}

#[test]
fn a_cell_that_puts_files_in_the_place_of_its_streams_ends_all_the_same() {
    run(async {
        let mut kernel = kernel().await;
        let folder = tempfile::tempdir().unwrap();
        let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
        let redirect = format!(
            "use std::os::fd::AsRawFd;\n\
             unsafe extern \"C\" {{ fn dup2(from: i32, to: i32) -> i32; fn dup(file: i32) -> i32; }}\n\
             let before = unsafe {{ [dup(1), dup(2)] }};\n\
             let files = [std::fs::File::create({out:?})?, std::fs::File::create({err:?})?];\n\
             let put = unsafe {{ [dup2(files[0].as_raw_fd(), 1), dup2(files[1].as_raw_fd(), 2)] }};"
        );
        ok(&mut kernel, &redirect).await;
        let elsewhere = ok(&mut kernel, "println!(\"out\"); eprintln!(\"err\");").await;
        assert_eq!(written(&elsewhere), "");
        assert_eq!(fs::read_to_string(&out).unwrap(), "out\n");
        assert_eq!(fs::read_to_string(&err).unwrap(), "err\n");
        let message = failure(&mut kernel, "panic!(\"elsewhere\")").await;
        assert!(message.contains("elsewhere"), "{message}");
        let back = "let put = unsafe { [dup2(before[0], 1), dup2(before[1], 2)] };";
        ok(&mut kernel, back).await;
        let here = ok(&mut kernel, "println!(\"out\"); eprintln!(\"err\");").await;
        assert_eq!(written(&here), "out\nerr\n");
        kernel.shutdown().await.unwrap();
    });
}
