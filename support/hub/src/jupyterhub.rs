//! JupyterHub's command, with all that `jupyterhub_config.py` reads.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use anyhow::{Context, Result};
use base::files;
use base::toolchain::Toolchain;
use serde_json::json;

use crate::class::Class;
use crate::network::network;
use crate::prepare::Options;

const GIB: u64 = 1 << 30;

impl Class {
    /// JupyterHub, told where everything is.
    pub fn jupyterhub(
        &self,
        students: &[String],
        toolchain: &Toolchain,
        options: &Options,
    ) -> Result<Command> {
        let free = || TcpListener::bind("127.0.0.1:0");
        // Servers that have survived the hub's end look for it where it was.
        let place = self.hub("port");
        let port = fs::read_to_string(&place)
            .ok()
            .and_then(|text| text.parse().ok());
        let same = port.map(|port: u16| TcpListener::bind(("127.0.0.1", port)));
        // Both held until both are known.
        let (hub, proxy) = (same.and_then(Result::ok).map_or_else(free, Ok)?, free()?);
        let port = hub.local_addr()?.port();
        files::replace(&place, |file| write!(file, "{port}"))?;
        let scheme = match options.certificate {
            Some(_) => "https",
            None => "http",
        };
        let address = SocketAddr::new(options.ip, options.port);
        let certificate = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Some([
                certificate.canonicalize().context("读不了证书")?,
                key.canonicalize().context("读不了私钥")?,
            ]),
            _ => None,
        };
        let mut environment = network();
        let sources = toolchain.sources.to_string_lossy();
        environment.insert("RUST_SRC_PATH".to_owned(), sources.into_owned());
        let configuration = json!({
            "data": self.data,
            "shared": self.shared(""),
            "students": students,
            "teacher": options.teacher,
            "former": self.former(students, options),
            "prefix": options.prefix,
            "memory": options.memory * GIB,
            "cull": options.cull,
            "spares": options.spares,
            "ahead": !options.on_demand,
            "bind": format!("{scheme}://{address}"),
            "hub_port": port,
            "proxy_port": proxy.local_addr()?.port(),
            "certificate": certificate,
            "toolchain": toolchain.sysroot,
            "environment": environment,
        });
        println!("打开 {scheme}://{address}（按 Ctrl-C 结束）");
        let mut command = Command::new(self.python().folder().join("bin/python"));
        command
            .args(["-m", "jupyterhub", "--config"])
            .arg(self.shared("project/support/hub/jupyterhub_config.py"))
            .env("LAB_HUB", configuration.to_string())
            .current_dir(self.data.join("hub"));
        Ok(command)
    }
}
