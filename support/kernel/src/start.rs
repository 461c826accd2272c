//! `lab kernel CONNECTION_FILE`, which Jupyter starts: evcxr, in a build folder and an
//! environment that are made for it, with the [`crate::front`] before it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use jupyter_protocol::ConnectionInfo;

use crate::build_folder::{self, BuildFolder};
use crate::cargo;
use crate::front::{self, Clients};
use crate::ipynb::Notebook;
use crate::process::end_with_us;
use crate::project::{PROJECT_ENV, Project};
use crate::sources;
use crate::spare::{self, Needs, Offer, SPARES_ENV};
use crate::toolchain::Toolchain;

/// Makes the kernel work in this folder instead of in a copy of its own: how set-up warms one.
pub const BUILD_FOLDER_ENV: &str = "LAB_BUILD_FOLDER";
/// evcxr writes its own entry into the folder that this names, or else into the user's: over
/// ours, if it finds that there, or over a stranger's.
const JUPYTER_ENV: &str = "JUPYTER_PATH";
/// What that said, for cells.
const JUPYTER_KEPT_ENV: &str = "LAB_JUPYTER_PATH";
/// The notebook a kernel is started for; JupyterLab and `lab run` set it.
pub const NOTEBOOK_ENV: &str = "JPY_SESSION_NAME";

/// The longest path of a folder for sockets: theirs have at most 107 bytes.
const SOCKET_FOLDER: usize = 95;

/// Runs a kernel until it is told to end: a spare, if one waits that is just right, or one of its
/// own. An `early` one runs its notebook's first cell before anybody asks for it.
///
/// # Errors
/// When the connection file or the toolchain is not usable, the build folder cannot be made, or
/// evcxr ends by itself.
pub fn kernel(connection_file: &Path, early: bool) -> Result<ExitCode> {
    let project = Project::find()?;
    let toolchain = Toolchain::find()?;
    let connection = fs::read(connection_file)
        .with_context(|| format!("读不了连接文件 {}", connection_file.display()))?;
    let connection: ConnectionInfo = serde_json::from_slice(&connection)
        .with_context(|| format!("{} 不是 Jupyter 的连接文件", connection_file.display()))?;
    let clients = Clients::Known(connection.clone());
    if let Some(build) = std::env::var_os(BUILD_FOLDER_ENV).map(PathBuf::from) {
        let home = build.with_extension("home");
        return serve(&project, &toolchain, clients, None, &build, &home).map(ExitCode::from);
    }
    let mut first = None;
    if (early || std::env::var_os(SPARES_ENV).is_some())
        && let Some(notebook) = notebook(&project)
        && let Ok(Some(needs)) = needs(&project, &toolchain, &notebook)
    {
        if early {
            first = Some(needs.first);
        } else if let Some(status) = spare::take(&needs, &connection)? {
            return Ok(ExitCode::from(status));
        }
    }
    let own = BuildFolder::new(&project, &warmed(&project, &toolchain)?)?;
    let (build, home) = (own.path(), own.home());
    serve(&project, &toolchain, clients, first, &build, home).map(ExitCode::from)
}

/// Runs a spare kernel for the notebooks that begin as the course does. Whoever connects to
/// `socket` takes it.
///
/// # Errors
/// When the course's first cell does not run, and see [`kernel`].
pub fn spare(socket: &Path) -> Result<ExitCode> {
    let project = Project::find()?;
    let toolchain = Toolchain::find()?;
    let notebook = project.course()?.swap_remove(0);
    let needs = needs(&project, &toolchain, &notebook)?
        .with_context(|| format!("{} 的第一格不只有 :dep 和 use", notebook.display()))?;
    if !build_folder::is_ready(&needs.warmed) {
        bail!("依赖还没有预热");
    }
    let own = BuildFolder::new(&project, &needs.warmed)?;
    let first = Some(needs.first.clone());
    let offer = Offer::new(socket.to_owned(), needs)?;
    let (build, taker, clients) = (own.path(), offer.taker(), Clients::Later(offer));
    let ended = serve(&project, &toolchain, clients, first, &build, own.home());
    drop(own);
    taker.tell(*ended.as_ref().unwrap_or(&1));
    ended.map(ExitCode::from)
}

