//! Lists the remote; if its tip is new, brings one branch and checks what came.

use std::path::Path;

use git2::{
    AutotagOption, Config, Direction, FetchOptions, Odb, Oid, ProxyOptions, RemoteRedirect,
    Repository, RepositoryInitOptions,
};

use crate::clients::git::child::callbacks::{Verdict, callbacks};
use crate::clients::git::child::failure::Failure;
use crate::clients::git::child::local;
use crate::clients::git::child::say;
use crate::clients::git::protocol::{Line, Order};
use crate::clients::git::{FailureKind, FetchLimits, Outcome};
use crate::model::CommitId;

/// Brings the branch's tip, unless it is the known one.
pub(crate) fn fetch(order: &Order) -> Result<Outcome, Failure> {
    let verdict = Verdict::default();
    talk(order, &verdict).map_err(|failure| verdict.take().unwrap_or(failure))
}

fn talk(order: &Order, verdict: &Verdict) -> Result<Outcome, Failure> {
    let repository = quarantine(order).map_err(|error| Failure::remote(&error))?;
    let name = format!("refs/heads/{}", order.branch);
    if let [first, ..] = order.roots[..] {
        return consolidate(order, &repository, first);
    }
    let (tip, bytes) = if order.url.starts_with('/') {
        let from = local::open(&order.url)?;
        let tip = local::tip(&from, &name).ok_or_else(|| no_branch(order))?;
        if order.known == Some(commit_id(tip)?) {
            return Ok(Outcome::Unchanged { tip: commit_id(tip)? });
        }
        (tip, local::copy(order, &from, &repository, &[tip])?)
    } else {
        match download(order, verdict, &repository, &name)? {
            (tip, None) => return Ok(Outcome::Unchanged { tip: commit_id(tip)? }),
            (tip, Some(bytes)) => (tip, bytes),
        }
    };
    if repository.find_commit(tip).is_err() {
        let message = "the remote did not send the commit that it promised";
        return Err(Failure::new(FailureKind::Garbage, message));
    }
    say(&Line::Progress { bytes: bytes + 1 });
    let objects = check_sizes(&order.quarantine.join("objects"), &order.limits)?;
    Ok(Outcome::Fetched { tip: commit_id(tip)?, objects, bytes })
}

/// Copies everything that the roots need out of the store, as one pack.
fn consolidate(order: &Order, to: &Repository, first: CommitId) -> Result<Outcome, Failure> {
    let from = local::open(&order.url)?;
    let ids: Result<Vec<Oid>, _> =
        order.roots.iter().map(|root| Oid::from_bytes(root.as_bytes())).collect();
    let ids = ids.map_err(|error| Failure::remote(&error))?;
    let bytes = local::copy(order, &from, to, &ids)?;
    let folder = order.quarantine.join("objects");
    let objects = check_sizes(&folder, &order.limits)?;
    let alone = alone(&folder).map_err(|error| Failure::remote(&error))?;
    if ids.iter().all(|id| alone.exists(*id)) {
        Ok(Outcome::Fetched { tip: first, objects, bytes })
    } else {
        Err(Failure::new(FailureKind::Storage, "the store lacks a commit that it should hold"))
    }
}

/// The objects in `folder` and nowhere else.
fn alone(folder: &Path) -> Result<Odb<'static>, git2::Error> {
    let odb = Odb::new()?;
    odb.add_disk_alternate(folder.to_str().unwrap_or_default())?;
    Ok(odb)
}

/// The remote's tip, and the bytes it took to bring it; none if it is the known one.
fn download(
    order: &Order,
    verdict: &Verdict,
    repository: &Repository,
    name: &str,
) -> Result<(Oid, Option<u64>), Failure> {
    let failed = |error: git2::Error| Failure::remote(&error);
    let mut remote = repository.remote_anonymous(&order.url).map_err(failed)?;
    let mut connection = remote
        .connect_auth(Direction::Fetch, Some(callbacks(order, verdict)), Some(proxy(order)))
        .map_err(failed)?;
    say(&Line::Progress { bytes: 0 });
    let heads = connection.list().map_err(failed)?;
    if heads.len() > order.limits.refs_max {
        let message = format!("the remote shows {} references", heads.len());
        return Err(Failure::new(FailureKind::TooLarge, message));
    }
    let head = heads.iter().find(|head| head.name() == name).ok_or_else(|| no_branch(order))?;
    let tip = head.oid();
    if order.known == Some(commit_id(tip)?) {
        return Ok((tip, None));
    }
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks(order, verdict))
        .proxy_options(proxy(order))
        .download_tags(AutotagOption::None)
        .follow_redirects(RemoteRedirect::None)
        .update_fetchhead(false);
    let refspec = format!("+{name}:refs/incoming/tip");
    connection.remote().download(&[refspec.as_str()], Some(&mut options)).map_err(failed)?;
    let bytes = connection.remote().stats().received_bytes() as u64;
    Ok((tip, Some(bytes)))
}

fn no_branch(order: &Order) -> Failure {
    let message = format!("the remote has no branch `{}`", order.branch);
    Failure::new(FailureKind::BranchMissing, message)
}

/// A bare repository with no configuration but the one beside it, which sees the store's objects and has a reference
/// to each commit that needs no sending.
fn quarantine(order: &Order) -> Result<Repository, git2::Error> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).no_reinit(true);
    let repository = Repository::init_opts(&order.quarantine, &options)?;
    let config = order.quarantine.with_file_name("home").join(".gitconfig");
    repository.set_config(&Config::open(&config)?)?;
    let objects = order.objects.to_str().unwrap_or_default();
    repository.odb()?.add_disk_alternate(objects)?;
    for (n, have) in order.haves.iter().enumerate() {
        let id = Oid::from_bytes(have.as_bytes())?;
        // One that the store lost is simply sent again.
        let _there = repository.reference(&format!("refs/have/{n}"), id, true, "");
    }
    Ok(repository)
}

fn proxy(order: &Order) -> ProxyOptions<'_> {
    let mut options = ProxyOptions::new();
    if let Some(url) = &order.proxy {
        options.url(url);
    }
    options
}

/// Refuses what the agent should not have to read: every object counts, deltas' bases too.
fn check_sizes(objects: &Path, limits: &FetchLimits) -> Result<u32, Failure> {
    let failed = |error: git2::Error| Failure::remote(&error);
    let odb = alone(objects).map_err(failed)?;
    let mut ids = Vec::new();
    odb.foreach(|id| {
        ids.push(*id);
        ids.len() <= limits.objects_max as usize
    })
    .or_else(|error| if error.code() == git2::ErrorCode::User { Ok(()) } else { Err(error) })
    .map_err(failed)?;
    for id in &ids {
        let (bytes, _) = odb.read_header(*id).map_err(failed)?;
        if bytes as u64 > limits.object_bytes_max {
            let most = limits.object_bytes_max;
            let message = format!("object {id} has {bytes} bytes; the limit is {most}");
            return Err(Failure::new(FailureKind::TooLarge, message));
        }
    }
    u32::try_from(ids.len())
        .ok()
        .filter(|count| *count <= limits.objects_max)
        .ok_or_else(|| Failure::new(FailureKind::TooLarge, "the remote sends too many objects"))
}

fn commit_id(id: Oid) -> Result<CommitId, Failure> {
    let bytes: Result<[u8; 20], _> = id.as_bytes().try_into();
    bytes.map(CommitId::from_bytes).map_err(|_| {
        Failure::new(FailureKind::Garbage, "SHA-256 repositories are refused in this version")
    })
}
