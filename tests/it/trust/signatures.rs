//! Attacks on signatures and headers.

use tidegate::reconcile::trust::{Remembered, Rule, Standing};

use crate::trust::history::{By, History, ROLES, with_signature};

#[test]
fn unsigned() {
    let mut h = History::dev();
    h.write("services/app1.toml", "app = \"evil\"\n");
    h.commit(By::Nobody, "Change");
    h.assert_refused(Rule::Signature, "not signed", h.anchor);
}

#[test]
fn unsigned_and_buried_below_a_signed_commit() {
    let mut h = History::dev();
    let good = h.change("alice");
    h.write("services/app1.toml", "app = \"evil\"\n");
    let buried = h.commit(By::Nobody, "Change");
    h.change("alice");
    let verdict = h.verify();
    assert_eq!(verdict.refused.as_ref().unwrap().commit, buried);
    assert_eq!(verdict.verified_id(), Some(good));
}

#[test]
fn unknown_signer() {
    let mut h = History::dev();
    h.change("stranger");
    h.assert_refused(Rule::Signer, "does not list", h.anchor);
}

#[test]
fn a_signer_of_another_environment() {
    let mut h = History::new("dev", "local = { people = [\"carol\"] }", "");
    let stranger = h.public_key("stranger");
    let other = format!(
        "version = 1\n[people.alice]\nkeys = [\"{stranger}\"]\n[roles]\nlocal = {{ people = [\"alice\"] }}\n"
    );
    h.write("environments/tst/trust.toml", &other);
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Nobody, "Begin\n\nTidegate: anchor dev");
    h.tip = h.anchor;
    h.write_own("nodes/n1.toml", "");
    h.commit(By::Ssh("stranger"), "Node\n\nTidegate: local dev");
    h.assert_refused(Rule::Signer, "does not list", h.anchor);
}

#[test]
fn a_role_that_does_not_cover_the_kind() {
    let mut h = History::dev();
    h.write_own("nodes/n1.toml", "");
    h.commit(By::Ssh("alice"), "Node\n\nTidegate: local dev");
    h.assert_refused(Rule::Signer, "does not hold the role `local`", h.anchor);
}

fn with_alice_until(day: &str) -> History {
    let mut h = History::dev();
    let people =
        h.people().replacen("\n[people.bob]", &format!("\nnot_after = {day}\n[people.bob]"), 1);
    h.write_policy(&people, ROLES, "");
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Nobody, "Begin\n\nTidegate: anchor dev");
    h.tip = h.anchor;
    h
}

#[test]
fn an_expired_key() {
    let mut h = with_alice_until("2025-12-31");
    h.change("alice");
    h.assert_refused(Rule::Expired, "until 2025-12-31", h.anchor);
}

#[test]
fn an_expired_key_back_dated() {
    let mut h = with_alice_until("2026-01-15");
    h.change("alice");
    h.clock = "2026-02-01T00:00:00Z".parse().unwrap();
    let good = h.change("bob");
    h.clock = "2026-01-10T00:00:00Z".parse().unwrap();
    h.change("alice");
    h.assert_refused(Rule::Expired, "2026-02-01", good);
}

#[test]
fn a_key_revoked_on_the_node() {
    let mut h = History::dev();
    let first = h.change("alice");
    let second = h.change("alice");
    h.assert_good();
    h.revoked = h.public_key("alice");
    assert_eq!(h.verify().verified_id(), Some(h.anchor));
    // What the named commit vouches for is spared; what comes after is not.
    h.revoked = format!("{} {first}", h.public_key("alice"));
    h.assert_refused(Rule::Revoked, "revoked", first);
    h.revoked = format!("{} {second}", h.public_key("alice"));
    h.assert_good();
}

#[test]
fn weak_rsa() {
    let mut h = History::dev();
    h.new_key("weak", &["-t", "rsa", "-b", "2048"]);
    h.change("weak");
    h.assert_refused(Rule::Signature, "2048 bits", h.anchor);
}

fn wire(parts: &[&[u8]]) -> Vec<u8> {
    let one = |part: &&[u8]| [&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat();
    parts.iter().flat_map(one).collect()
}

#[test]
fn sha1_rsa() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let mut h = History::dev();
    h.new_key("rsa", &["-t", "rsa", "-b", "3072", "-m", "PEM"]);
    h.write("services/app1.toml", "app = \"evil\"\n");
    let payload = h.payload("Change");
    let hash = sha2::Sha512::digest(&payload);
    let signed = [b"SSHSIG".to_vec(), wire(&[b"git", b"", b"sha512", &hash])].concat();
    std::fs::write(h.path("home/signed"), signed).unwrap();
    let (key, file, out) = (h.key_path("rsa"), h.key_path("signed"), h.key_path("signature"));
    h.run("openssl", &["dgst", "-sha1", "-sign", &key, "-out", &out, &file], b"");
    let signature = wire(&[b"ssh-rsa", &std::fs::read(out).unwrap()]);
    let base64 = base64::engine::general_purpose::STANDARD;
    let public = base64.decode(h.public_key("rsa").split(' ').nth(1).unwrap()).unwrap();
    let blob = wire(&[&public, b"git", b"", b"sha512", &signature]);
    let text = base64.encode([b"SSHSIG\0\0\0\x01".to_vec(), blob].concat());
    let lines: Vec<&str> =
        text.as_bytes().chunks(70).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let armoured =
        format!("-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----", lines.join("\n"));
    h.store(&with_signature(&payload, &armoured));
    h.assert_refused(Rule::Signature, "SHA-1", h.anchor);
}