/// evcxr, building in `build`, and the front before it. Returns the exit status.
fn serve(
    project: &Project,
    toolchain: &Toolchain,
    clients: Clients,
    ahead: Option<String>,
    build: &Path,
    home: &Path,
) -> Result<u8> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(home)?;
    // The path of a socket has an end.
    let elsewhere;
    let sockets = match home.as_os_str().as_bytes().len() {
        ..=SOCKET_FOLDER => home,
        _ => {
            elsewhere = tempfile::Builder::new().prefix("lab").tempdir()?;
            elsewhere.path()
        }
    };
    let mut evcxr = evcxr(project, toolchain, build, home)?;
    if matches!(clients, Clients::Later(_)) {
        evcxr.stdout(Stdio::null()); // a spare's goes to its keeper
    }
    let kernel = front::Kernel {
        clients,
        ahead,
        evcxr,
        home: sockets,
        rust: toolchain.version.clone(),
    };
    // On this thread: evcxr ends with the thread that started it.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(front::run(kernel))
}

/// The notebook that the kernel is for, if somebody has said so.
fn notebook(project: &Project) -> Option<PathBuf> {
    std::env::var_os(NOTEBOOK_ENV).map(|path| project.notebooks().join(path))
}

/// What a kernel for this notebook, in the working directory, must have been made with to have run
/// its first cell ahead. None if that must not be.
fn needs(project: &Project, toolchain: &Toolchain, notebook: &Path) -> Result<Option<Needs>> {
    let notebook = Notebook::load(notebook)?;
    let first = notebook.code_cells().into_iter().next();
    let Some(first) = first.filter(|first| front::may_be_run_ahead(&first.source)) else {
        return Ok(None);
    };
    Ok(Some(Needs {
        folder: std::env::current_dir()?,
        warmed: build_folder::warmed(project, toolchain, &notebook.dep_lines())?,
        first: first.source,
    }))
}

/// The warmed folder for the notebook that the kernel is for. One that the course does not know,
/// or of which nobody says the name, gets what most of the course shares: better than nothing.
fn warmed(project: &Project, toolchain: &Toolchain) -> Result<PathBuf> {
    let first = project
        .course()
        .ok()
        .and_then(|course| course.into_iter().next());
    let mut folder = PathBuf::new();
    for notebook in notebook(project).into_iter().chain(first) {
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
    let libraries = libraries(toolchain, build);
    // The dynamic linker never looks again into a folder that was not there at its start. It would
    // take the libraries of `target/`, which cargo names to what it runs.
    for folder in &libraries {
        fs::create_dir_all(folder)?;
    }
    let mut command = Command::new(&program);
    let tools = cargo::stand_before(&mut command, &home.join("cargo"), &program)?;
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
        .env(JUPYTER_ENV, home)
        .env_remove(SPARES_ENV)
        // Memory that the analyser has given back is not kept for what it may want next.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_TARGET_DIR");
    if let Some(folders) = std::env::var_os(JUPYTER_ENV) {
        command.env(JUPYTER_KEPT_ENV, folders);
    }
    end_with_us(&mut command);
    Ok(command)
}

/// In the process that runs the cells: what evcxr had to be told otherwise.
pub fn give_back_environment() {
    let folders = std::env::var_os(JUPYTER_KEPT_ENV);
    // SAFETY: there is no other thread yet.
    unsafe {
        match folders {
            Some(folders) => std::env::set_var(JUPYTER_ENV, folders),
            None => std::env::remove_var(JUPYTER_ENV),
        }
        std::env::remove_var(JUPYTER_KEPT_ENV);
    }
}

/// Plain evcxr: this program without anything of ours around it, building in `build`. What our
/// kernel is compared with. It is only told what it could not run without on any machine: where
/// the standard library and its sources are.
pub fn stock(lab: &Path, toolchain: &Toolchain, build: &Path) -> Command {
    let mut command = Command::new(lab);
    command
        .arg("--control_file")
        .env(JUPYTER_ENV, build) // there is no entry for it to rewrite
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
