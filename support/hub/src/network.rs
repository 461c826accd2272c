//! How students' programs reach the network: as the teacher's do, but without passwords.

use std::collections::BTreeMap;

use anyhow::Result;
use base::environment;

use crate::closed::{closed, closed_to};

/// How students' servers reach the network: as we do, without passwords, and without files that
/// students cannot read, which would be in the way of other ones.
pub fn network() -> BTreeMap<String, String> {
    let mut network = environment::network_without_passwords();
    network.retain(|name, value| {
        let paths = std::env::split_paths(value).filter(|_| value.starts_with('/'));
        let mut closed = paths.filter_map(|path| match path.is_dir() {
            true => closed(&path),
            false => closed_to(0o004, &path),
        });
        let closed = closed.next();
        if let Some(closed) = &closed {
            println!(
                "  学生读不了 {}，他们的服务器就没有 {name}：需要它来下载的话，请换成人人可读的一份",
                closed.display()
            );
        }
        closed.is_none()
    });
    network
}

/// What of a cargo configuration lets others download the same crates from the same places: tokens
/// and passwords are nobody else's.
pub fn without_secrets(configuration: &str) -> Result<String> {
    fn strip(value: &mut toml::Value) {
        const SECRET: [&str; 4] = [
            "token",
            "secret-key",
            "credential-provider",
            "global-credential-providers",
        ];
        match value {
            toml::Value::String(text) => *text = environment::without_passwords(text),
            toml::Value::Array(values) => values.iter_mut().for_each(strip),
            toml::Value::Table(table) => {
                table.retain(|name, _| !SECRET.contains(&name));
                table.iter_mut().for_each(|(_, value)| strip(value));
            }
            _ => {}
        }
    }
    let mut all: toml::Table = configuration.parse()?;
    all.retain(|name, _| ["source", "registries", "registry", "net", "http"].contains(&name));
    let mut all = toml::Value::Table(all);
    strip(&mut all);
    Ok(toml::to_string(&all)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_students_get_of_the_teachers_cargo_configuration_has_no_secrets() {
        let configuration = r#"
            [build]
            jobs = 2
            [source.crates-io]
            replace-with = "near"
            [source.near]
            registry = "sparse+http://near/index/"
            [registries.ours]
            index = "sparse+https://ours/"
            token = "secret"
            [registry]
            token = "secret"
            [registries.theirs]
            index = "sparse+https://me:secret@theirs/"
            [http]
            proxy = "http://me:secret@proxy:3128"
            check-revoke = false
            [net.ssh]
            known-hosts = ["x", "https://me:secret@host"]
        "#;
        let kept = without_secrets(configuration).unwrap();
        assert!(!kept.contains("secret") && !kept.contains("jobs"), "{kept}");
        for part in [
            "replace-with = \"near\"",
            "sparse+http://near/index/",
            "sparse+https://ours/",
            "sparse+https://theirs/",
            "http://proxy:3128",
            "check-revoke = false",
        ] {
            assert!(kept.contains(part), "{part} in {kept}");
        }
        assert!(without_secrets("[source").is_err());
    }
}
