//! Whether the node's own credentials let it into its hub.
//!
//! In: settings, what should run. Out: the fact `hub_login`. Effect: reads the credentials' file;
//! asks the hub once.

use std::time::Duration;

use crate::agent::effects::hub_credentials;
use crate::clients::host::others_read;
use crate::clients::registry::{
    ManifestReference, PlainHttp, RegistryError, RegistryErrorKind, RegistryRead as _,
};
use crate::compliance::facts::{FactValue, Known, Row};
use crate::compliance::kind::{ACCEPTED, NO_ANSWER};
use crate::config::Settings;
use crate::hub::open_hub;
use crate::reconcile::desired::DesiredState;
use crate::telemetry::Chain;

/// A hub that is slower does not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is known of the credentials.
pub(crate) async fn login(settings: &Settings, desired: &DesiredState) -> Known {
    let mut row = Row(vec![("hub", FactValue::text(desired.hub.to_string()))]);
    let Some(file) = &settings.hub.credentials else {
        row.0.extend([
            ("file", FactValue::text("")),
            ("others", FactValue::Nothing),
            ("answer", FactValue::Nothing),
        ]);
        return Known::Rows(vec![row]);
    };
    row.0.push(("file", FactValue::text(file.to_string_lossy())));
    match others_read(file) {
        Ok(others) => row.0.push(("others", FactValue::Boolean(others.unwrap_or_default()))),
        Err(error) => return Known::Missing(Chain(&error).to_string()),
    }
    // Who may not read it knows nothing of what it says.
    if let Err(error) = std::fs::File::open(file)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        return Known::Missing(format!("{}: {error}", file.display()));
    }
    row.0.push(("answer", FactValue::text(answer(settings, desired).await)));
    Known::Rows(vec![row])
}

/// What the hub says when it is asked for an image that this node needs.
async fn answer(settings: &Settings, desired: &DesiredState) -> String {
    match hub_credentials(settings, &desired.hub) {
        Err(error) => return Chain(&error).to_string(),
        Ok(None) => return format!("there is no entry for {}", desired.hub.authority()),
        Ok(Some(_)) => {}
    }
    let mut pins = desired.services.values().flat_map(|service| service.containers.values());
    let Some((repository, digest)) =
        pins.find_map(|container| Some((&container.pin.repository, container.pin.digest?)))
    else {
        return format!("{NO_ANSWER}: no image is pinned here that the hub could be asked for");
    };
    let plain = if desired.hub_plain_http { PlainHttp::Allowed } else { PlainHttp::Loopback };
    let client = match open_hub(&desired.hub, plain, &settings.hub) {
        Ok(client) => client,
        Err(error) => return Chain(&error).to_string(),
    };
    let reference = ManifestReference::Digest(digest);
    let asked = client.manifest_digest(repository, &reference);
    match tokio::time::timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(_)) => ACCEPTED.to_owned(),
        Ok(Err(error)) => said(&error),
        Err(_) => format!("{NO_ANSWER} within {} s", ANSWER_WITHIN.as_secs()),
    }
}

fn said(error: &RegistryError) -> String {
    match error.kind {
        RegistryErrorKind::Unauthorized => format!("{} does not let it in", error.operation),
        RegistryErrorKind::ForeignRealm => error.to_string(),
        _ => format!("{NO_ANSWER}: {error}"),
    }
}
