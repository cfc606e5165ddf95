//! What libgit2 asks while it talks to a remote: who we are, who it is, and whether to go on.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use git2::cert::Cert;
use git2::{
    CertificateCheckStatus, Cred, CredentialType, Error, ErrorClass, ErrorCode, RemoteCallbacks,
};
use sha2::Digest;

use crate::clients::git::FailureKind;
use crate::clients::git::child::failure::Failure;
use crate::clients::git::child::say;
use crate::clients::git::protocol::{Line, Order};

/// How often the parent is told that it goes on.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Why a callback ended the fetch, in our words rather than libgit2's.
pub(crate) type Verdict = RefCell<Option<Failure>>;

/// All callbacks of one connection.
pub(crate) fn callbacks<'a>(order: &'a Order, verdict: &'a Verdict) -> RemoteCallbacks<'a> {
    let mut callbacks = RemoteCallbacks::new();
    let mut offered = false;
    callbacks.credentials(move |_, user, allowed| {
        let user = user.unwrap_or("git");
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(user);
        }
        if std::mem::replace(&mut offered, true) {
            return Err(refuse(
                verdict,
                FailureKind::Credentials,
                "the remote refuses the credentials",
            ));
        }
        match (&order.identity, &order.credentials) {
            (Some(key), _) if allowed.contains(CredentialType::SSH_MEMORY) => {
                Cred::ssh_key_from_memory(user, None, key, None)
            }
            (_, Some((user, password)))
                if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) =>
            {
                Cred::userpass_plaintext(user, password)
            }
            _ => {
                let reason = "the remote asks for credentials, and none are configured";
                Err(refuse(verdict, FailureKind::Credentials, reason))
            }
        }
    });
    callbacks.certificate_check(move |certificate, host| known(order, verdict, certificate, host));
    let mut told = Instant::now();
    callbacks.transfer_progress(move |progress| {
        let bytes = progress.received_bytes() as u64;
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            say(&Line::Progress { bytes: bytes + progress.indexed_deltas() as u64 });
        }
        let limits = &order.limits;
        let over = if progress.total_objects() > limits.objects_max as usize {
            format!("{} objects; the limit is {}", progress.total_objects(), limits.objects_max)
        } else if bytes > limits.pack_bytes_max {
            format!("more than {} bytes", limits.pack_bytes_max)
        } else {
            return true;
        };
        let _told = refuse(verdict, FailureKind::TooLarge, &format!("the remote sends {over}"));
        false
    });
    callbacks
}

/// Host keys must be among the pinned ones; libgit2 then checks that it is pinned for this very host.
/// Certificates are libgit2's and OpenSSL's to check.
fn known(
    order: &Order,
    verdict: &Verdict,
    certificate: &Cert<'_>,
    host: &str,
) -> Result<CertificateCheckStatus, Error> {
    let Some(key) = certificate.as_hostkey() else {
        return Ok(CertificateCheckStatus::CertificatePassthrough);
    };
    let (Some(key), Some(pinned)) = (key.hostkey(), &order.known_hosts) else {
        return Err(refuse(verdict, FailureKind::HostKey, "the server shows no host key"));
    };
    let blob = STANDARD.encode(key);
    let lines = pinned.lines().filter(|line| !line.starts_with(['#', '@']));
    if lines.into_iter().any(|line| line.split_whitespace().any(|word| word == blob)) {
        return Ok(CertificateCheckStatus::CertificatePassthrough);
    }
    let fingerprint = STANDARD_NO_PAD.encode(sha2::Sha256::digest(key));
    let message = format!(
        "{host} shows the host key SHA256:{fingerprint}, which is not in known_hosts: it was changed, \
         or this is another server"
    );
    Err(refuse(verdict, FailureKind::HostKey, &message))
}

fn refuse(verdict: &Verdict, kind: FailureKind, message: &str) -> Error {
    *verdict.borrow_mut() = Some(Failure::new(kind, message));
    Error::new(ErrorCode::User, ErrorClass::Callback, message)
}
