//! `dangling`: images without a name and volumes without a container, up to a limit.

use crate::compliance::facts::{FactValue, Row};
use crate::compliance::kind::{FactSight, Judgement};
use crate::compliance::matching::like;
use crate::reconcile::desired::rule::kind::DanglingRule;

/// Judges it.
pub(super) fn judge(rule: &DanglingRule, sight: FactSight<'_>) -> Judgement {
    let (images, volumes) = match (sight.rows("image"), sight.rows("volume")) {
        (Ok(images), Ok(volumes)) => (images, volumes),
        (Err(reason), _) | (_, Err(reason)) => return Judgement::Error { reason },
    };
    let dangles = |row: &&Row| row.get("dangling") == Some(&FactValue::Boolean(true));
    let images: Vec<&Row> = images.iter().filter(dangles).collect();
    let bytes = images.iter().fold(0_u64, |sum, row| match row.get("size") {
        Some(FactValue::Number(size)) => sum.saturating_add(u64::try_from(*size).unwrap_or(0)),
        _ => sum,
    });
    let excepted = |row: &&Row| rule.except.iter().any(|p| like(p, row.text("name")));
    let volumes = volumes.iter().filter(dangles).filter(|row| !excepted(row)).count();
    let (mut wanted, mut too_much) = (Vec::new(), Vec::new());
    if let Some(max) = rule.images_max {
        wanted.push(format!("at most {max} dangling images"));
        too_much.extend((images.len() > max).then(|| format!("{} images", images.len())));
    }
    if let Some(max) = rule.images_bytes_max {
        wanted.push(format!("at most {} of them", shown(max)));
        too_much.extend((bytes > max).then(|| format!("{} of images", shown(bytes))));
    }
    if let Some(max) = rule.volumes_max {
        wanted.push(format!("at most {max} volumes that nothing uses"));
        too_much.extend((volumes > max).then(|| format!("{volumes} volumes")));
    }
    let expected = wanted.join(", ");
    if too_much.is_empty() {
        return Judgement::Ok { expected };
    }
    let remedy = "nothing is removed by a rule: `docker image prune`; look at volumes one by one";
    Judgement::NotOk { expected, actual: too_much.join(", "), fix: Err(remedy.to_owned()) }
}

fn shown(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{bytes} bytes"),
        0x10_0000.. => format!("{} MiB", bytes >> 20),
    }
}
