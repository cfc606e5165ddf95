//! What the fuzz targets and the replay of their corpus do with bytes.

/// Bytes as a commit.
pub fn commit(bytes: &[u8]) {
    use tidegate::reconcile::trust::CommitKind;
    use tidegate::reconcile::trust::claim::Claim;
    use tidegate::reconcile::trust::commit::{Commit, Header};
    let id = tidegate::model::CommitId::from_bytes([7; 20]);
    let _ = Header::read(bytes);
    let Ok(commit) = Commit::parse(id, bytes) else { return };
    assert_eq!(commit.to_bytes(), bytes);
    assert!(commit.payload().len() <= bytes.len());
    if let Ok(environment) = "prd".parse() {
        for kind in CommitKind::ALL {
            let _ = Claim::of(&commit, kind, &environment);
        }
    }
}

/// Bytes as a signature, an approval, a certificate.
pub fn signature(bytes: &[u8]) {
    use tidegate::reconcile::trust::approval::Approval;
    use tidegate::reconcile::trust::signature::openpgp::Certificates;
    use tidegate::reconcile::trust::signature::{Format, ssh};
    let mut certificates = Certificates::default();
    let _ = certificates.add(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = Format::of(&text);
    // Nobody signed these words with anything.
    assert!(ssh::verify(&text, ssh::NAMESPACE_COMMIT, b"nobody signed this").is_err());
    assert!(certificates.verify(&text, b"nobody signed this", std::iter::empty()).is_err());
    if let Ok(approval) = Approval::parse(&text) {
        let _ = Approval::parse(&approval.to_trailer());
    }
}

/// Bytes as trust.toml, `revoked_keys`, a tree.
pub fn policy(bytes: &[u8]) {
    use tidegate::reconcile::trust::policy::TrustPolicy;
    use tidegate::reconcile::trust::revoked::RevokedKeys;
    use tidegate::reconcile::trust::tree::parse_tree;
    if let Ok(policy) = TrustPolicy::parse(bytes) {
        let met = |role: &tidegate::reconcile::trust::policy::Threshold| {
            (1..=role.people.len()).contains(&role.threshold)
        };
        assert!(policy.roles.values().all(met));
    }
    let _ = RevokedKeys::parse(&String::from_utf8_lossy(bytes));
    let _ = parse_tree(tidegate::model::ObjectId::from_bytes([7; 20]), bytes);
}
