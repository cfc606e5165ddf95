//! 1,000 services × 1,000 rulesets, resolved for one node: `cargo bench --bench resolve`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tidegate::model::Revision;
use tidegate::reconcile::desired::resolve;
use tidegate::reconcile::source::Snapshot;
use tidegate::reconcile::trust::Verified;

const N_SERVICES: usize = 1000;
const N_APPS: usize = 100;
const ROUNDS: usize = 11;

fn files() -> BTreeMap<String, Arc<[u8]>> {
    let mut files: BTreeMap<String, Arc<[u8]>> = BTreeMap::new();
    let mut add = |path: String, text: String| {
        files.insert(path, text.into_bytes().into());
    };
    let apps: Vec<String> = (0..N_APPS).map(|n| format!("[apps.a{n}]")).collect();
    let root = format!("repository = \"bench\"\nenvironments = [\"prd\"]\n{}\n", apps.join("\n"));
    add("tidegate.toml".to_owned(), root);
    let own = "environments/prd";
    add(format!("{own}/environment.toml"), "name = \"prd\"\nhub = \"dckhub.prd\"\n".to_owned());
    add(format!("{own}/nodes/n1.toml"), "[labels]\nrole = \"web\"\n".to_owned());
    for n in 0..N_SERVICES {
        let app = n % N_APPS;
        let service = format!(
            "app = \"a{app}\"\nnodes = \"role=web\"\n\n[containers.web]\nimage = \"a{app}/web\"\n\
             environment = {{ GREETING = \"${{vars.greeting}}\", NODE = \"${{node.name}}\" }}\n\
             ports = [\"{}:80\"]\nvolumes = [\"data:/data\"]\nrestart = \"unless-stopped\"\n\
             healthcheck = {{ test = [\"CMD\", \"true\"], interval = \"5s\" }}\n\n\
             [containers.db]\nimage = \"a{app}/db\"\nlabels = [\"a=b\"]\n\n[volumes.data]\n",
            1024 + n
        );
        add(format!("services/s{n}.toml"), service);
        let ruleset = format!(
            "[match]\nservice = \"s{n}\"\n\n[vars]\ngreeting = \"hello {n}\"\n\n\
             [containers.web]\ndigest = \"sha256:{n:064x}\"\n\n\
             [containers.db]\ndigest = \"sha256:{:064x}\"\n",
            n + 1
        );
        add(format!("rulesets/it/s{n}.toml"), ruleset);
    }
    files
}

fn main() {
    let environment = "prd".parse().unwrap();
    let snapshot = Verified::unverified_own_work_tree(Snapshot {
        revision: Revision::WorkTree { environment: "prd".parse().unwrap() },
        time: None,
        allow_removal: BTreeSet::new(),
        files: files(),
    });
    let mut rounds: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let found = resolve(&snapshot, &environment, &"n1".parse().unwrap());
            let took = start.elapsed();
            assert_eq!(found.unwrap().state.services.len(), N_SERVICES);
            took
        })
        .collect();
    rounds.sort();
    let ms = rounds[ROUNDS / 2].as_secs_f64() * 1e3;
    println!("{N_SERVICES} services x {N_SERVICES} rulesets resolved: {ms:.1} ms");
}
