//! A release manager's desk: their clone, the lines in it, their key.
//!
//! In: a clone, the user's git configuration. Out: verified tips, commits that verify, pushes. Effect:
//! fetches, writes objects, pushes.
//!
//! # Guarantees
//! * A commit is pushed only if the nodes' own code accepts it on top of the line's tip.
//! * A line is never forced; whoever is overtaken begins again.

use std::path::Path;

use jiff::Timestamp;

use crate::clients::git::{
    GitWriteError, ObjectReader, OwnRepository, Pushed, Replace, UserGitError, UserRepository,
};
use crate::model::{CommitId, EnvironmentName, ObjectId};
use crate::promote::act::{Draft, Origin};
use crate::promote::commit::{CommitDraft, Identity};
use crate::promote::compose::{ComposeError, Listing, listing};
use crate::promote::sign::{SignError, Signer};
use crate::promote::tip::{Tip, TipError, find_anchor};
use crate::reconcile::trust::history::header;
use crate::reconcile::trust::message::MessageError;
use crate::reconcile::trust::verdict::Accepted;
use crate::reconcile::trust::{DraftRequest, ObjectsError, Refusal, RevokedKeys};

/// Work that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The clone.
    #[error("cannot use the clone")]
    Clone(#[source] UserGitError),
    /// No such line.
    #[error("there is no branch `{0}`")]
    NoLine(String),
    /// A commit that is not there.
    #[error("there is no commit `{0}`")]
    NoCommit(String),
    /// A line that does not verify.
    #[error("cannot work on the line")]
    Tip(#[source] TipError),
    /// Git was told to vouch for what is no commit.
    #[error("git config {setting} is no commit id: `{text}`")]
    Anchor {
        /// The setting.
        setting: String,
        /// What it is.
        text: String,
    },
    /// An object is missing.
    #[error("cannot read a commit")]
    Objects(#[source] ObjectsError),
    /// A tree cannot be read.
    #[error("cannot read a commit's files")]
    Compose(#[source] ComposeError),
    /// An object could not be written.
    #[error("cannot write the commit")]
    Write(#[source] GitWriteError),
    /// Nobody to sign as.
    #[error("git is not told who you are")]
    NoIdentity,
    /// It was not signed.
    #[error("cannot sign the commit")]
    Sign(#[source] SignError),
    /// The message cannot be told apart.
    #[error("the commit's message cannot be used")]
    Message(#[source] MessageError),
    /// What is to be made would be refused by the nodes.
    #[error("{environment}: this does not count (rule {}): {}", refusal.rule.name(), refusal.reason)]
    Foreseen {
        /// The line.
        environment: EnvironmentName,
        /// Why.
        refusal: Refusal,
    },
    /// What was made would be refused by the nodes.
    #[error("the nodes would refuse the commit")]
    Refused(#[source] TipError),
}

/// The desk.
#[derive(Debug)]
pub struct Desk {
    /// The clone.
    pub clone: UserRepository,
    /// Now.
    pub now: Timestamp,
}

/// Where an anchor was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorFrom {
    /// Given, or in the clone's configuration.
    Known,
    /// On the branch itself: nobody vouched for it.
    Branch,
}

impl Desk {
    /// Opens the clone that `start` lies in.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(start: &Path, remote: Option<&str>, now: Timestamp) -> Result<Self, DeskError> {
        let clone = UserRepository::discover(start, remote).map_err(DeskError::Clone)?;
        Ok(Self { clone, now })
    }

    /// The clone's objects as they are now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn objects(&self) -> Result<ObjectReader, DeskError> {
        self.clone.objects().map_err(DeskError::Clone)
    }

    /// Fetches the branches of lines, or others.
    ///
    /// # Errors
    /// When the remote does not answer, or lacks one.
    pub fn fetch(&self, branches: &[String]) -> Result<(), DeskError> {
        self.clone.fetch(branches).map_err(DeskError::Clone)
    }

    /// The anchor of an environment: from the clone's configuration, or as the branch itself has it.
    ///
    /// # Errors
    /// When there is none.
    pub fn anchor(
        &self,
        environment: &EnvironmentName,
        tip: CommitId,
    ) -> Result<(CommitId, AnchorFrom), DeskError> {
        match self.pinned(environment)? {
            Some(anchor) => Ok((anchor, AnchorFrom::Known)),
            None => find_anchor(&self.objects()?, environment, tip)
                .map(|anchor| (anchor, AnchorFrom::Branch))
                .map_err(DeskError::Tip),
        }
    }

    /// The anchor that git was told: `tidegate.<environment>.anchor`.
    ///
    /// # Errors
    /// When it was told what is none: that must not count as nothing.
    pub fn pinned(&self, environment: &EnvironmentName) -> Result<Option<CommitId>, DeskError> {
        let setting = format!("tidegate.{environment}.anchor");
        let Some(text) = self.clone.config(&setting) else { return Ok(None) };
        let wrong = |_| DeskError::Anchor { setting, text: text.clone() };
        text.parse().map(Some).map_err(wrong)
    }

    /// The branch of an environment, as last fetched.
    ///
    /// # Errors
    /// When it is not there.
    pub fn branch(&self, name: &str) -> Result<CommitId, DeskError> {
        self.clone.branch(name).ok_or_else(|| DeskError::NoLine(name.to_owned()))
    }

    /// The verified tip of a line, as last fetched, judged from `anchor`.
    ///
    /// # Errors
    /// When it is not there, or does not verify.
    pub fn tip(&self, environment: &EnvironmentName, anchor: CommitId) -> Result<Tip, DeskError> {
        let commit = self.branch(environment.as_str())?;
        Tip::read(&self.objects()?, environment, anchor, commit, self.now).map_err(DeskError::Tip)
    }

    /// A commit that a branch, a whole or a short id names.
    ///
    /// # Errors
    /// When there is none.
    pub fn commit(&self, revision: &str) -> Result<CommitId, DeskError> {
        let found = self.clone.branch(revision).or_else(|| self.clone.commit(revision));
        found.ok_or_else(|| DeskError::NoCommit(revision.to_owned()))
    }

    /// A commit's files.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn origin(
        &self,
        environment: &EnvironmentName,
        commit: CommitId,
    ) -> Result<Origin, DeskError> {
        let listing = self.files(commit)?;
        Ok(Origin { environment: environment.clone(), commit, listing })
    }

    /// The files of a commit.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn files(&self, commit: CommitId) -> Result<Listing, DeskError> {
        let objects = self.objects()?;
        let tree = header(&objects, commit).map_err(DeskError::Objects)?.tree;
        listing(&objects, tree).map_err(DeskError::Compose)
    }

    /// Who signs here.
    ///
    /// # Errors
    /// When git is not told who, or with which key.
    pub fn signer(&self) -> Result<(Signer, Identity), DeskError> {
        let config = |key: &str| self.clone.config(key);
        let identity = match (config("user.name"), config("user.email")) {
            (Some(name), Some(email)) => Identity::new(&name, &email),
            _ => return Err(DeskError::NoIdentity),
        };
        let signer = Signer::from_git(config, std::env::home_dir().as_deref());
        Ok((signer.map_err(DeskError::Sign)?, identity))
    }

    /// The public key that signs here, as trust.toml lists it; none for OpenPGP.
    pub fn public_key(&self) -> Option<String> {
        let config = |key: &str| self.clone.config(key);
        crate::promote::sign::public_key(config, std::env::home_dir().as_deref())
    }

    /// Stores the tree of a draft.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tree(&self, listing: &Listing) -> Result<ObjectId, DeskError> {
        let own = OwnRepository::open(self.clone.common_dir()).map_err(DeskError::Write)?;
        let files = listing.iter().map(|(path, file)| (path.clone(), (file.executable, file.id)));
        own.link_tree(&files.collect()).map_err(DeskError::Write)
    }

    /// Stores a file's content.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn blob(&self, bytes: &[u8]) -> Result<ObjectId, DeskError> {
        let own = OwnRepository::open(self.clone.common_dir()).map_err(DeskError::Write)?;
        own.write_blob(bytes).map_err(DeskError::Write)
    }

    /// Signs a commit and stores it; nothing points to it yet.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn sign(
        &self,
        tree: ObjectId,
        parents: Vec<CommitId>,
        message: String,
    ) -> Result<CommitId, DeskError> {
        let (signer, identity) = self.signer()?;
        let draft = CommitDraft { tree, parents, identity, time: self.now, message };
        let signature = signer.sign(&draft.payload()).map_err(DeskError::Sign)?;
        let own = OwnRepository::open(self.clone.common_dir()).map_err(DeskError::Write)?;
        own.write_commit(&draft.signed(&signature)).map_err(DeskError::Write)
    }

    /// Signs a draft on top of `tip`.
    ///
    /// # Errors
    /// When it cannot be signed or written.
    pub fn make(&self, tip: &Tip, draft: &Draft) -> Result<CommitId, DeskError> {
        let (tree, parents, message) = self.composed(tip, draft)?;
        self.sign(tree, parents, message)
    }

    /// What a draft on top of `tip` becomes, whoever signs it: tree, parents, message.
    fn composed(
        &self,
        tip: &Tip,
        draft: &Draft,
    ) -> Result<(ObjectId, Vec<CommitId>, String), DeskError> {
        let message =
            draft.words.message(draft.kind, &tip.environment).map_err(DeskError::Message)?;
        let parents = std::iter::once(tip.commit).chain(draft.second).collect();
        Ok((self.tree(&draft.listing)?, parents, message))
    }

    /// Judges a draft on top of `tip` as the nodes will once the right people have signed it.
    ///
    /// # Errors
    /// With what they would say, whoever signs it.
    pub fn foresee(&self, tip: &Tip, draft: &Draft) -> Result<(), DeskError> {
        let environment = &tip.environment;
        let (tree, parents, message) = self.composed(tip, draft)?;
        let identity = Identity::new("nobody", "nobody");
        let unsigned = CommitDraft { tree, parents, identity, time: self.now, message };
        let (bytes, revoked) = (unsigned.payload(), RevokedKeys::default());
        let (bytes, revoked) = (&bytes[..], &revoked);
        let request = DraftRequest { environment, tip: tip.commit, bytes, revoked };
        let foreseen = crate::reconcile::trust::draft(&self.objects()?, &request);
        let refused = |refusal| DeskError::Foreseen { environment: environment.clone(), refusal };
        foreseen.map(drop).map_err(refused)
    }

    /// Judges a commit on top of `tip` as the nodes will; gives who signed and approved it.
    ///
    /// # Errors
    /// With what they would say.
    pub fn verify(&self, tip: &Tip, commit: CommitId) -> Result<Accepted, DeskError> {
        let objects = self.objects()?;
        let accepted = tip.carries(&objects, commit, self.now).map_err(DeskError::Refused)?;
        accepted.ok_or(DeskError::NoCommit(commit.to_string()))
    }

    /// Carries a line on with a commit that was verified.
    ///
    /// # Errors
    /// When it is not allowed, or the remote does not answer.
    pub fn land(&self, tip: &Tip, commit: CommitId) -> Result<Pushed, DeskError> {
        let environment = &tip.environment;
        let pushed = self.clone.push(commit, environment.as_str(), Replace::Never);
        pushed.map_err(DeskError::Clone)
    }
}
