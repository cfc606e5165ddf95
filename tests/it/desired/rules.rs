//! Compliance rules: what is written is what is meant, and every mistake has its place.

use tidegate::reconcile::desired::rule::Rule;
use tidegate::reconcile::desired::rule::RuleKind;

use crate::desired::support::Repo;

const FILE: &str = "rulesets/it/linux.toml";

fn with(rules: &str) -> Repo {
    Repo::default().web("").with(FILE, rules)
}

/// A rule of kind `file`, called `a`, with these lines from line 4 on.
fn file(lines: &str) -> Repo {
    with(&format!("[[rules]]\nname = \"a\"\nkind = \"file\"\n{lines}\n"))
}

fn ids(repo: &Repo) -> Vec<String> {
    repo.state().rules.iter().map(|rule| format!("{} {:?}", rule.id, rule.target)).collect()
}

fn content(rule: &Rule) -> String {
    match &rule.kind {
        RuleKind::File(file) => {
            String::from_utf8(file.content.as_ref().unwrap().0.to_vec()).unwrap()
        }
        _ => String::new(),
    }
}

/// Lines after the rule's name, the place, part of the message.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("kind = \"package\"", "1:1", "`package` is missing"),
    ("kind = \"package\"\npackage = \"open*\"", "4:11", "no name of a package"),
    ("kind = \"package\"\npackage = \"a-\"", "4:11", "no name of a package"),
    ("kind = \"package\"\npackage = \"a\"\nversion = \"> 3 0\"", "5:11", "no version to compare"),
    (
        "kind = \"package\"\npackage = \"a\"\nstate = \"absent\"\nversion = \">=3\"",
        "6:11",
        "what is absent has no `version`",
    ),
    ("kind = \"package_vulnerable\"\npackage = \"a\"\nvulnerable = []", "5:14", "asks for nothing"),
    ("kind = \"systemd_unit\"\nunit = \"ssh\"\nenabled = true", "4:8", "`ssh` is no unit"),
    ("kind = \"systemd_unit\"\nunit = \"a.service\"", "4:8", "nothing is wanted of this unit"),
    (
        "kind = \"systemd_unit\"\nunit = \"a.service\"\nmasked = true\nenabled = true",
        "4:8",
        "what is masked is neither enabled nor active",
    ),
    (
        "kind = \"systemd_unit\"\nunit = \"a.service\"\nenabled = \"y\"",
        "5:11",
        "must be true or false",
    ),
    ("kind = \"sysctl\"\nkey = \"vm/../../x\"\nvalue = 1", "4:7", "no kernel parameter"),
    (
        "kind = \"sysctl\"\nkey = \"net.ipv4.conf.eth0.100.rp_filter\"\nvalue = 1",
        "4:7",
        "is written `net/ipv4/conf/eth0.100/rp_filter`",
    ),
    ("kind = \"user\"\nuser = \"a b\"", "4:8", "no name of a user or group"),
    ("kind = \"user\"\nuser = \"root\"\nstate = \"absent\"", "5:9", "`root` is never removed"),
    ("kind = \"user\"\nuser = \"a\"\nstate = \"absent\"\nuid = 5", "6:7", "no other parameters"),
    ("kind = \"user\"\nuser = \"root\"\nuid = 5", "5:7", "`root` keeps number 0"),
    ("kind = \"user\"\nuser = \"a\"\nuid = -5", "5:7", "not a whole number"),
    ("kind = \"user\"\nuser = \"a\"\ncomment = \"x:y\"", "5:11", "neither `:` nor line ends"),
    ("kind = \"user\"\nuser = \"a\"\nhome = \"/x:y\"", "5:8", "ends a field"),
    ("kind = \"group\"\ngroup = \"a\"\nuid = 5", "5:1", "unknown key `uid`"),
    ("kind = \"membership\"\nuser = \"a\"", "1:1", "`group` is missing"),
    (
        "kind = \"ssh_authorized_key\"\nuser = \"a\"\nkey = \"ssh-rsa AAAA\"",
        "5:7",
        "it is no public key",
    ),
    ("kind = \"sudoers\"\nfile = \"a.b\"\ncontent = \"x\"", "4:8", "would not be read by sudo"),
    ("kind = \"sudoers\"\nfile = \"a\"", "4:8", "`content` is missing"),
    (
        "kind = \"sudoers\"\nfile = \"a\"\nstate = \"absent\"\ncontent = \"x\"",
        "6:11",
        "what is absent has no `content`",
    ),
    ("kind = \"cron\"\nfile = \"../a\"\nstate = \"absent\"", "4:8", "would not be read by cron"),
    (
        "kind = \"cron\"\nfile = \"a\"\nschedule = \"0 25 * * *\"\nuser = \"root\"\ncommand = \"x\"",
        "5:12",
        "is no schedule of cron",
    ),
    ("kind = \"cron\"\nfile = \"a\"\nuser = \"root\"", "4:8", "a job needs `schedule`"),
    ("kind = \"time\"", "3:8", "nothing is wanted of the time"),
    ("kind = \"time\"\nzone = \"Europe/Pariss\"", "4:8", "is no time zone"),
    ("kind = \"process\"\nprocess = \"/bin/x\"", "4:11", "is no name of a program"),
    ("kind = \"process\"\nprocess = \"x\"\nargs = \"(\"", "5:8", "is no pattern"),
    ("kind = \"listening_port\"\nport = 70000", "4:8", "not a whole number that `port` can be"),
    ("kind = \"listening_port\"\nport = 0", "4:8", "0 is no port"),
    (
        "kind = \"listening_port\"\nport = 1\naddress = \"::1\"\nstate = \"closed\"",
        "5:11",
        "closed at every address",
    ),
    ("kind = \"certificate\"\npath = \"x\"", "4:8", "`x` is not an absolute path"),
    ("kind = \"command\"\nargv = [\"ls\"]", "4:8", "name it by its whole path"),
    ("kind = \"command\"\nargv = [\"/bin/ls\"]\ntimeout = \"5m\"", "5:11", "at most 60 s"),
    ("kind = \"command\"\nargv = \"/bin/ls -l\"", "4:8", "must be"),
    ("kind = \"fille\"", "3:8", "unknown kind of rule `fille` (did you mean `file`?)"),
    ("kind = \"container\"\nhealth = \"fine\"", "4:10", "a list, not \"fine\""),
    ("kind = \"kernel_module\"", "1:1", "`module` is missing"),
    ("kind = \"kernel_module\"\nmodule = \"../x\"", "4:10", "is no kernel module"),
    ("kind = \"kernel_module\"\nmodule = \"-x\"", "4:10", "is no kernel module"),
    ("kind = \"kernel_module\"\nmodule = \"x\"\nstate = \"on\"", "5:9", "\"loaded\" or \"absent\""),
    ("kind = \"mount\"\npath = \"/srv\"", "4:8", "`source` is missing"),
    ("kind = \"mount\"\npath = \"/srv/../x\"\nstate = \"absent\"", "4:8", "not an absolute path"),
    ("kind = \"mount\"\npath = \"/etc\"\nstate = \"absent\"", "4:8", "`/etc` is never unmounted"),
    ("kind = \"mount\"\npath = \"/x\"\nsource = \"y\"", "4:8", "`type` is missing"),
    ("kind = \"mount\"\npath = \"/x\"\nsource = \"-y\"\ntype = \"z\"", "5:10", "can be mounted"),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"/dev/loop0\"\ntype = \"z\"",
        "5:10",
        "a loop device",
    ),
    ("kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\ntype = \"swap\"", "6:8", "swap is not"),
    ("kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\ntype = \"../z\"", "6:8", "no type of file"),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\noptions = \"bind\"",
        "5:10",
        "not an absolute path",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nstate = \"absent\"\ntype = \"z\"",
        "6:8",
        "what is absent has no other parameters",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\ntype = \"z\"\noptions = \"ro,rw\"",
        "7:11",
        "`ro` and `rw` cannot both be",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\ntype = \"z\"\noptions = [\"ro\", \"remount\"]",
        "7:18",
        "option `remount` is refused",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"y\"\ntype = \"cifs\"\noptions = \"password=x\"",
        "7:11",
        "would show a secret",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"//y/z\"\ntype = \"ext4\"",
        "6:8",
        "of type `cifs` or `smb3`",
    ),
    (
        "kind = \"mount\"\npath = \"/x\"\nsource = \"//y/..\"\ntype = \"cifs\"",
        "5:10",
        "not an absolute path",
    ),
    ("kind = \"archive\"\npath = \"/x\"\nsource = \"y\"", "1:1", "`digest` is missing"),
    ("", "1:1", "`kind` is missing (write one of file, "),
    ("kind = \"file\"\npath = \"/x\"\nmod = 1", "5:1", "unknown key `mod` (did you mean `mode`?)"),
    ("kind = \"file\"", "1:1", "`path` is missing"),
    ("kind = \"file\"\npath = \"x\"", "4:8", "`x` is not an absolute path"),
    ("kind = \"file\"\npath = \"/etc/../x\"", "4:8", "is not an absolute path"),
    ("kind = \"file\"\npath = \"/x\"\nmode = \"9\"", "5:8", "not permission bits"),
    (
        "kind = \"file\"\npath = \"/x\"\ncontent = \"${vars.y}\"",
        "5:12",
        "`${vars.y}` is not defined",
    ),
    (
        "kind = \"file\"\npath = \"/x\"\nsource = \"y\"",
        "5:10",
        "no file `rulesets/it/linux.files/y`",
    ),
    ("kind = \"file\"\npath = \"/x\"\nsource = \"../y\"", "5:10", "not a path below"),
    (
        "kind = \"file\"\npath = \"/x\"\nwindow = \"02:00-04:00 UTC\"",
        "5:10",
        "only what the agent mends",
    ),
    ("kind = \"file\"\npath = \"/x\"\nseverity = \"bad\"", "5:12", "\"info\" or \"warning\""),
    ("kind = \"file\"\npath = \"/x\"\nmatch = { oss = \"x\" }", "5:11", "did you mean `os`?"),
    ("kind = \"file\"\npath = \"/x\"\nmatch = { cpus = \"many\" }", "5:18", "no number to compare"),
    (
        "kind = \"file\"\npath = \"/x\"\nmatch = { package = { version = \">=\" } }",
        "5:33",
        "no version",
    ),
    ("kind = \"file_absent\"\npath = \"/etc\"", "4:8", "`/etc` is never removed"),
    ("kind = \"file_absent\"\npath = \"/\"", "4:8", "`/` is never removed"),
    ("kind = \"file_absent\"\npath = \"/usr/\"", "4:8", "`/usr` is never removed"),
    ("kind = \"file_absent\"\npath = \"/tmp/*\"", "4:8", "patterns never remove"),
    ("kind = \"file_line\"\npath = \"/x\"", "4:8", "it needs `line`"),
    ("kind = \"file_line\"\npath = \"/x\"\nline = \"a\"\nregex = \"(\"", "6:9", "is no pattern"),
    (
        "kind = \"file_line\"\npath = \"/x\"\nline = \"a\"\nregex = \"^b\"",
        "6:9",
        "does not find `line`",
    ),
    ("kind = \"file_line\"\npath = \"/x\"\nline = \"a\\nb\"", "5:8", "has no line end"),
    (
        "kind = \"key_value\"\npath = \"/x\"\nformat = \"xml\"\nkey = \"a\"\nvalue = 1",
        "5:10",
        "must be \"equals\"",
    ),
    (
        "kind = \"key_value\"\npath = \"/x\"\nformat = \"json\"\nkey = \"a\"",
        "6:7",
        "`value` is missing",
    ),
    // Without a value it would be a rule that takes the key away.
    (
        "kind = \"key_value\"\npath = \"/x\"\nformat = \"toml\"\nkey = \"a\"\nvalue = nan",
        "7:9",
        "not every such file can hold this number",
    ),
];

