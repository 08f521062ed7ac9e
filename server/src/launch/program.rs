//! Calls the programs of engines: `sbatch`, `ssh`, commands of the user.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::worker::last_words;

/// Why a program did not do what it was called for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It was not started.
    #[error("`{0}` cannot be started: {1}")]
    Missing(String, std::io::Error),
    /// It says why, with its exit code.
    #[error("{words}")]
    Refused { code: Option<i32>, words: String },
    /// It may have done it.
    #[error("`{0}` did not answer within {1} s")]
    Silent(String, u64),
}

/// Runs a program with `input` on its standard input; returns what it printed.
pub async fn call(mut command: Command, input: &str, limit: Duration) -> Result<String, CallError> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read its input says why by its exit.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let Output { status, stdout, stderr } = match timeout(limit, run).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(CallError::Missing(name, error)),
        Err(_) => return Err(CallError::Silent(name, limit.as_secs())),
    };
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr);
    let said = if said.trim().is_empty() { String::from_utf8_lossy(&stdout) } else { said };
    let words = all_words(&said);
    let words = if words.is_empty() { format!("`{name}` ended with {status} and said nothing") } else { words };
    Err(CallError::Refused { code: status.code(), words })
}

/// The message of a program in one line: all of a short one, else its end.
fn all_words(said: &str) -> String {
    const MOST_LINES: usize = 4;
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > MOST_LINES { last_words(said) } else { lines.join("; ") }
}

/// A word as the shell reads it back unchanged.
pub fn quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_answers_or_says_why_not() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let limit = Duration::from_secs(10);
        assert_eq!(call(shell("cat"), "input", limit).await.unwrap(), "input");
        let refused = call(shell("echo no; echo 'no partition' >&2; echo 'really' >&2; exit 3"), "", limit).await.unwrap_err();
        assert_eq!(refused.to_string(), "no partition; really");
        let missing = call(Command::new("no-such-program"), "", limit).await.unwrap_err();
        assert!(missing.to_string().contains("no-such-program"), "{missing}");
        let silent = call(shell("sleep 60"), "", Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(silent, CallError::Silent(..)), "{silent}");
    }

    #[test]
    fn the_shell_reads_a_quoted_word_back() {
        for word in ["plain", "with space", "it's", "", "$HOME", "a;b", "ü"] {
            let output = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
