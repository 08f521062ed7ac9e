//! The command line and the environment.

use std::path::PathBuf;

use clap::Parser;

/// The CrossLens server.
#[derive(Debug, Parser)]
#[command(name = "crosslens", version, args_override_self = true)]
pub struct Args {
    /// Where to listen. An address that other machines can reach wants a token.
    #[arg(long, env = "CROSSLENS_ADDR", default_value = "127.0.0.1:8000")]
    pub addr: String,

    /// Where runs and the database are kept.
    #[arg(long, env = "CROSSLENS_DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,

    /// Where downloaded data sets are kept; by default `datasets` in the data directory.
    #[arg(long, env = "CROSSLENS_DATASETS_DIR", value_name = "DIR")]
    pub datasets_dir: Option<PathBuf>,

    /// Where to download data sets from instead of where their authors publish them: an address whose folder holds files of the same names.
    #[arg(long, env = "CROSSLENS_DATASETS_MIRROR", value_name = "URL")]
    pub datasets_mirror: Option<String>,

    /// The program that trains; by default `worker` beside this one.
    #[arg(long, env = "CROSSLENS_WORKER", value_name = "PATH")]
    pub worker: Option<PathBuf>,

    /// The folder of the built frontend; without it only the API is served.
    #[arg(long, env = "CROSSLENS_WEB", value_name = "DIR")]
    pub web: Option<PathBuf>,

    /// The path under which a proxy serves the application, such as `/crosslens`.
    #[arg(long, env = "CROSSLENS_BASE_PATH", default_value = "", value_parser = base_path)]
    pub base_path: String,

    /// Wanted from everyone who opens more than a share link. On an address that other machines can reach one is made if none is given.
    #[arg(long, env = "CROSSLENS_TOKEN", value_parser = token, hide_env_values = true)]
    pub token: Option<String>,

    /// Host names under which a proxy serves the application to people without a token, beside localhost.
    #[arg(long = "allowed-host", env = "CROSSLENS_ALLOWED_HOSTS", value_name = "NAME", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// How long a worker may take to save after a cancel before it is ended.
    #[arg(long, env = "CROSSLENS_STOP_GRACE_SECS", value_name = "SECONDS", default_value_t = 30)]
    pub stop_grace_secs: u64,
}

/// An empty text, or a path that starts with a slash and ends without one.
fn base_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    if path.is_empty() || (path.starts_with('/') && !path.contains("//") && path.bytes().all(plain)) {
        Ok(path.to_owned())
    } else {
        Err("write a path such as `/crosslens`, of letters, digits and `-_.~`".to_owned())
    }
}

/// A token that fits in a link and in a cookie as it is.
fn token(text: &str) -> Result<String, String> {
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
    fn a_base_path_starts_with_a_slash_and_ends_without() {
        assert_eq!(base_path("/"), Ok(String::new()));
        assert_eq!(base_path("/lab/crosslens/"), Ok("/lab/crosslens".to_owned()));
        for bad in ["crosslens", "//evil.example", "/a\"b", "/{id}"] {
            assert!(base_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_is_long_and_plain() {
        assert!(token("0123456789abcdef").is_ok());
        assert!(token("short").is_err());
        assert!(token("0123456789abcdef; Path=/").is_err());
    }
}
