//! Environments for programs that must not get all of ours: what any program needs, and how the
//! network is reached.
//!
//! In such a clean one a class is prepared, since what a compiler or an installer finds it may write
//! down, and tests run, since variables of whoever starts them would hide faults. Both need what
//! people say of their network, or nothing can be downloaded behind a proxy with a certificate of
//! its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::process::Command;

use link::variable;

/// What any program needs, and where ours find and keep things.
const BASICS: &[&str] = &[
    "CARGO_HOME",
    "HOME",
    variable::CACHE,
    variable::PROGRAMS,
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NPM_CONFIG_CACHE",
    "PATH",
    "PIP_CACHE_DIR",
    "RUSTUP_HOME",
    "RUST_SRC_PATH",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
];

/// How names end that say whom to trust or where the proxy is: each program has its own.
const ENDS: &[&str] = &[
    "CA_BUNDLE",
    "CA_CERTS",
    "CAFILE",
    "CAINFO",
    "CAPATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "_PROXY",
];

/// How names begin behind which everything is about the network.
const BEGINNINGS: &[&str] = &[
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_SOURCE_",
    "NPM_CONFIG_FETCH_",
];

/// The other settings of the network, mirrors above all. Not everything of pip and npm: where they
/// install to is our business.
const NAMES: &[&str] = &[
    "GIT_SSL_NO_VERIFY",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_USE_SYSTEM_CA",
    "NPM_CONFIG_CA",
    "NPM_CONFIG_GLOBALCONFIG",
    "NPM_CONFIG_NOPROXY",
    "NPM_CONFIG_OFFLINE",
    "NPM_CONFIG_PREFER_OFFLINE",
    "NPM_CONFIG_REGISTRY",
    "NPM_CONFIG_STRICT_SSL",
    "NPM_CONFIG_USERCONFIG",
    "PIP_CERT",
    "PIP_CLIENT_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_RETRIES",
    "PIP_TIMEOUT",
    "PIP_TRUSTED_HOST",
    "PIP_USE_DEPRECATED",
    "PIP_USE_FEATURE",
    "RUSTUP_DIST_ROOT",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_UPDATE_ROOT",
    "RUSTUP_USE_CURL",
    "RUSTUP_USE_RUSTLS",
];

/// What of this machine no proxy can reach, nor should: here kernels, servers and tests talk to
/// each other.
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "::1"];

/// Whether a variable says how the network is reached: certificates, proxies, mirrors. One whose
/// whole value is a secret never does.
pub fn is_of_network(name: &str) -> bool {
    // Proxies are written in both cases, and npm reads either.
    let name = name.to_ascii_uppercase();
    let registry = name.strip_prefix("CARGO_REGISTRIES_");
    let known = NAMES.contains(&&*name)
        || ENDS.iter().any(|end| name.ends_with(end))
        || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
        || registry.is_some_and(|rest| rest.ends_with("_INDEX") || rest.ends_with("_PROTOCOL"));
    known && !is_secret(&name)
}

/// Whether a name says that the value is a secret.
fn is_secret(name: &str) -> bool {
    const ANYWHERE: [&str; 5] = ["CREDENTIAL", "PASSWD", "PASSWORD", "SECRET", "TOKEN"];
    const WORDS: [&str; 3] = ["AUTH", "KEY", "PASS"];
    ANYWHERE.iter().any(|part| name.contains(part))
        || name.split('_').any(|word| WORDS.contains(&word))
}

/// A text without what stands before the `@` of the addresses in it, `https://name:password@host/`:
/// even a name alone can be a token.
pub fn without_passwords(text: &str) -> String {
    text.split_inclusive(|c: char| c.is_whitespace() || c == '"' || c == '\'')
        .map(without_password)
        .collect()
}

