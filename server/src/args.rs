//! The command line and the environment.

use std::path::PathBuf;

use axum::http::Uri;
use axum::http::uri::Authority;
use clap::{Parser, Subcommand, ValueEnum};

use crate::base_path;
use crate::scheduler::DeviceShare;

/// The CrossLens server.
#[derive(Debug, Parser)]
#[command(name = "crosslens", version, args_override_self = true)]
pub struct Args {
    /// Does something else than to serve.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address and port to listen on. If other machines can reach it, a token is required.
    #[arg(long, env = "CROSSLENS_ADDR", default_value = "127.0.0.1:8000")]
    pub addr: String,

    /// Folder of the runs and the database.
    #[arg(long, env = "CROSSLENS_DATA_DIR", default_value = "./data", global = true)]
    pub data_dir: PathBuf,

    /// Folder of downloaded data sets; by default `datasets` in the data directory.
    #[arg(long, env = "CROSSLENS_DATASETS_DIR", value_name = "DIR")]
    pub datasets_dir: Option<PathBuf>,

    /// Address to download data sets from, instead of where their authors publish them; it holds files of the
    /// same names.
    #[arg(long, env = "CROSSLENS_DATASETS_MIRROR", value_name = "URL")]
    pub datasets_mirror: Option<String>,

    /// The program that trains; by default `worker` beside this one.
    #[arg(long, env = "CROSSLENS_WORKER", value_name = "PATH")]
    pub worker: Option<PathBuf>,

    /// File that describes lanes beyond this machine: clusters and hosts where runs can go (docs/cluster.md); by default
    /// `lanes.toml` in the data directory, if it is there.
    #[arg(long, env = "CROSSLENS_LANES", value_name = "FILE")]
    pub lanes: Option<PathBuf>,

    /// The folder of the built frontend; without it only the API is served.
    #[arg(long, env = "CROSSLENS_WEB", value_name = "DIR")]
    pub web: Option<PathBuf>,

    /// Path under which a proxy serves the application, such as `/crosslens`, with or without `%XX`.
    #[arg(long, env = "CROSSLENS_BASE_PATH", default_value = "", value_parser = base_path::parse)]
    pub base_path: String,

    /// Public address of the application, such as `https://lens.example.org`, for the preview pictures of
    /// share links; by default taken from the headers of a proxy.
    #[arg(long, env = "CROSSLENS_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Token that is required for everything but share links. If other machines can reach the address and no
    /// token is given, one is made and kept in the file `token` of the data directory.
    #[arg(long, env = "CROSSLENS_TOKEN", value_parser = token, hide_env_values = true)]
    pub token: Option<String>,

    /// Token that permits reading but no changes, to give to others. If no other token is given, one is made as
    /// for an address that other machines can reach.
    #[arg(long, env = "CROSSLENS_READ_TOKEN", value_parser = token, hide_env_values = true)]
    pub read_token: Option<String>,

    /// Host names under which a proxy serves the application, on any port, in addition to localhost.
    #[arg(long = "allowed-host", env = "CROSSLENS_ALLOWED_HOSTS", value_name = "NAME", value_delimiter = ',', value_parser = host_name)]
    pub allowed_hosts: Vec<String>,

    /// Seconds that a worker may take to save and end before it is killed.
    #[arg(long, env = "CROSSLENS_STOP_GRACE_SECS", value_name = "SECONDS", default_value_t = 30)]
    pub stop_grace_secs: u64,

    /// How many runs a device runs at once, such as `cuda:0=3`; can be repeated. Without it, one. Runs that share
    /// the processor share its threads too.
    #[arg(long = "runs-at-once", env = "CROSSLENS_RUNS_AT_ONCE", value_name = "DEVICE=N", value_delimiter = ',')]
    pub runs_at_once: Vec<DeviceShare>,

    /// Stops the runs of this machine with the server: they save, and go on with the next server. Without it they go on meanwhile.
    #[arg(long, env = "CROSSLENS_STOP_RUNS")]
    pub stop_runs: bool,

    /// Runs programs that people import: networks as TorchScript. A program can do whatever this server may do: read its
    /// files, change them, and send them away. Without it, weights are read as data and nothing in a file is run.
    #[arg(long, env = "CROSSLENS_ALLOW_PROGRAMS")]
    pub allow_programs: bool,

    /// Submits the demo experiment and prints the link to it.
    #[arg(long)]
    pub demo: bool,

    /// Days that a deleted run stays in the trash, from where it can be restored. 0 deletes runs at once.
    #[arg(long, env = "CROSSLENS_TRASH_DAYS", value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(..=3650))]
    pub trash_days: u32,

    /// Form of the log on the standard error output: one JSON object per line is for programs.
    #[arg(long, env = "CROSSLENS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the experiments to start from, or prints the configuration of one.
    Presets {
        /// Prints the config.json of this preset.
        preset: Option<String>,
        /// Prints the small form, which takes minutes of two CPU cores.
        #[arg(long, requires = "preset")]
        small: bool,
    },
    /// Copies runs, database and token into a new folder. The server may run meanwhile.
    Backup {
        /// The folder to make.
        dir: PathBuf,
    },
    /// Makes the data directory, which must not exist yet, from a backup.
    Restore {
        /// The folder that `backup` has made.
        dir: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// The name of a host without its port: it is trusted on every port.
fn host_name(text: &str) -> Result<String, String> {
    let authority = text.trim().parse::<Authority>().ok().filter(|_| !text.contains('@'));
    let name = authority.map(|authority| authority.host().to_ascii_lowercase()).filter(|name| !name.contains('*'));
    name.ok_or_else(|| "write the name of a host such as `lens.example.org`, without `https://`".to_owned())
}

/// A scheme and a host, optionally with port and path, without a slash at its end.
fn public_url(text: &str) -> Result<String, String> {
    let wrong = || "write an address such as `https://lens.example.org` or `https://example.org/lens`".to_owned();
    let uri: Uri = text.trim().parse().map_err(|_| wrong())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)).ok_or_else(wrong)?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    if uri.query().is_some() {
        return Err(wrong());
    }
    Ok(format!("{scheme}://{authority}{}", base_path::parse(uri.path())?))
}

/// A token that needs no escaping in a link or a cookie.
pub fn token(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if text.len() >= 16 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("write 16 or more letters, digits or `-_.~`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowed_host_is_a_name_on_any_port() {
        for (text, expected) in [("lens.example.org", "lens.example.org"), ("LENS.lab:8443", "lens.lab"), ("[::1]:80", "[::1]")] {
            assert_eq!(host_name(text).as_deref(), Ok(expected));
        }
        for bad in ["https://lens.example.org", "a@b", "*.example.org", "a b", ""] {
            assert!(host_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_public_address_is_a_scheme_a_host_and_a_path() {
        for (text, expected) in [
            ("https://lens.example.org/", "https://lens.example.org"),
            ("http://gpu:8080", "http://gpu:8080"),
            ("https://hub.lab/user/ada%40lab/lens/", "https://hub.lab/user/ada@lab/lens"),
        ] {
            assert_eq!(public_url(text).as_deref(), Ok(expected));
        }
        for bad in ["lens.example.org", "ftp://lens", "https://a@b/", "https://lens/?x", "/lens"] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_long_and_plain() {
        assert!(token("0123456789abcdef").is_ok());
        assert!(token("short").is_err());
        assert!(token("0123456789abcdef; Path=/").is_err());
    }
}
