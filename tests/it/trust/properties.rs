//! Parsers of hostile bytes never panic, and what a commit parses to serialises to its bytes.

use proptest::prelude::*;
use tidegate::model::{CommitId, ObjectId};
use tidegate::reconcile::trust::approval::Approval;
use tidegate::reconcile::trust::commit::{Commit, Header};
use tidegate::reconcile::trust::keys::Key;
use tidegate::reconcile::trust::message::Message;
use tidegate::reconcile::trust::policy::TrustPolicy;
use tidegate::reconcile::trust::revoked::RevokedKeys;
use tidegate::reconcile::trust::signature::openpgp::Certificates;
use tidegate::reconcile::trust::signature::{Format, ssh};
use tidegate::reconcile::trust::tree::parse_tree;

fn id() -> CommitId {
    CommitId::from_bytes([7; 20])
}

/// Text that is nearly a commit: each part is right, wrong, missing or twice.
fn nearly_a_commit() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just(format!("tree {}\n", id())),
        Just(format!("parent {}\n", id())),
        Just("author alice <alice@example.org> 1767225600 +0000\n".to_owned()),
        Just("committer alice <alice@example.org> 1767225600 -0130\n".to_owned()),
        Just(
            "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NI\n -----END SSH SIGNATURE-----\n"
                .to_owned()
        ),
        Just("encoding latin1\n".to_owned()),
        "[ a-z0-9<>+-]{0,20}\n",
    ];
    (prop::collection::vec(line, 0..8), "\n?", "(.|\n){0,80}")
        .prop_map(|(lines, blank, body)| lines.concat() + &blank + &body)
}

/// A commit that parses.
fn a_commit() -> impl Strategy<Value = String> {
    ("[^<>\0\n]{0,10}", 0..4_000_000_000_u64, any::<bool>(), "[^\0]{0,80}").prop_map(
        |(name, seconds, signed, body)| {
            let name = name.trim_end();
            let name = if name.is_empty() { String::new() } else { format!("{name} ") };
            let signature = if signed { "gpgsig a\n b\n \n" } else { "" };
            format!(
                "tree {0}\nparent {0}\nauthor {name}<a@b> {seconds} +0000\ncommitter {name}<a@b> {seconds} +0000\n{signature}\n{body}",
                id()
            )
        },
    )
}

proptest! {
    #[test]
    fn a_parsed_commit_serialises_to_its_bytes(text in prop_oneof![nearly_a_commit(), a_commit()]) {
        if let Ok(commit) = Commit::parse(id(), text.as_bytes()) {
            prop_assert_eq!(commit.to_bytes(), text.as_bytes());
            let payload = commit.payload();
            prop_assert!(payload.len() <= text.len());
            prop_assert_eq!(commit.signature.is_none(), payload == text.as_bytes());
        }
    }

    #[test]
    fn a_well_formed_commit_parses(text in a_commit()) {
        let stray = text.contains("Tidegate:");
        prop_assert!(stray || Commit::parse(id(), text.as_bytes()).is_ok());
    }

    #[test]
    fn no_parser_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Commit::parse(id(), &bytes);
        let _ = Header::read(&bytes);
        let _ = parse_tree(ObjectId::from_bytes([7; 20]), &bytes);
        let _ = TrustPolicy::parse(&bytes);
        let _ = Certificates::default().add(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = Message::parse(&text);
        let _ = Approval::parse(&text);
        let _ = RevokedKeys::parse(&text);
        let _ = text.parse::<Key>();
    }

    #[test]
    fn no_signature_panics(body in "[A-Za-z0-9+/=\n]{0,300}") {
        let armoured = format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
        let _ = Format::of(&armoured);
        prop_assert!(ssh::verify(&armoured, "git", b"bytes").is_err());
        let armoured = format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n");
        let _ = Certificates::default().verify(&armoured, b"bytes", std::iter::empty());
    }
}
