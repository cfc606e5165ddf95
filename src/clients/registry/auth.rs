//! What a 401 asks for, and where credentials may go. Pure.

/// What a registry wants before it answers (RFC 9110 §11.6.1; the distribution token spec).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from the realm.
    Bearer {
        /// The token server's address.
        realm: String,
        /// Who the token is for. What it allows is for us to say, not for the challenge.
        service: Option<String>,
    },
}

/// What a request needs to be allowed; no more is ever asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// Read this repository.
    Pull(String),
    /// Read and write it.
    Push(String),
    /// Read and write the first, read the second.
    Mount(String, String),
}

impl Grant {
    /// The scopes of a token for it (distribution token spec).
    pub(crate) fn scopes(&self) -> Vec<String> {
        match self {
            Self::Pull(name) => vec![format!("repository:{name}:pull")],
            Self::Push(name) => vec![format!("repository:{name}:pull,push")],
            Self::Mount(name, from) => {
                vec![format!("repository:{name}:pull,push"), format!("repository:{from}:pull")]
            }
        }
    }
}

impl Challenge {
    /// Parses one `WWW-Authenticate` value; `None` is a scheme that we do not speak.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        for (key, value) in parameters(rest) {
            match key.to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => service = Some(value),
                _ => {}
            }
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// `key="value"` or `key=value`, separated by commas; a quoted value may hold commas.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',']).to_owned();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((key, value.trim().to_owned()));
        rest = next;
    }
    found
}

/// Where a request goes, as far as trust is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whether it is https.
    pub(crate) encrypted: bool,
    /// The host name, lower case, without the port.
    pub(crate) host: String,
}

/// Whether a token server at `realm` may be given the credentials that are for `hub`: the same
/// host, and no less encrypted.
pub(crate) fn may_get_credentials(hub: &Place, realm: &Place) -> bool {
    hub.host == realm.host && (realm.encrypted || !hub.encrypted)
}

#[cfg(test)]
mod tests {
    use crate::clients::registry::auth::{Challenge, Grant, Place, may_get_credentials};

    #[test]
    fn no_more_is_asked_for_than_a_request_needs() {
        let (web, base) = ("app1/web".to_owned(), "base".to_owned());
        assert_eq!(Grant::Pull(web.clone()).scopes(), ["repository:app1/web:pull"]);
        assert_eq!(
            Grant::Mount(web, base).scopes(),
            ["repository:app1/web:pull,push", "repository:base:pull"]
        );
    }

    #[test]
    fn a_challenge_names_realm_and_service() {
        let header =
            r#"Bearer realm="https://hub/token",service="hub",scope="repository:a/b:pull,push""#;
        assert_eq!(
            Challenge::parse(header),
            Some(Challenge::Bearer {
                realm: "https://hub/token".to_owned(),
                service: Some("hub".to_owned()),
            })
        );
        assert_eq!(Challenge::parse("basic realm=x"), Some(Challenge::Basic));
        for bad in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Digest realm=\"x\""] {
            assert_eq!(Challenge::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn credentials_stay_on_the_hubs_own_host_and_encryption() {
        let place = |encrypted, host: &str| Place { encrypted, host: host.to_owned() };
        for (case, hub, realm, allowed) in [
            ("same host", place(true, "hub"), place(true, "hub"), true),
            ("foreign host", place(true, "hub"), place(true, "evil"), false),
            ("suffix is foreign", place(true, "hub.org"), place(true, "hub.org.evil"), false),
            ("downgrade", place(true, "hub"), place(false, "hub"), false),
            ("plain hub", place(false, "127.0.0.1"), place(false, "127.0.0.1"), true),
        ] {
            assert_eq!(may_get_credentials(&hub, &realm), allowed, "{case}");
        }
    }
}