#[test]
fn sha1_openpgp() {
    let mut h = History::dev();
    let print = h.new_pgp_key("bob", "rsa3072");
    let people = h.people().replacen(
        "[people.bob]\nkeys = [",
        &format!("[people.bob]\nkeys = [\"openpgp:{print}\", "),
        1,
    );
    h.write_policy(&people, ROLES, "");
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Nobody, "Begin\n\nTidegate: anchor dev");
    h.tip = h.anchor;
    h.write("services/app1.toml", "app = \"evil\"\n");
    let payload = h.payload("Change");
    let options = ["--batch", "--digest-algo", "SHA1", "--armor", "--detach-sign", "-u", &print];
    let armoured = h.run("gpg", &options, &payload);
    h.store(&with_signature(&payload, &armoured));
    h.assert_refused(Rule::Signature, "SHA1", h.anchor);
}

#[test]
fn wrong_namespace() {
    let mut h = History::dev();
    h.write("services/app1.toml", "app = \"evil\"\n");
    let payload = h.payload("Change");
    let armoured = h.sign("alice", "file", &[], &payload);
    h.store(&with_signature(&payload, &armoured));
    h.assert_refused(Rule::Signature, "namespace `file`", h.anchor);
}

#[test]
fn a_signature_of_another_commit() {
    let mut h = History::dev();
    let payload = h.payload("Change");
    let armoured = h.sign("alice", "git", &[], &payload);
    h.write("services/app1.toml", "app = \"evil\"\n");
    let other = h.payload("Change");
    h.store(&with_signature(&other, &armoured));
    h.assert_refused(Rule::Signature, "does not fit", h.anchor);
}

#[test]
fn two_signatures() {
    let mut h = History::dev();
    let payload = h.payload("Change");
    let one = h.sign("alice", "git", &[], &payload);
    let two = h.sign("stranger", "git", &[], &payload);
    let bytes = with_signature(&with_signature(&payload, &one), &two);
    h.store(&bytes);
    h.assert_refused(Rule::Headers, "two signatures", h.anchor);
}

#[test]
fn extra_headers() {
    for (header, words) in [
        ("encoding ISO-8859-1", "`encoding`"),
        ("mergetag object 0123456789abcdef0123456789abcdef01234567", "`mergetag`"),
        ("tidegate yes", "`tidegate`"),
        ("gpgsig-sha256 x", "two signatures"),
    ] {
        let mut h = History::dev();
        let payload = String::from_utf8(h.payload("Change")).unwrap();
        let payload = payload.replacen("\n\n", &format!("\n{header}\n\n"), 1);
        let armoured = h.sign("alice", "git", &[], payload.as_bytes());
        h.store(&with_signature(payload.as_bytes(), &armoured));
        h.assert_refused(Rule::Headers, words, h.anchor);
    }
}

#[test]
fn a_malformed_commit() {
    let mut h = History::dev();
    let good = h.payload("Change");
    let armoured = h.sign("alice", "git", &[], &good);
    let good = String::from_utf8(with_signature(&good, &armoured)).unwrap();
    let parent = format!("parent {}\n", h.anchor);
    for (from, to) in [
        (parent.as_str(), parent.repeat(2).as_str()),
        (" +0000\n", " 0000\n"),
        ("author alice <", "author alice <<"),
        ("\n\nChange", "\n\nCh\0ange"),
    ] {
        assert!(good.contains(from), "{from}");
        h.store(good.replacen(from, to, 1).as_bytes());
        h.assert_refused(Rule::Headers, "malformed", h.anchor);
    }
}

#[test]
fn a_malformed_signature() {
    for (armoured, words) in [
        ("-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----", "malformed"),
        ("-----BEGIN PGP SIGNATURE-----\n\nU1NIU0lH\n-----END PGP SIGNATURE-----", "malformed"),
        ("-----BEGIN SIGNED MESSAGE-----\nU1NIU0lH\n-----END SIGNED MESSAGE-----", "a kind"),
        ("x", "a kind"),
    ] {
        let mut h = History::dev();
        let payload = h.payload("Change");
        h.store(&with_signature(&payload, armoured));
        h.assert_refused(Rule::Signature, words, h.anchor);
    }
}

#[test]
fn a_rewrapped_twin_is_neither_a_rewind_nor_a_way_around() {
    let mut h = History::dev();
    h.write("services/app1.toml", "app = \"app1\" # new\n");
    let payload = h.payload("Change");
    let one = h.sign("alice", "git", &[], &payload);
    let two = h.sign("alice", "git", &["-O", "hashalg=sha256"], &payload);
    let first = h.store(&with_signature(&payload, &one));
    let twin = h.store(&with_signature(&payload, &two));
    assert_ne!(first, twin);
    let verdict = h.verify_with(Remembered::Verified(first));
    assert_eq!((verdict.verified_id(), verdict.refused), (Some(twin), None));
    h.change("bob");
    assert!(h.verify_with(Remembered::Verified(first)).is_good());
    // The same bytes without a signature are no twin.
    h.store(&payload);
    let verdict = h.verify_with(Remembered::Verified(first));
    assert_eq!(verdict.refused.as_ref().unwrap().rule, Rule::Signature);
    assert_eq!((verdict.verified_id(), verdict.standing), (Some(first), Standing::Kept));
}
