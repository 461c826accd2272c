//! `lab kernel CONNECTION_FILE`, which Jupyter starts: evcxr, in a build folder and an
//! environment that are made for it, with the [`crate::front`] before it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::build_folder::{self, BuildFolder};
use crate::cargo;
use crate::front;
use crate::ipynb::Notebook;
use crate::process::end_with_us;
use crate::project::{PROJECT_ENV, Project};
use crate::sources;
use crate::toolchain::Toolchain;

/// Makes the kernel work in this folder instead of in a copy of its own: how set-up warms one.
pub const BUILD_FOLDER_ENV: &str = "LAB_BUILD_FOLDER";
/// The notebook a kernel is started for; JupyterLab and `lab run` set it.
pub const NOTEBOOK_ENV: &str = "JPY_SESSION_NAME";

/// The longest path of a folder for sockets: theirs have at most 107 bytes.
const SOCKET_FOLDER: usize = 95;

/// Runs a kernel until it is told to end.
///
/// # Errors
/// When the connection file or the toolchain is not usable, the build folder cannot be made, or
/// evcxr ends by itself.
pub fn kernel(connection_file: &Path) -> Result<ExitCode> {
    let project = Project::find()?;
    let toolchain = Toolchain::find()?;
    let own;
    let (build, home) = match std::env::var_os(BUILD_FOLDER_ENV).map(PathBuf::from) {
        Some(build) => {
            let home = build.with_extension("home");
            (build, home)
        }
        None => {
            own = BuildFolder::new(&project, &warmed(&project, &toolchain)?)?;
            (own.path(), own.home().to_owned())
        }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&home)?;
    // The path of a socket has an end.
    let elsewhere;
    let sockets = match home.as_os_str().as_bytes().len() {
        ..=SOCKET_FOLDER => &*home,
        _ => {
            elsewhere = tempfile::Builder::new().prefix("lab").tempdir()?;
            elsewhere.path()
        }
    };
    let connection = fs::read(connection_file)
        .with_context(|| format!("读不了连接文件 {}", connection_file.display()))?;
    let connection = serde_json::from_slice(&connection)
        .with_context(|| format!("{} 不是 Jupyter 的连接文件", connection_file.display()))?;
    let kernel = front::Kernel {
        connection: &connection,
        evcxr: evcxr(&project, &toolchain, &build, &home)?,
        home: sockets,
        build: &build,
        rust: toolchain.version.clone(),
    };
    // On this thread: evcxr ends with the thread that started it.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(front::run(kernel))
}

/// The warmed folder for the notebook that the kernel is for. One that the course does not know,
/// or of which nobody says the name, gets what most of the course shares: better than nothing.
fn warmed(project: &Project, toolchain: &Toolchain) -> Result<PathBuf> {
    let named = std::env::var_os(NOTEBOOK_ENV).map(|path| project.notebooks().join(path));
    let first = project
        .course()
        .ok()
        .and_then(|course| course.into_iter().next());
    let mut folder = PathBuf::new();
    for notebook in named.into_iter().chain(first) {
        let deps = Notebook::load(&notebook).map(|notebook| notebook.dep_lines());
        folder = build_folder::warmed(project, toolchain, &deps.unwrap_or_default())?;
        if build_folder::is_ready(&folder) {
            break;
        }
    }
    Ok(folder)
}

/// evcxr with what it needs to find in its environment.
fn evcxr(project: &Project, toolchain: &Toolchain, build: &Path, home: &Path) -> Result<Command> {
    let program = std::env::current_exe().context("找不到自己的程序文件")?;
    let tools = home.join("bin");
    fs::create_dir_all(&tools)?;
    // evcxr asks for these by name.
    cargo::write_tools(&tools, &program)?;
    let libraries = libraries(toolchain, build);
    // The dynamic linker never looks again into a folder that was not there at its start. It would
    // take the libraries of `target/`, which cargo names to what it runs.
    for folder in &libraries {
        fs::create_dir_all(folder)?;
    }
    let mut command = Command::new(&program);
    command
        .env(PROJECT_ENV, project.root())
        .env(cargo::CARGO_ENV, toolchain.cargo())
        .env(cargo::RUSTC_ENV, toolchain.rustc())
        .env(cargo::LOCK_ENV, project.root().join("Cargo.lock"))
        .env(cargo::BUILD_ENV, build)
        .env("EVCXR_CONFIG_DIR", build_folder::configuration(project)?)
        .env(
            "RUST_SRC_PATH",
            sources::pruned(project, &toolchain.sources)?,
        )
        .env(
            "PATH",
            prepend([tools, toolchain.sysroot.join("bin")], "PATH")?,
        )
        // Makes cells independent of where their libraries lie: evcxr's rpath is wrong unless
        // the build folder and the toolchain have nothing but `/` in common.
        .env("LD_LIBRARY_PATH", prepend(libraries, "LD_LIBRARY_PATH")?)
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_TARGET_DIR");
    end_with_us(&mut command);
    Ok(command)
}

/// Plain evcxr: this program without anything of ours around it, building in `build`. What our
/// kernel is compared with. It is only told what it could not run without on any machine: where
/// the standard library and its sources are.
pub fn stock(lab: &Path, toolchain: &Toolchain, build: &Path) -> Command {
    let mut command = Command::new(lab);
    command
        .arg("--control_file")
        .env(cargo::BUILD_ENV, build)
        .env("RUST_SRC_PATH", &toolchain.sources);
    if let Ok(libraries) = std::env::join_paths(libraries(toolchain, build)) {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

/// Where the shared objects are that cells are linked with.
fn libraries(toolchain: &Toolchain, build: &Path) -> [PathBuf; 2] {
    let target = build.join("target").join(&toolchain.host);
    [toolchain.libraries(), target.join("debug/deps")]
}

/// `folders`, then those that the environment variable has already.
fn prepend<const N: usize>(folders: [PathBuf; N], variable: &str) -> Result<OsString> {
    let present = std::env::var_os(variable).unwrap_or_default();
    let present = std::env::split_paths(&present).filter(|path| !path.as_os_str().is_empty());
    std::env::join_paths(folders.into_iter().chain(present))
        .context("路径里有冒号（:），加不进搜索路径：请把项目移到别处")
}
