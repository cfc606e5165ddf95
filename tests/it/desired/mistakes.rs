//! Every mistake has its file, line and column.

use crate::desired::support::OTHER;
use crate::desired::support::Repo;

fn web(lines: &str) -> String {
    Repo::default().web(lines).findings()
}

/// Each case: lines of a container (from line 5 on), place within the service, part of the message.
fn each(cases: &[(&str, &str, &str)]) {
    for (lines, place, message) in cases {
        let found = web(lines);
        let wanted = format!("services/app1.toml:{place}: ");
        let hit = found.lines().any(|line| line.contains(&wanted) && line.contains(message));
        assert!(hit, "{lines}\nwanted {wanted}…{message}…\nfound:\n{found}");
    }
}

#[test]
fn an_unknown_key_names_the_one_that_was_meant() {
    each(&[
        ("comand = \"x\"", "5:1", "unknown key `comand` (did you mean `command`?)"),
        ("healthcheck = { retires = 3 }", "5:17", "did you mean `retries`?"),
        ("zzz = 1", "5:1", "keys of container: image"),
    ]);
}

#[test]
fn syntax_errors_and_duplicate_keys_are_found() {
    each(&[("user = ", "5:8", ""), ("user = \"a\"\nuser = \"b\"", "6:1", "duplicate key")]);
}

#[test]
fn wrong_types_say_what_was_expected() {
    each(&[
        ("read_only = \"yes\"", "5:13", "`read_only` must be true or false, not a string"),
        ("command = 3", "5:11", "`command` must be a string or a list, not a whole number"),
        ("environment = { A = [1] }", "5:21", "`A` must be a string or a number or true or false"),
        ("run = \"twice\"", "5:7", "`run` must be \"always\" or \"once\", not \"twice\""),
        ("healthcheck = \"x\"", "5:15", "`healthcheck` must be a table, not a string"),
    ]);
}

#[test]
fn what_comes_later_is_refused_by_name() {
    for key in ["devices", "env_file", "secrets", "pid", "container_name", "platform", "gpus"] {
        let wanted = format!("5:1: `{key}` is not supported in this version");
        assert!(web(&format!("{key} = 1")).contains(&wanted), "{key}");
    }
    let at_top = |lines: &str| Repo::default().web("").with("services/x.toml", lines).findings();
    assert!(
        at_top("app = \"app1\"\nengine = \"swarm\"").contains(
            "services/x.toml:2:10: `engine = \"swarm\"` is not supported in this version"
        )
    );
    assert!(at_top("[secrets.x]").contains("1:2: `secrets` is not supported in this version"));
    assert!(at_top("[update]\nwaves = []").contains("2:1: `waves` is not supported in this"));
    let secret = Repo::default().web("").with("environments/prd/secrets/a.age", "x");
    assert!(secret.findings().contains("secrets are not supported in this version"));
}

#[test]
fn what_never_comes_is_refused_with_its_reason() {
    for key in [
        "build",
        "develop",
        "extends",
        "profiles",
        "provider",
        "models",
        "credential_spec",
        "isolation",
        "use_api_socket",
        "scale",
    ] {
        let wanted = format!("5:1: `{key}` is refused because ");
        assert!(web(&format!("{key} = 1")).contains(&wanted), "{key}");
    }
}

