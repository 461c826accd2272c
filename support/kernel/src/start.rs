//! A kernel, as Jupyter starts it: evcxr, in a build folder and an environment that are made for it,
//! with the [`crate::front`] before it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use base::caches;
use base::ipynb::Notebook;
use base::process::{end_with_us, once_more, this_program};
use base::toolchain::Toolchain;
use jupyter_protocol::ConnectionInfo;
use link::variable;

use crate::build_folder::{self, BuildFolder};
use crate::cargo::{self, Set};
use crate::front::{self, Clients, Settings};
use crate::pack;
use crate::priority;
use crate::sources;
use crate::spare::{self, Needs, Offer};

/// evcxr writes its own entry into the folder that this names, or else into the user's: over
/// ours, if it finds that there, or over a stranger's.
const JUPYTER_ENV: &str = "JUPYTER_PATH";
/// What that said, for cells.
const JUPYTER_KEPT_ENV: &str = "LAB_JUPYTER_PATH";

/// What all kernels of this user have in common.
pub struct Place {
    toolchain: Toolchain,
    /// Where kernels keep things: everything in there can be made anew.
    cache: PathBuf,
}

impl Place {
    /// Finds the toolchain and the cache folder.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn find() -> Result<Place> {
        pack::enter()?;
        let cache = caches::folder()?.join("kernel");
        caches::make(&cache)?;
        Ok(Place {
            toolchain: Toolchain::find()?,
            cache,
        })
    }

    /// The set that a cell with these `:dep` lines, run in `folder`, names.
    ///
    /// # Errors
    /// When evcxr would not take them either.
    pub fn set(&self, cell: &str, folder: &Path) -> Result<Set> {
        Set::of_cell(
            cell,
            folder,
            &identity(&self.toolchain),
            lock_file().as_deref(),
        )
    }

    /// The caches in which sets are looked for.
    pub fn stores(&self) -> cargo::Stores {
        cargo::Stores::new(&self.cache)
    }
}

/// What of a toolchain makes a difference for what is compiled with it.
fn identity(toolchain: &Toolchain) -> String {
    format!("{} {}", toolchain.version, toolchain.host)
}

/// The lock file whose versions cells get.
fn lock_file() -> Option<PathBuf> {
    let file = std::env::var_os(variable::LOCK).map(PathBuf::from);
    file.filter(|file| file.is_file())
}

/// Where the course explains what, by the kinds of mistakes; nothing without a course.
fn sections() -> BTreeMap<String, String> {
    let file = std::env::var_os(variable::SECTIONS).map(PathBuf::from);
    // The kernel may have been copied to where there is no course.
    let Some(file) = file.filter(|file| file.is_file()) else {
        return BTreeMap::new();
    };
    let read = || -> Result<_> { Ok(toml::from_str(&fs::read_to_string(&file)?)?) };
    read().unwrap_or_else(|error| {
        eprintln!("[front] 读不了 {}：{error:#}", file.display());
        BTreeMap::new()
    })
}

/// Runs a kernel until it is told to end: a spare, if one waits that is just right, or one of its
/// own.
///
/// # Errors
/// When the connection file or the toolchain is not usable, the build folder cannot be made, or
/// evcxr ends by itself.
pub fn kernel(connection_file: &Path) -> Result<ExitCode> {
    let is_set = |name| std::env::var_os(name).is_some();
    let is_behind = is_set(variable::BEHIND);
    if is_behind {
        priority::low();
    }
    let place = Place::find()?;
    let connection = fs::read(connection_file)
        .with_context(|| format!("读不了连接文件 {}", connection_file.display()))?;
    let connection: ConnectionInfo = serde_json::from_slice(&connection)
        .with_context(|| format!("{} 不是 Jupyter 的连接文件", connection_file.display()))?;
    let is_early = is_set(variable::EARLY);
    let mut first = None;
    if (is_early || is_set(variable::SPARES))
        && let Some(notebook) = notebook()
        && let Ok(Some(needs)) = needs(&place, &notebook)
    {
        if is_early {
            first = Some(needs.first);
        } else if let Some(status) = spare::take(&needs, &connection)? {
            return Ok(ExitCode::from(status));
        }
    }
    let own = BuildFolder::new(&place.cache)?;
    let steps_back = first.is_some() && !is_behind;
    let clients = Clients::Known(connection);
    serve(&place, &own, clients, first, steps_back).map(ExitCode::from)
}

/// Runs a spare kernel for the notebooks in the working directory that begin as this one does.
/// Whoever connects to `socket` takes it.
///
/// # Errors
/// When the notebook's first cell does not run, or what it depends on has not been compiled, and
/// see [`kernel`].
pub fn spare(socket: &Path, notebook: &Path) -> Result<ExitCode> {
    let place = Place::find()?;
    let needs = needs(&place, notebook)?
        .with_context(|| format!("{} 的第一格不只有 :dep 和 use", notebook.display()))?;
    if !place.stores().has(&needs.set) {
        bail!("{} 的依赖还没有编译好", notebook.display());
    }
    let own = BuildFolder::new(&place.cache)?;
    let first = Some(needs.first.clone());
    let offer = Offer::new(socket.to_owned(), needs)?;
    let (taker, clients) = (offer.taker(), Clients::Later(offer));
    let ended = serve(&place, &own, clients, first, true);
    drop(own);
    taker.tell(*ended.as_ref().unwrap_or(&1));
    ended.map(ExitCode::from)
}

