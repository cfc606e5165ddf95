//! Who asks for metrics is answered, where the configuration says where.
//!
//! In: `[listen] metrics`, what passes and checks add to a [`Meter`]. Out: the page. Effect: listens;
//! nothing, and no memory, where nothing is said.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use jiff::Timestamp;
use tracing::{error, info};

use crate::agent::AgentError;
use crate::agent::node::Meter;
use crate::clients::listen::{Listener, Page};
use crate::config::Settings;
use crate::reconcile::report::{Measures, Reach};
use crate::telemetry::Chain;

/// As Prometheus asks for it.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What listens, and what it shows.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    address: SocketAddr,
    listener: Rc<Listener>,
    /// What is shown.
    pub(crate) meter: Meter,
}

impl Port {
    /// The one that `settings` ask for, if they do.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub(crate) fn open(settings: &Settings) -> Result<Option<Self>, AgentError> {
        let Some(address) = settings.metrics else { return Ok(None) };
        Ok(Some(Self::of(settings, listen(address)?)))
    }

    /// The one that changed `settings` ask for, in the place of the one `before` them; that one goes
    /// on where the address is the same, or where another is not to be had, which is said.
    pub(crate) fn change(settings: &Settings, before: Option<Self>) -> (Option<Self>, Reach) {
        let Some(address) = settings.metrics else { return (None, Reach::Answers) };
        let (at, reach) = match before {
            Some(port) if port.address == address => {
                (Some((address, port.listener)), Reach::Answers)
            }
            before => replace(before.map(|port| (port.address, port.listener)), address),
        };
        (at.map(|at| Self::of(settings, at)), reach)
    }

    fn of(settings: &Settings, (address, listener): At) -> Self {
        let (environment, node) = (settings.environment.clone(), settings.node.clone());
        let meter = Rc::new(RefCell::new(Measures::new(environment, node)));
        Self { address, listener, meter }
    }

    /// Answers, for ever.
    pub(crate) async fn answer(self) -> Infallible {
        let text = || self.meter.borrow().render(Timestamp::now());
        let page = Page { path: "/metrics", media_type: MEDIA_TYPE, text: &text };
        self.listener.answer(&page).await
    }
}

/// Where something listens.
type At = (SocketAddr, Rc<Listener>);

fn listen(address: SocketAddr) -> Result<At, AgentError> {
    let listener = Listener::at(address);
    let listener = listener.map_err(|source| AgentError::Listen { address, source })?;
    info!("metrics are at http://{address}/metrics");
    Ok((address, Rc::new(listener)))
}

/// Listens at `address` in the place of `before`, or goes on there.
fn replace(before: Option<At>, address: SocketAddr) -> (Option<At>, Reach) {
    let old = before.as_ref().map(|(old, _)| *old);
    // Two addresses of one port may overlap, so that only one of them is to be had at a time.
    let kept = before.filter(|(old, _)| old.port() != address.port());
    let error = match listen(address) {
        Ok(new) => return (Some(new), Reach::Answers),
        Err(error) => Chain(&error).to_string(),
    };
    let kept = kept.or_else(|| listen(old?).ok());
    let stay = match &kept {
        Some((old, _)) => format!("metrics stay at {old}"),
        None => "there are no metrics".to_owned(),
    };
    let stay = format!("{stay} until the configuration changes again or the agent starts anew");
    error!(error = %error, "{stay}");
    (kept, Reach::Silent(format!("{error}; {stay}")))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

    use crate::agent::port::Port;
    use crate::config::Settings;
    use crate::reconcile::report::Reach;

    fn settings(address: SocketAddr) -> Settings {
        let text = format!(
            "node = \"n1\"\nenvironment = \"prd\"\n[repository]\nurl = \"/srv/config.git\"\n\
             id = \"acme-config\"\nanchor = \"{}\"\n[listen]\nmetrics = \"{address}\"\n",
            "0".repeat(40)
        );
        Settings::from_texts(vec![("agent.toml".to_owned(), text)]).unwrap()
    }

    fn free() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_is_widened_on_its_own_port() {
        let narrow = free();
        let wide = SocketAddr::from((Ipv4Addr::UNSPECIFIED, narrow.port()));
        let port = Port::open(&settings(narrow)).unwrap();
        let (port, reach) = Port::change(&settings(wide), port);
        assert_eq!((port.as_ref().unwrap().address, reach), (wide, Reach::Answers));
        let (port, reach) = Port::change(&settings(narrow), port);
        assert_eq!((port.as_ref().unwrap().address, reach), (narrow, Reach::Answers));
        assert!(TcpStream::connect(narrow).is_ok());
    }

    #[tokio::test]
    async fn an_address_that_is_not_to_be_had_leaves_the_one_before() {
        let before = free();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        // Nobody's address, and the same port so that the one before is closed first.
        let nobodys = SocketAddr::from(([192, 0, 2, 1], before.port()));
        for address in [taken.local_addr().unwrap(), nobodys] {
            let port = Port::open(&settings(before)).unwrap();
            let (port, reach) = Port::change(&settings(address), port);
            let Reach::Silent(said) = reach else { panic!("nothing is said of {address}") };
            assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
            assert!(said.contains(&format!("metrics stay at {before}")), "{said}");
            assert_eq!(port.as_ref().unwrap().address, before);
            assert!(TcpStream::connect(before).is_ok());
        }
        assert!(Port::change(&settings(nobodys), None).0.is_none());
    }
}