#[test]
fn values_that_mean_nothing_are_named() {
    each(&[
        ("ports = [\"x:80\"]", "5:10", "`x:80` is not a port"),
        ("ports = [\"8000-8001:80\"]", "5:10", "the two ranges differ in length"),
        ("ports = [{ target = 0 }]", "5:10", "`target` is not 1 to 65535"),
        ("volumes = [\"data:/x\"]", "5:12", "volume `data` is not defined"),
        ("volumes = [\"/x\"]", "5:12", "`/x` is an anonymous volume"),
        ("volumes = [\"./x:/y\"]", "5:12", "`./x` is not a path of the host"),
        ("volumes = [\"/a/../b:/y\"]", "5:12", "it contains `..`"),
        ("tmpfs = \"/x:uid=1\"", "5:9", "option `uid=1` of a tmpfs is not supported"),
        ("tmpfs = [\"/x\", \"/x\"]", "5:16", "`/x` is mounted twice"),
        ("configs = [\"c\"]", "5:12", "config `c` is not defined"),
        ("networks = [\"back\"]", "5:13", "network `back` is not defined"),
        ("restart = \"sometimes\"", "5:11", "`sometimes` is not a restart policy"),
        ("user = \"a b\"", "5:8", "`a b` is not `user` or `user:group`"),
        ("stop_signal = \"please\"", "5:15", "`please` is not a signal"),
        ("stop_grace_period = \"10\"", "5:21", "`10` is not a duration"),
        ("working_dir = \"x\"", "5:15", "`x` is not an absolute path"),
        ("hostname = \"a_b!\"", "5:12", "`a_b!` is not a host name"),
        ("mem_limit = \"1.5g\"", "5:13", "`1.5g` is not a size"),
        ("cpus = \"many\"", "5:8", "`many` is not a number of CPUs"),
        ("dns = \"x\"", "5:7", "`x` is not an address"),
        ("extra_hosts = [\"x\"]", "5:16", "`x` names no address"),
        ("environment = [\"A\"]", "5:16", "`A` in `environment` has no value"),
        ("command = \"'\"", "5:11", "`command` has an open quote"),
        ("command = []", "5:11", "an empty `command` without an `entrypoint` runs nothing"),
        ("cap_add = [\"x y\"]", "5:12", "`x y` is not a capability"),
        ("ulimits = { nofile = { soft = 2, hard = 1 } }", "5:22", "is above the hard limit"),
        ("healthcheck = { test = [\"wget\"] }", "5:24", "must begin with CMD"),
        ("labels = { \"io.tidegate.x\" = \"1\" }", "5:12", "is Tidegate's own"),
        ("cpus = 1\ndeploy.resources.limits.cpus = 2", "5:8", "say different things"),
        ("logging = {}", "5:11", "`driver` is missing"),
    ]);
}

#[test]
fn the_parts_of_a_service_must_fit_together() {
    let once = "run = \"once\"\n";
    each(&[
        ("depends_on = [\"db\"]", "5:1", "names `db`, which the service does not have"),
        ("depends_on = [\"web\"]", "5:1", "depend on each other: web → web"),
        ("run = \"once\"\nrestart = \"always\"", "6:1", "what runs once is not restarted"),
        ("network_mode = \"host\"\nports = [\"80\"]", "6:1", "`ports` does not go with"),
        ("network_mode = \"none\"\nnetworks = [\"default\"]", "6:1", "`networks` does not go"),
        ("ports = [\"80:80\"]\n[update]\nstrategy = \"start-first\"", "5:1", "share host port 80"),
    ]);
    let two = |lines: &str, db: &str| {
        let text = format!(
            "[containers.web]\nimage = \"web\"\n{lines}\n[containers.db]\nimage = \"db\"\n{db}"
        );
        Repo::default().service("app1", &text).findings()
    };
    let healthy = "depends_on = { db = { condition = \"service_healthy\" } }";
    assert!(two(healthy, "").contains("Warning services/app1.toml:5:1: `db` must become healthy"));
    assert!(two(healthy, once).contains("5:1: `db` runs once and is never healthy"));
    let done = "depends_on = { db = { condition = \"service_completed_successfully\" } }";
    assert!(two(done, "").contains("5:1: `db` is not meant to complete"));
    let cycle = two("depends_on = [\"db\"]", "depends_on = [\"web\"]");
    assert!(cycle.contains("containers depend on each other: db → web → db"), "{cycle}");
}

#[test]
fn a_service_names_its_app_its_image_and_at_least_one_container() {
    let service = |text: &str| Repo::default().with("services/x.toml", text).findings();
    assert!(service("[containers.a]").contains("x.toml: `app` is missing"));
    assert!(service("[containers.a]").contains("x.toml:1:1: `image` is missing"));
    assert!(service("app = \"app1\"").contains("x.toml: service `x` has no container"));
    assert!(service("app = \"app2\"").contains("x.toml:1:7: app `app2` is not declared"));
    assert!(service("nodes = \"a b\"").contains("x.toml:1:9: `a b` is not a selector term"));
    assert!(service("nodes = \"role=db\"").contains("Warning services/x.toml:1:9: `role=db` fits"));
    let named = service(
        "app=\"app1\"
[containers.A]
image=\"a\"",
    );
    assert!(named.contains("x.toml:2:13: `A` is not a valid container name"), "{named}");
}

