//! Who asks for metrics is answered, where the configuration says where.
//!
//! In: `[listen] metrics`, what passes and checks add to a [`Meter`]. Out: the page. Effect: listens;
//! nothing, and no memory, where nothing is said.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use jiff::Timestamp;
use tracing::info;

use crate::agent::AgentError;
use crate::agent::node::Meter;
use crate::clients::listen::{Listener, Page};
use crate::config::Settings;
use crate::reconcile::report::Measures;

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
    /// The one that `settings` ask for, if they do; what listens there `already` goes on.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub(crate) fn open(
        settings: &Settings,
        already: Option<&Self>,
    ) -> Result<Option<Self>, AgentError> {
        let Some(address) = settings.metrics else { return Ok(None) };
        let listener = if let Some(port) = already.filter(|port| port.address == address) {
            Rc::clone(&port.listener)
        } else {
            let failed = |source| AgentError::Listen { address, source };
            let listener = Rc::new(Listener::at(address).map_err(failed)?);
            info!("metrics are at http://{address}/metrics");
            listener
        };
        let (environment, node) = (settings.environment.clone(), settings.node.clone());
        let meter = Rc::new(RefCell::new(Measures::new(environment, node)));
        Ok(Some(Self { address, listener, meter }))
    }

    /// Answers, for ever.
    pub(crate) async fn answer(self) -> Infallible {
        let text = || self.meter.borrow().render(Timestamp::now());
        let page = Page { path: "/metrics", media_type: MEDIA_TYPE, text: &text };
        self.listener.answer(&page).await
    }
}
