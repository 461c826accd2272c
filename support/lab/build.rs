//! Stops the build where the program does not run, before anything large is compiled.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_OS");
    if target.as_deref() != Ok("linux") {
        println!(
            "cargo::error=只在 Linux 上运行：Windows 请用 WSL2，macOS 请用 Docker，哪里都可以用 Binder。\
             (Runs on Linux only: use WSL2 on Windows, Docker on macOS, or Binder anywhere.)"
        );
    }
}
