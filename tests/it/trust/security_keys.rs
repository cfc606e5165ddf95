//! A security key (FIDO) in software, as OpenSSH's PROTOCOL.u2f has it: what it signs counts if it was
//! touched. OpenSSH, the product and the independent checker judge the same bytes.

use sha2::{Digest as _, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::{KeyData, SkEd25519};
use ssh_key::{
    Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SigningKey, SshSig,
};
use tidegate::reconcile::trust::Rule;
use tidegate::reconcile::trust::approval::Approval;
use tidegate::reconcile::trust::kind::CommitKind;

use crate::trust::generated::checked;
use crate::trust::history::{By, History, ROLES, with_signature};

const APPLICATION: &str = "ssh:";
/// FIDO: somebody touched it.
const PRESENT: u8 = 1;
/// FIDO: somebody gave their PIN or finger.
const VERIFIED: u8 = 4;

/// A token with one key.
struct Token {
    key: PrivateKey,
    counter: u32,
}

/// The bare signature: a token's key signs what the token says, not what it is given.
fn bare(key: &impl SigningKey, bytes: &[u8]) -> Signature {
    key.try_sign(bytes).unwrap()
}

impl Token {
    fn new() -> Self {
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[8; 32]));
        Self { key: PrivateKey::new(pair, "").unwrap(), counter: 0 }
    }

    fn data(&self) -> KeyData {
        let key = *self.key.public_key().key_data().ed25519().unwrap();
        KeyData::SkEd25519(SkEd25519::new(key, APPLICATION))
    }

    /// As trust.toml lists it.
    fn public(&self) -> String {
        PublicKey::new(self.data(), "alice@token").to_openssh().unwrap()
    }

    /// Signs, with these flags, for an application.
    fn sign_for(&mut self, application: &str, flags: u8, namespace: &str, bytes: &[u8]) -> String {
        self.counter += 1;
        let message = SshSig::signed_data(namespace, HashAlg::Sha512, bytes).unwrap();
        let mut trailer = vec![flags];
        trailer.extend(self.counter.to_be_bytes());
        let mut blob = Sha256::digest(application).to_vec();
        blob.extend(&trailer);
        blob.extend(Sha256::digest(message));
        let signature = [bare(&self.key, &blob).as_bytes(), &trailer].concat();
        let signature = Signature::new(Algorithm::SkEd25519, signature).unwrap();
        let signature = SshSig::new(self.data(), namespace, HashAlg::Sha512, signature).unwrap();
        signature.to_pem(LineEnding::LF).unwrap()
    }

    fn sign(&mut self, flags: u8, namespace: &str, bytes: &[u8]) -> String {
        self.sign_for(APPLICATION, flags, namespace, bytes)
    }
}

/// dev, where alice has a token instead of a key in a file.
fn alice_has(token: &Token) -> History {
    let mut h = History::dev();
    let people = h.people().replace(&h.public_key("alice"), &token.public());
    h.write_policy(&people, ROLES, "");
    let tree = h.tree();
    h.anchor = h.make(&tree, &[], By::Nobody, "Begin\n\nTidegate: anchor dev");
    h.tip = h.anchor;
    h
}

/// A change by alice's token.
fn change(h: &mut History, sign: impl FnOnce(&[u8]) -> String) {
    h.write("services/app1.toml", &format!("app = \"app1\" # {}\n", h.clock));
    let payload = h.payload("Change app1");
    let armoured = sign(&payload);
    h.store(&with_signature(&payload, &armoured));
}

/// What the independent checker says of the tip.
fn is_good(h: &History) -> bool {
    checked(h, &[(0, h.anchor, h.tip)]) == [true]
}

#[test]
fn openssh_takes_what_the_token_signs() {
    let mut token = Token::new();
    let h = History::dev();
    let listed = format!("alice namespaces=\"git\" {}\n", token.public());
    h.write("home/allowed", &listed);
    h.write("home/signature", &token.sign(PRESENT, "git", b"bytes"));
    let (allowed, signature) = (h.key_path("allowed"), h.key_path("signature"));
    let verify = ["-Y", "verify", "-f", &allowed, "-I", "alice", "-n", "git", "-s", &signature];
    let said = h.run("ssh-keygen", &verify, b"bytes");
    assert!(said.contains("Good \"git\" signature for alice with ED25519-SK key"), "{said}");
}

#[test]
fn a_commit_that_a_touched_security_key_signed_counts() {
    let mut token = Token::new();
    let mut h = alice_has(&token);
    for flags in [PRESENT, PRESENT | VERIFIED] {
        change(&mut h, |bytes| token.sign(flags, "git", bytes));
        h.assert_good();
        assert!(is_good(&h));
    }
}

#[test]
fn a_security_key_that_nobody_touched() {
    let mut token = Token::new();
    for flags in [0, VERIFIED] {
        let mut h = alice_has(&token);
        change(&mut h, |bytes| token.sign(flags, "git", bytes));
        h.assert_refused(Rule::Signature, "nobody touched", h.anchor);
        assert!(!is_good(&h), "flags {flags}");
    }
}

#[test]
fn a_security_keys_signature_for_another_application_or_other_bytes() {
    let mut token = Token::new();
    let mut h = alice_has(&token);
    change(&mut h, |bytes| token.sign_for("ssh:other", PRESENT, "git", bytes));
    h.assert_refused(Rule::Signature, "", h.anchor);
    assert!(!is_good(&h));
    let mut h = alice_has(&token);
    change(&mut h, |_| token.sign(PRESENT, "git", b"other bytes"));
    h.assert_refused(Rule::Signature, "", h.anchor);
    assert!(!is_good(&h));
}

#[test]
fn an_approval_by_a_security_key_counts_if_it_was_touched() {
    let mut token = Token::new();
    for (flags, counts) in [(PRESENT, true), (0, false)] {
        let mut h = alice_has(&token);
        let policy = std::fs::read_to_string(h.path("environments/dev/trust.toml")).unwrap();
        h.write_own("trust.toml", &(policy + "# more\n"));
        let statement = h.statement(CommitKind::Admin);
        let armoured = token.sign(flags, "promote@tidegate", statement.to_string().as_bytes());
        let approval = Approval { expires: statement.expires, armoured };
        let trailer = format!("Approved-By: {}", approval.to_trailer());
        h.commit(By::Ssh("carol"), &format!("Admin\n\nTidegate: admin dev\n{trailer}"));
        if counts {
            h.assert_good();
        } else {
            h.assert_refused(Rule::Approval, "nobody touched", h.anchor);
        }
        assert_eq!(is_good(&h), counts, "flags {flags}");
    }
}
