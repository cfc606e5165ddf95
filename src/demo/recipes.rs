//! What the example's images do: a web page that tells its version, a database that takes its
//! time, a migration that runs once. Pure.

use crate::demo::error::DemoError;
use crate::demo::images::Recipe;

/// Versions that end so never get healthy: their page is not there.
pub(crate) const BROKEN: &str = "-broken";

/// The image of `repository` in `version`.
pub(crate) fn recipe(repository: &str, version: &str) -> Result<Recipe, DemoError> {
    let unfit = || DemoError::Example(format!("`{repository}` is not a repository path"));
    let path = repository.parse().map_err(|_| unfit())?;
    let last = repository.rsplit('/').next().unwrap_or(repository);
    let (page, command): (String, &[&str]) = match last {
        "migrate" => (String::new(), &["sh", "-c", "echo migrated; date"]),
        "db" => (
            format!("{repository} {version}\n"),
            &["sh", "-c", "mkdir -p /data && touch /data/ready && exec httpd -f -p 5432 -h /www"],
        ),
        _ => (format!("{repository} {version}\n"), &["httpd", "-f", "-p", "80", "-h", "/www"]),
    };
    let mut files = Vec::new();
    if !version.ends_with(BROKEN) && !page.is_empty() {
        files.push(("www/index.html".to_owned(), page));
    } else {
        files.push(("www/empty".to_owned(), String::new()));
    }
    Ok(Recipe {
        repository: path,
        version: version.to_owned(),
        files,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
    })
}
