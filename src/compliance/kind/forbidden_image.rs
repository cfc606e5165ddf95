//! `forbidden_image`: images that no container may be made of.

use crate::compliance::facts::Row;
use crate::compliance::kind::{FactSight, Judgement, listed};
use crate::compliance::matching::like;
use crate::reconcile::desired::rule::Target;
use crate::reconcile::desired::rule::kind::ForbiddenImageRule;

/// Judges it.
pub(super) fn judge(rule: &ForbiddenImageRule, sight: FactSight<'_>) -> Judgement {
    let (containers, images) = match seen(rule, sight) {
        Ok(seen) => seen,
        Err(reason) => return Judgement::Error { reason },
    };
    let mut found = Vec::new();
    for row in containers.iter().filter(|row| meant(sight.target, row)) {
        let image = row.text("image");
        if is_forbidden(rule, [image, row.text("image_id")]) {
            found.push(format!("{} is made of {image}", row.text("name")));
        }
    }
    for row in images {
        let names = row.text("names").split(',').filter(|name| !name.is_empty());
        let all: Vec<&str> = names.chain([row.text("id")]).collect();
        if is_forbidden(rule, all.iter().copied()) {
            found.push(format!("{} lies on the engine", all.first().copied().unwrap_or_default()));
        }
    }
    let expected = format!("no image {}", rule.images.join(" or "));
    if found.is_empty() {
        return Judgement::Ok { expected };
    }
    let fix = Err("nothing is removed by a rule: remove the container or the image".to_owned());
    Judgement::NotOk { expected, actual: listed(&found), fix }
}

fn seen<'a>(
    rule: &ForbiddenImageRule,
    sight: FactSight<'a>,
) -> Result<(&'a [Row], &'a [Row]), String> {
    let images = if rule.stored { sight.rows("image")? } else { &[] };
    Ok((sight.rows("container")?, images))
}

/// A rule that is shown to a service is about its containers; another about all of the engine.
fn meant(target: &Target, row: &Row) -> bool {
    match target {
        Target::Node => true,
        Target::Service(name) => row.text("service") == name.as_str(),
    }
}

/// Whether one of an image's names is forbidden and none is an exception.
fn is_forbidden<'a>(rule: &ForbiddenImageRule, names: impl IntoIterator<Item = &'a str>) -> bool {
    let all: Vec<String> =
        names.into_iter().flat_map(|name| [name.to_owned(), whole(name)]).collect();
    let one = |patterns: &[String]| all.iter().any(|name| patterns.iter().any(|p| like(p, name)));
    one(&rule.images) && !one(&rule.except)
}

/// What a short name stands for: `nginx` is `docker.io/library/nginx:latest`.
fn whole(name: &str) -> String {
    if name.is_empty() || name.starts_with("sha256:") {
        return name.to_owned();
    }
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let named = match name.split_once('/') {
        Some((first, _)) if is_registry(first) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    let path = named.rsplit('/').next().unwrap_or_default();
    if path.contains([':', '@']) { named } else { format!("{named}:latest") }
}

#[cfg(test)]
mod tests {
    use crate::compliance::kind::forbidden_image::whole;

    #[test]
    fn a_short_name_is_what_the_engine_takes_it_for() {
        for (name, meant) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("alice/web:1", "docker.io/alice/web:1"),
            ("hub:5000/web", "hub:5000/web:latest"),
            ("localhost/web@sha256:00", "localhost/web@sha256:00"),
            ("sha256:00", "sha256:00"),
        ] {
            assert_eq!(whole(name), meant);
        }
    }
}