/// evcxr, building in `own`, and the front before it. Returns the exit status.
fn serve(
    place: &Place,
    own: &BuildFolder,
    clients: Clients,
    ahead: Option<String>,
    steps_back: bool,
) -> Result<u8> {
    let sockets = own.sockets()?;
    let mut evcxr = evcxr(place, &own.path(), own.home())?;
    if matches!(clients, Clients::Later(_)) {
        evcxr.stdout(Stdio::null()); // a spare's goes to its keeper
    }
    let settings = Settings {
        clients,
        ahead,
        steps_back,
        evcxr,
        home: &sockets,
        rust: place.toolchain.version.clone(),
        sections: sections(),
    };
    // On this thread: evcxr ends with the thread that started it.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(front::run(settings))
}

/// The notebook that the kernel is for, if somebody has said so: a file in the working directory,
/// whatever Jupyter takes for the root of its path.
fn notebook() -> Option<PathBuf> {
    let path = std::env::var_os(variable::NOTEBOOK).map(PathBuf::from)?;
    path.file_name().map(PathBuf::from)
}

/// What a kernel for this notebook, in the working directory, must have been made with to have run
/// its first cell ahead. None if that must not be.
fn needs(place: &Place, notebook: &Path) -> Result<Option<Needs>> {
    let first = first_cell(notebook)?;
    let Some(first) = first.filter(|first| kernel_core::may_be_run_ahead(first)) else {
        return Ok(None);
    };
    let folder = std::env::current_dir()?;
    Ok(Some(Needs {
        set: place.set(&first, &folder)?.key().to_owned(),
        folder,
        first,
    }))
}

/// A notebook's first code cell.
fn first_cell(notebook: &Path) -> Result<Option<String>> {
    let first = Notebook::load(notebook)?.code_cells().into_iter().next();
    Ok(first.map(|cell| cell.source))
}

/// Prints the notebooks whose first cells name crates that have not been compiled yet. Returns
/// whether all could be read.
///
/// # Errors
/// When there is no toolchain, or no place for caches.
pub fn ready(notebooks: &[PathBuf]) -> Result<bool> {
    let place = Place::find()?;
    let stores = place.stores();
    let mut well = true;
    for notebook in notebooks {
        let folder = std::path::absolute(notebook)?;
        let folder = folder.parent().context("a file has a folder")?;
        let is_ready = first_cell(notebook).and_then(|cell| match cell {
            Some(cell) => Ok(stores.has(place.set(&cell, folder)?.key())),
            None => Ok(true),
        });
        match is_ready {
            Ok(true) => {}
            Ok(false) => println!("{}", notebook.display()),
            Err(error) => {
                eprintln!("错误：{}：{error:#}", notebook.display());
                well = false;
            }
        }
    }
    Ok(well)
}

/// evcxr with what it needs to find in its environment.
fn evcxr(place: &Place, build: &Path, home: &Path) -> Result<Command> {
    let toolchain = &place.toolchain;
    let libraries = libraries(toolchain, build);
    // The dynamic linker never looks again into a folder that was not there at its start. It would
    // take the libraries of `target/`, which cargo names to what it runs.
    for folder in &libraries {
        fs::create_dir_all(folder)?;
    }
    let mut command = once_more();
    let tools = cargo::stand_before(&mut command, &home.join("cargo"), &this_program())?;
    command
        .env(cargo::CARGO_ENV, toolchain.cargo())
        .env(cargo::RUSTC_ENV, toolchain.rustc())
        .env(cargo::TOOLCHAIN_ENV, identity(toolchain))
        .env(cargo::STORE_ENV, &place.cache)
        .env(variable::BUILD, build)
        .env(
            "EVCXR_CONFIG_DIR",
            build_folder::configuration(&place.cache)?,
        )
        .env(
            "RUST_SRC_PATH",
            sources::pruned(&place.cache, &toolchain.sources)?,
        )
        .env(
            "PATH",
            prepend([tools, toolchain.sysroot.join("bin")], "PATH")?,
        )
        // Makes cells independent of where their libraries lie: evcxr's rpath is wrong unless
        // the build folder and the toolchain have nothing but `/` in common.
        .env("LD_LIBRARY_PATH", prepend(libraries, "LD_LIBRARY_PATH")?)
        .env(JUPYTER_ENV, home)
        // Memory that the analyser has given back is not kept for what it may want next.
        .env("MIMALLOC_PURGE_DELAY", "0")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_TARGET_DIR");
    match lock_file() {
        Some(file) => command.env(variable::LOCK, std::path::absolute(file)?),
        None => command.env_remove(variable::LOCK),
    };
    for name in [variable::SPARES, variable::EARLY, variable::BEHIND] {
        command.env_remove(name);
    }
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
        .context("路径里有冒号（:），加不进搜索路径：请把缓存文件夹移到别处（LAB_CACHE）")
}