#[test]
fn an_image_is_a_path_and_a_pin_is_a_literal_digest() {
    let service = |text: &str| Repo::default().with("services/x.toml", text).findings();
    let found = service("app=\"app1\"\n[containers.a]\nimage = \"nginx:1.25\"");
    assert!(found.contains("x.toml:3:9: `nginx:1.25` is not a repository path"), "{found}");
    let found = service("app=\"app1\"\n[containers.a]\nimage = \"nginx\"\ndigest = \"1.25\"");
    assert!(found.contains("x.toml:4:10: `1.25` is not a digest"), "{found}");
    let found = service("app=\"app1\"\n[containers.a]\nimage = \"nginx\"\ndigest = \"${vars.d}\"");
    assert!(found.contains("x.toml:4:10: `${vars.d}` is not a digest"), "{found}");
    let found = service("app=\"app1\"\n[containers.a]\nimage = \"nginx\"");
    assert!(found.contains("x.toml:2:13: container `a` has no pin"), "{found}");
    let found = service("app=\"app1\"\n[containers.a]\nimage=\"n\"\nimage_id = \"1111122222\"");
    assert!(found.contains("Warning services/x.toml:4:12: a short image id"), "{found}");
}

#[test]
fn two_services_of_a_node_cannot_have_the_same_port() {
    let port = |port: &str| format!("[containers.web]\nimage = \"web\"\nports = [\"{port}\"]\n");
    let both =
        |a: &str, b: &str| Repo::default().service("a", &port(a)).service("b", &port(b)).findings();
    let wanted = "b.toml:5:1: host port 80 is taken by container `web` of service a";
    for (a, b, clash) in [
        ("80:80", "80:81", true),
        ("127.0.0.1:80:80", "80:80", true),
        ("127.0.0.1:80:80", "0.0.0.0:80:80", true),
        ("127.0.0.1:80:80", "127.0.0.2:80:80", false),
        ("80:80/tcp", "80:80/udp", false),
        ("80", "80", false),
    ] {
        let found = both(a, b);
        assert_eq!(found.contains(wanted), clash, "{a} {b}: {found}");
    }
}

#[test]
fn a_configs_file_cannot_leave_its_service() {
    for path in ["../x", "a/../../x", "/etc/passwd", "./x", "a//b", ""] {
        let found = web(&format!("configs = [\"c\"]\n[configs.c]\nfile = \"{path}\""));
        assert!(found.contains("services/app1.toml:7:8: "), "{path}: {found}");
        assert!(found.contains("is not a path below services/app1/"), "{path}: {found}");
    }
    let found = web("configs = [\"c\"]\n[configs.c]\nfile = \"x\"");
    assert!(found.contains("7:8: there is no file `services/app1/x`"), "{found}");
    let found = web("configs = [\"c\"]\n[configs.c]");
    assert!(found.contains("6:10: config `c` needs `file` or `content`"), "{found}");
}

#[test]
fn an_undefined_variable_is_named_where_it_stands() {
    each(&[
        ("user = \"a${vars.x}\"", "5:10", "`${vars.x}` is not defined"),
        ("user = \"${node.nam}\"", "5:9", "did you mean `${node.name}`?"),
        ("command = [\"echo $HOME\"]", "5:18", "a lone `$`"),
        ("user = \"${node.labels.x}\"", "5:9", "give node n1 the label"),
    ]);
    let cycle = Repo::default()
        .web("user = \"${vars.a}\"")
        .with("rulesets/a.toml", "[vars]\na = \"${vars.b}\"\nb = \"${vars.a}\"");
    assert!(cycle.findings().contains("refers to itself"), "{}", cycle.findings());
}

#[test]
fn unrelated_rulesets_that_differ_are_an_error() {
    let repo = Repo::default()
        .web("user = \"${vars.u}\"")
        .with("rulesets/a.toml", "[vars]\nu = \"1\"")
        .with("rulesets/b.toml", "[vars]\nu = \"2\"");
    let found = repo.findings();
    let wanted =
        "rulesets/b.toml:2:5: `vars.u` of service app1 is set differently by rulesets a and b";
    assert!(found.contains(wanted), "{found}");
    let pin =
        |n: &str, d: &str| format!("match.service = \"{n}\"\ncontainers.web.digest = \"{d}\"");
    let repo = Repo::default()
        .web("")
        .with("rulesets/a.toml", pin("app1", crate::desired::support::DIGEST))
        .with("rulesets/b.toml", pin("app1", OTHER));
    assert!(repo.findings().contains("b.toml:2:25: the pin of `web` of service app1 is set diff"));
}

