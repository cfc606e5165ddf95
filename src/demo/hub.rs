//! One environment's hub: a `docker-registry` process with its own folder.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::registry::{PlainHttp, RegistryClient, RegistryOptions};
use crate::demo::error::{DemoError, io};
use crate::demo::place::Place;
use crate::demo::process::start;

/// The port that registries usually have.
const PORT: u16 = 5000;
/// A registry starts within a fraction of this.
const START_SECS_MAX: u64 = 15;

/// A running hub.
#[derive(Debug)]
pub(crate) struct DemoHub {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// A client of it.
    pub(crate) client: RegistryClient,
}

/// A port that is free on `host`: the usual one, else any.
fn free_port(host: IpAddr) -> Result<u16, DemoError> {
    let listener = TcpListener::bind((host, PORT))
        .or_else(|_| TcpListener::bind((host, 0)))
        .map_err(io(format!("listen on {host}")))?;
    listener.local_addr().map(|a| a.port()).map_err(io("ask for a port"))
}

/// Starts the hub of `environment` on `host`.
pub(crate) async fn start_hub(
    place: &Place,
    environment: &str,
    host: IpAddr,
) -> Result<DemoHub, DemoError> {
    let folder = place.folder(&format!("{environment}/hub"))?;
    let address = SocketAddr::new(host, free_port(host)?);
    let config = folder.join("config.yml");
    std::fs::write(&config, configuration(&folder, address)).map_err(io("write a hub's file"))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let log = place.path(&format!("{environment}/hub.log"));
    start(&format!("hub {environment}"), command, &log, &place.ledger())?;
    let since = Instant::now();
    while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        if since.elapsed() > Duration::from_secs(START_SECS_MAX) {
            let seen = std::fs::read_to_string(&log).unwrap_or_default();
            let seen = seen.lines().last().unwrap_or("it says nothing").to_owned();
            let what = format!("an answer of the hub at {address}");
            return Err(DemoError::Timeout { what, secs: START_SECS_MAX, seen });
        }
        sleep(Duration::from_millis(30)).await;
    }
    let hub = address.to_string().parse().map_err(|_| {
        DemoError::Example(format!("`{address}` is not an address that a hub may have"))
    })?;
    let options = RegistryOptions { plain_http: PlainHttp::Allowed, ca: None, auth: None };
    let client = RegistryClient::new(&hub, options).map_err(DemoError::Registry)?;
    Ok(DemoHub { address, client })
}

fn configuration(folder: &Path, address: SocketAddr) -> String {
    format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}/data\n  \
         delete:\n    enabled: true\nhttp:\n  addr: {address}\n",
        folder.display()
    )
}