#[test]
fn every_mistake_in_a_rule_has_its_line_and_column() {
    let rule = "[[rules]]\nname = \"a\"\n";
    for (lines, place, message) in MISTAKES {
        let found = with(&format!("{rule}{lines}\n")).findings();
        let wanted = format!("Error {FILE}:{place}: ");
        let hit = found.lines().any(|line| line.starts_with(&wanted) && line.contains(message));
        assert!(hit, "{lines}\nwanted {wanted}…{message}…\nfound:\n{found}");
    }
}

#[test]
fn a_name_stands_once_in_a_ruleset() {
    let rule = "[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/x\"\n";
    let found = with(&format!("{rule}{rule}")).findings();
    assert!(found.contains("6:8: rule `a` stands twice in this ruleset"), "{found}");
}

#[test]
fn a_ruleset_about_services_shows_its_rules_to_each_of_them_and_others_to_the_node() {
    let rule = "[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/srv/${service.name}\"\n";
    let repo = Repo::default()
        .web("")
        .service("app2", "[containers.db]\nimage = \"app1/db\"\n")
        .with("rulesets/both.toml", format!("[match]\napp = \"app1\"\n{rule}"))
        .with(
            "rulesets/db.toml",
            format!("[match]\ncontainer = \"db\"\n{}", rule.replace("/srv", "/db")),
        )
        .with("rulesets/node.toml", rule.replace("${service.name}", "${node.name}"))
        .with("rulesets/other.toml", format!("[match]\nnode = \"n2\"\n{rule}"));
    assert_eq!(
        ids(&repo),
        [
            "both/a Service(ServiceName(\"app1\"))",
            "both/a Service(ServiceName(\"app2\"))",
            "db/a Service(ServiceName(\"app2\"))",
            "node/a Node",
        ]
    );
}