/// The same for a text that has at most one address in it.
fn without_password(text: &str) -> String {
    let (scheme, address) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text), // for a proxy none is needed
    };
    let Some((who, host)) = address.rsplit_once('@') else {
        return text.to_owned();
    };
    let (authority, path) =
        address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
    // A password may hold what should be escaped. What is before it then looks like host and port.
    let port = authority.rsplit_once(':').map_or("0", |(_, port)| port);
    let no_port = !path.is_empty() && port.parse::<u16>().is_err();
    let says_who = authority.contains('@') || no_port;
    match says_who && (!scheme.is_empty() || who.contains(':')) {
        true => format!("{scheme}{host}"),
        false => text.to_owned(),
    }
}

type Variables = BTreeMap<OsString, OsString>;

/// What a clean environment has of these variables.
fn clean_of(all: impl IntoIterator<Item = (OsString, OsString)>) -> Variables {
    let known = |name: &str| BASICS.contains(&&*name.to_ascii_uppercase()) || is_of_network(name);
    let mut kept: Variables = all
        .into_iter()
        .filter(|(name, _)| name.to_str().is_some_and(known))
        .collect();
    let value = |name: &str| kept.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let proxies = ["http_proxy", "https_proxy", "all_proxy"];
    let proxies = proxies.map(|name| [name.to_owned(), name.to_ascii_uppercase()]);
    if proxies
        .as_flattened()
        .iter()
        .any(|name| value(name).is_some())
    {
        let direct = value("no_proxy").or_else(|| value("NO_PROXY"));
        let direct = with_loopback(&direct.cloned().unwrap_or_default().to_string_lossy());
        for name in ["no_proxy", "NO_PROXY"] {
            kept.insert(name.into(), (&direct).into());
        }
    }
    kept
}

/// A list of hosts that are reached without a proxy, with this machine itself.
fn with_loopback(hosts: &str) -> String {
    let mut hosts: Vec<&str> = hosts.split(',').map(str::trim).collect();
    hosts.retain(|host| !host.is_empty());
    // All of them; it means so only when it stands alone.
    if hosts != ["*"] {
        let missing = LOOPBACK.iter().filter(|host| !hosts.contains(host));
        hosts.extend(missing.copied().collect::<Vec<_>>());
    }
    hosts.join(",")
}

/// A command in a clean environment.
pub fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(clean_of(std::env::vars_os()));
    command
}

/// Makes the environment of this process a clean one, and with it that of all that it starts.
///
/// # Safety
/// As for [`std::env::set_var`]: there must be no other thread.
pub unsafe fn become_clean() {
    let kept = clean_of(std::env::vars_os());
    for (name, _) in std::env::vars_os() {
        // SAFETY: the caller knows of no other thread.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in kept {
        // SAFETY: likewise.
        unsafe { std::env::set_var(name, value) };
    }
}

