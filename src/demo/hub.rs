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

/// An address for a hub on each of `hosts`, of which several may be one: with the usual port if it is
/// free, else any. All are held until all are known, so that no two are the same.
pub(crate) fn addresses(hosts: &[IpAddr]) -> Result<Vec<SocketAddr>, DemoError> {
    let listen = |host: &IpAddr| {
        TcpListener::bind((*host, PORT))
            .or_else(|_| TcpListener::bind((*host, 0)))
            .map_err(io(format!("listen on {host}")))
    };
    let held: Vec<TcpListener> = hosts.iter().map(listen).collect::<Result<_, _>>()?;
    held.iter().map(|listener| listener.local_addr().map_err(io("ask for a port"))).collect()
}

/// Starts the hub of `environment` at `address`.
pub(crate) async fn start_hub(
    place: &Place,
    environment: &str,
    address: SocketAddr,
) -> Result<DemoHub, DemoError> {
    let folder = place.folder(&format!("{environment}/hub"))?;
    let config = folder.join("config.yml");
    std::fs::write(&config, configuration(&folder, address)).map_err(io("write a hub's file"))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
    let log = place.path(&format!("{environment}/hub.log"));
    let (mut hub, _) = start(&format!("hub {environment}"), command, &log, &place.ledger())?;
    let since = Instant::now();
    loop {
        let answers = TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok();
        let seen = || {
            let seen = std::fs::read_to_string(&log).unwrap_or_default();
            seen.lines().last().unwrap_or("it says nothing").to_owned()
        };
        // What answers may be somebody else's, who took the port meanwhile.
        if hub.try_wait().map_err(io("look after a hub"))?.is_some() {
            let program = "docker-registry".to_owned();
            return Err(DemoError::Program { program, message: seen() });
        }
        if answers {
            break;
        }
        if since.elapsed() > Duration::from_secs(START_SECS_MAX) {
            let seen = seen();
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr};

    use crate::demo::hub::addresses;

    #[test]
    fn hubs_on_one_host_have_ports_of_their_own() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let found = addresses(&[host; 3]).unwrap();
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 3, "{found:?}");
    }
}