#[test]
fn a_rule_further_in_replaces_one_of_its_name_and_the_environments_own_that_which_flows() {
    let rule = |text: &str| {
        format!("[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/x\"\ncontent = \"{text}\"\n")
    };
    let outer = Repo::default().web("").with("rulesets/it.toml", rule("outer"));
    assert_eq!(content(&outer.state().rules[0]), "outer");
    let inner = outer.with(FILE, rule("inner"));
    assert_eq!(ids(&inner), ["it.linux/a Node"]);
    assert_eq!(content(&inner.state().rules[0]), "inner");
    let own = inner.with("environments/prd/rulesets/it/linux.toml", rule("prd's"));
    assert_eq!(ids(&own), ["it.linux/a Node"]);
    assert_eq!(content(&own.state().rules[0]), "prd's");
}

#[test]
fn two_rules_that_want_one_thing_differently_are_a_mistake() {
    let rule = |text: &str| {
        format!("[[rules]]\nname = \"a\"\nkind = \"file\"\npath = \"/x\"\ncontent = \"{text}\"\n")
    };
    let repo = Repo::default().web("").with("rulesets/a.toml", rule("1"));
    let found = repo.clone().with("rulesets/b.toml", rule("2")).findings();
    assert!(found.contains("b.toml:2:8: /x is wanted differently by rules a/a and b/a"), "{found}");
    assert_eq!(
        ids(&repo.clone().with("rulesets/b.toml", rule("1"))).len(),
        2,
        "both want the same"
    );
    let narrowed = rule("2") + "match = { os = \"debian\" }\n";
    assert_eq!(ids(&repo.with("rulesets/b.toml", narrowed)).len(), 2, "facts may tell them apart");
}