#[test]
fn documents_of_the_environment_are_checked_too() {
    let with = |path: &str, text: &str| Repo::default().web("").with(path, text).findings();
    let environment = "environments/prd/environment.toml";
    for (text, wanted) in [
        ("name = \"tst\"\nhub = \"h\"", ":1:8: this is the directory of environment `prd`"),
        ("name = \"prd\"\nhub = \"https://h\"", ":2:7: `https://h` is not a hub"),
        ("name = \"prd\"", ": `hub` is missing"),
        ("name = \"prd\"\nhub = \"h\"\nwindow = \"2-4 UTC\"", ":3:10: `2-4 UTC` is not a window"),
        ("name = \"prd\"\nhub = \"h\"\nmode = \"x\"", ":3:8: `mode` must be"),
        (
            "name = \"prd\"\nhub = \"h\"\nfreeze = [{ from = 2026-01-02T00:00:00Z, to = 2026-01-01T00:00:00Z, reason = \"x\" }]",
            ":3:11: the freeze ends before it begins",
        ),
        (
            "name = \"prd\"\nhub = \"h\"\nfreeze = [{ from = \"soon\", to = \"x\", reason = \"x\" }]",
            ":3:20: `soon` is not a time",
        ),
    ] {
        let found = with(environment, text);
        assert!(found.contains(&format!("{environment}{wanted}")), "{text}\n{found}");
    }
    assert!(
        with("environments/prd/nodes/N.toml", "").contains("N.toml: `N` is not a valid node name")
    );
    assert!(with("environments/prd/nodes/m.toml", "x=1").contains("m.toml:1:1: unknown key `x`"));
    assert!(with("services/A.toml", "").contains("A.toml: `A` is not a valid service name"));
    assert!(with("rulesets/a.b.toml", "").contains("`a.b` is not a ruleset's path"));
    assert!(
        with("environments/prd/x.toml", "").contains("Warning environments/prd/x.toml: nothing")
    );
    assert!(with("tidegate.toml", "").contains("tidegate.toml: `repository` is missing"));
}

#[test]
fn a_newer_repository_is_told_apart_from_a_broken_one() {
    let newer = "requires = \">=99\"\nsomething_new = true\n";
    let found = Repo::default().with("tidegate.toml", newer).findings();
    assert!(found.contains("requires tidegate >=99; this is "), "{found}");
    let found = Repo::default().with("tidegate.toml", "requires = \"new\"").findings();
    assert!(found.contains("tidegate.toml:1:12: `new` is not a range of versions"), "{found}");
}

#[test]
fn a_range_of_versions_is_one_and_holds_the_pinned_version() {
    each(&[
        ("versions = \"newest\"", "5:12", "`versions` is not a semver range"),
        ("versions = 1", "5:12", "`versions` must be a string"),
    ]);
}

#[test]
fn one_mistake_is_told_once() {
    let found = web("healthcheck = { test = [\"CMD\", \"test $HOME\"] }");
    assert_eq!(found.lines().count(), 1, "{found}");
    assert!(found.contains("5:38: a lone `$`"), "{found}");
    assert_eq!(web("entrypoint = [\"/run\"]\ncommand = []"), "");
}

#[test]
fn each_mistake_is_told_once() {
    let errors = |text: &str| {
        let found = web(text);
        found.lines().filter(|line| line.starts_with("Error")).count()
    };
    for lines in [
        "read_only = \"yes\"",
        "restart = 3",
        "healthcheck = { retries = \"three\" }",
        "stop_grace_period = 10",
        "ports = [true]",
        "volumes = [\"data:/x\"]\n[volumes]\ndata = 3",
        "networks = [\"back\"]\n[networks]\nback = 3",
        "depends_on = [\"db\"]\n[containers.db]\nimage = \"app1/db:1\"",
        "depends_on = [\"db\"]\n[containers.db]\nimage = 3",
    ] {
        assert_eq!(errors(lines), 1, "{lines}\n{}", web(lines));
    }
}

#[test]
fn a_pointer_of_git_lfs_is_no_config() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let web = "configs = [\"c\"]\n[configs.c]\nfile = \"big.conf\"";
    let found = Repo::default().web(web).with("services/app1/big.conf", pointer).findings();
    let wanted = "services/app1.toml:7:8: `services/app1/big.conf` is a pointer of Git LFS";
    assert!(found.contains(wanted), "{found}");
}