/// How this process reaches the network, for those who must not learn the passwords for it.
pub fn network_without_passwords() -> BTreeMap<String, String> {
    clean_of(std::env::vars_os())
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_of_network(name))
        .map(|(name, value)| (name, without_passwords(&value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_proxies_and_mirrors_are_of_the_network_and_secrets_are_not() {
        for name in [
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NIX_SSL_CERT_FILE",
            "NODE_EXTRA_CA_CERTS",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "GIT_PROXY_SSL_CAINFO",
            "PIP_CERT",
            "CARGO_HTTP_CAINFO",
            "npm_config_cafile",
            "http_proxy",
            "HTTPS_PROXY",
            "all_proxy",
            "NO_PROXY",
            "npm_config_https_proxy",
            "NPM_CONFIG_NOPROXY",
            "CARGO_HTTP_PROXY",
            "CARGO_HTTP_CHECK_REVOKE",
            "CARGO_NET_RETRY",
            "CARGO_NET_GIT_FETCH_WITH_CLI",
            "CARGO_REGISTRIES_NEAR_INDEX",
            "CARGO_REGISTRIES_CRATES_IO_PROTOCOL",
            "PIP_INDEX_URL",
            "PIP_FIND_LINKS",
            "npm_config_registry",
            "NPM_CONFIG_STRICT_SSL",
            "npm_config_fetch_retries",
            "NODE_TLS_REJECT_UNAUTHORIZED",
            "RUSTUP_DIST_SERVER",
        ] {
            assert!(is_of_network(name), "{name}");
        }
        for name in [
            "MY_REGISTRY_PASSWORD",
            "CARGO_REGISTRIES_NEAR_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "CARGO_HTTP_AUTH",
            "CARGO_NET_SSH_KEY",
            "CARGO_SOURCE_NEAR_PASSWORD",
            "NPM_CONFIG__AUTH",
            "npm_config__authToken",
            "NPM_TOKEN",
            "GIT_PROXY_SSL_KEY",
            "PROXY_SECRET_CAFILE",
            "AWS_SECRET_ACCESS_KEY",
            // Not of the network.
            "CARGO_MANIFEST_DIR",
            "CARGO_TARGET_DIR",
            "LD_LIBRARY_PATH",
            "PIP_TARGET",
            "npm_config_prefix",
            "PATH",
            "",
        ] {
            assert!(!is_of_network(name), "{name}");
        }
    }

    #[test]
    fn of_addresses_all_but_names_and_passwords_stays() {
        for (text, expected) in [
            ("http://me:secret@proxy:3128", "http://proxy:3128"),
            (
                "sparse+https://me:secret@near/index/",
                "sparse+https://near/index/",
            ),
            ("https://secret@near/simple", "https://near/simple"),
            ("http://me:s/e@c#r?et@proxy:3128/", "http://proxy:3128/"),
            ("http://me:s%40@proxy", "http://proxy"),
            ("me:secret@proxy:3128", "proxy:3128"),
            ("me:s/ecret@proxy:3128", "proxy:3128"),
            (
                "https://a:secret@x/ https://b:secret@y/\n",
                "https://x/ https://y/\n",
            ),
            (
                "proxy = \"http://me:secret@proxy\"",
                "proxy = \"http://proxy\"",
            ),
        ] {
            assert_eq!(without_passwords(text), expected, "{text}");
        }
        for text in [
            "",
            "1",
            "proxy:3128",
            "http://proxy:3128/",
            "http://[::1]:3128/",
            "https://near/@scope/package",
            "https://near:8443/@scope/package",
            "/opt/openssl@3/cert.pem",
            "/a/ssl:/b/openssl@3/ssl",
            "file:///opt/wheels@2/",
            "git@host:repository",
            "localhost,127.0.0.1,::1,.school",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(without_passwords(text), text);
        }
    }

    fn clean_with(variables: &[(&str, &str)]) -> Vec<String> {
        let all = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let kept = clean_of(all).into_iter();
        kept.map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect()
    }

    #[test]
    fn a_clean_environment_has_the_basics_and_the_network_and_nothing_else() {
        let kept = clean_with(&[
            ("HOME", "/root"),
            ("npm_config_cache", "/cache"),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("LD_LIBRARY_PATH", "/target"),
            ("MY_REGISTRY_PASSWORD", "secret"),
            ("GIT_AUTHOR_EMAIL", "me@home"),
        ]);
        assert_eq!(
            kept,
            [
                "HOME=/root",
                "SSL_CERT_FILE=/ca.pem",
                "npm_config_cache=/cache"
            ]
        );
    }

    #[test]
    fn this_machine_itself_is_never_reached_through_a_proxy() {
        let proxy = ("https_proxy", "http://proxy");
        let hosts = "localhost,127.0.0.1,::1";
        for (said, expected) in [
            (("NO_PROXY", ""), hosts),
            (
                ("NO_PROXY", ".school, localhost"),
                ".school,localhost,127.0.0.1,::1",
            ),
            (("no_proxy", hosts), hosts),
            (("no_proxy", "*"), "*"),
        ] {
            assert_eq!(
                clean_with(&[proxy, said]),
                [
                    format!("NO_PROXY={expected}"),
                    "https_proxy=http://proxy".to_owned(),
                    format!("no_proxy={expected}"),
                ]
            );
        }
        assert_eq!(clean_with(&[("http_proxy", "")]), ["http_proxy="]);
    }
}