#[test]
fn content_comes_from_the_rule_a_template_or_a_file_as_it_is() {
    let repo = file("path = \"/x\"\ntemplate = \"motd\"\n[vars]\nname = \"bob\"")
        .with("rulesets/it/linux.files/motd", "hello ${vars.name} on ${node.name}\n");
    assert_eq!(content(&repo.state().rules[0]), "hello bob on n1\n");
    let plain = file("path = \"/x\"\nsource = \"sub/x.toml\"")
        .with("rulesets/it/linux.files/sub/x.toml", "${a");
    assert_eq!(content(&plain.state().rules[0]), "${a");
    let digest = tidegate::model::Digest::of(b"${a");
    let pinned = |digest: &str| {
        file(&format!("path = \"/x\"\nsource = \"x\"\ndigest = \"{digest}\""))
            .with("rulesets/it/linux.files/x", "${a")
    };
    assert_eq!(pinned(&digest.to_string()).state().rules.len(), 1);
    let other = tidegate::model::Digest::of(b"").to_string();
    assert!(pinned(&other).findings().contains("6:10: the content's digest is not"));
    let both = file("path = \"/x\"\ncontent = \"a\"\nsource = \"b\"").findings();
    assert!(both.contains("6:10: only one of `content`, `template` and `source`"), "{both}");
}

#[test]
fn a_rule_does_not_change_what_runs() {
    let without = Repo::default().web("").state();
    let with = file("path = \"/x\"").state();
    assert_eq!(without.services, with.services);
}
