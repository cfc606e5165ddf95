//! Readiness, status line and watchdog, when systemd asks for them.
//!
//! In: nothing but `NOTIFY_SOCKET` and `WATCHDOG_USEC`. Effect: datagrams to systemd.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd that the agent has started.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Tells systemd that the agent is going.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Tells systemd that ending may take so long.
pub fn extend(time: Duration) {
    send(&[NotifyState::ExtendTimeoutUsec(u32::try_from(time.as_micros()).unwrap_or(u32::MAX))]);
}

/// One line that `systemctl status` shows.
pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// Without systemd there is nobody to tell.
fn send(states: &[NotifyState<'_>]) {
    drop(sd_notify::notify(states));
}

/// Keeps telling systemd that this thread moves, at half the time it allows. Never returns; if the
/// thread hangs, so does this, and systemd restarts the agent.
pub async fn watchdog() {
    let Some(allowed) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut beat = tokio::time::interval((allowed / 2).max(Duration::from_millis(100)));
    loop {
        beat.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}
