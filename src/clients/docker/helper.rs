//! Credential helpers: programs that know what `docker login` was told.
//!
//! In: a helper's name, a registry. Out: its credentials. Effect: runs the program.
//!
//! # Guarantees
//! * What it says is bounded, in time and length, and never part of an error.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use crate::clients::docker::{HelperName, Login, RegistryAuth};

/// People may have to unlock a key ring.
const HELPER_SECS_MAX: u64 = 60;
/// A name and a token.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What every helper says when it knows nothing of a registry.
const NOT_FOUND: &[u8] = b"credentials not found";
/// The user name that stands for an identity token.
const TOKEN_USER: &str = "<token>";

/// A helper that did not help.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It cannot be run.
    #[error("cannot run the credential helper `{program}`")]
    Start {
        /// What was run.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It takes too long.
    #[error("the credential helper `{0}` said nothing for {HELPER_SECS_MAX} s")]
    Timeout(String),
    /// It failed.
    #[error("the credential helper `{program}` failed ({status})")]
    Failed {
        /// What was run.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// Its answer is none.
    #[error("the credential helper `{0}` gave no credentials that can be read")]
    Answer(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    username: String,
    secret: String,
}

/// Asks a helper for the credentials of `server`; none if it knows none.
///
/// # Errors
/// When it cannot be run, fails, or answers nothing that can be used.
pub async fn ask_helper(
    helper: &HelperName,
    server: &str,
) -> Result<Option<RegistryAuth>, HelperError> {
    let program = helper.program();
    let limit = Duration::from_secs(HELPER_SECS_MAX);
    let asked = timeout(limit, run(&program, server)).await;
    let ran = asked.map_err(|_| HelperError::Timeout(program.clone()))?;
    let (status, answer) =
        ran.map_err(|source| HelperError::Start { program: program.clone(), source })?;
    if !status.success() {
        let is_unknown = answer.windows(NOT_FOUND.len()).any(|words| words == NOT_FOUND);
        return if is_unknown { Ok(None) } else { Err(HelperError::Failed { program, status }) };
    }
    let Ok(given) = serde_json::from_slice::<Given>(&answer) else {
        return Err(HelperError::Answer(program));
    };
    let Given { username, secret } = given;
    Ok(match username.as_str() {
        "" => None,
        TOKEN_USER => {
            let login = Login::IdentityToken(secret);
            Some(RegistryAuth { server: server.to_owned(), login })
        }
        name => Some(RegistryAuth::password(server, name, &secret)),
    })
}

async fn run(program: &str, server: &str) -> std::io::Result<(std::process::ExitStatus, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says by itself what it thinks of it.
        let _unread = stdin.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    }
    // One that goes on talking is not heard, and ends by itself or in time.
    Ok((child.wait().await?, answer))
}
