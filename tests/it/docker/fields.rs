//! Create → inspect → no difference, for every field that can be asked for, on a real engine; and
//! every field that the engine shows has its row.

use std::time::Duration;

use serde_json::Value;
use tidegate::clients::docker::DockerWrite;
use tidegate::reconcile::desired::container::{
    ConfigContent, ContainerSpec, Endpoint, Healthcheck, Logging, Mount, MountSource,
    NetworkAttachment, PortMapping, Protocol, RestartPolicy, Ulimit,
};
use tidegate::reconcile::plan::fields::table;

use crate::docker::lab::{Lab, SUBNET};

type Case = (&'static str, fn(&mut ContainerSpec));

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn mount(target: &str, source: MountSource, read_only: bool) -> Mount {
    Mount { target: target.into(), source, read_only }
}

fn bind(path: &str, propagation: Option<&str>, create_host_path: bool) -> MountSource {
    MountSource::Bind {
        path: path.into(),
        propagation: propagation.map(str::to_owned),
        create_host_path,
    }
}

fn endpoints(list: &[(&str, Endpoint)]) -> NetworkAttachment {
    let networks = list.iter().map(|(key, end)| (key.parse().unwrap(), end.clone())).collect();
    NetworkAttachment::Networks { networks }
}

/// A name server's or container's address in the lab's own subnet.
fn fixed() -> std::net::Ipv4Addr {
    SUBNET.replace(".0/24", ".77").parse().unwrap()
}

const CONFIG: &[Case] = &[
    ("nothing", |_| {}),
    ("command", |s| s.command = Some(texts(&["sleep", "601"]))),
    ("entrypoint", |s| s.entrypoint = Some(texts(&["/bin/sleep", "602"]))),
    ("entrypoint cleared", |s| {
        s.entrypoint = Some(Vec::new());
        s.command = Some(texts(&["sleep", "603"]));
    }),
    ("environment", |s| {
        s.environment.insert("GREETING".into(), "hello = $world".into());
        s.environment.insert("LANG".into(), "C.UTF-8".into());
        s.environment.insert("EMPTY".into(), String::new());
    }),
    ("healthcheck", |s| {
        s.healthcheck = Some(Healthcheck {
            test: texts(&["CMD", "true"]),
            interval: Some(Duration::from_millis(1500)),
            timeout: Some(Duration::from_secs(2)),
            retries: Some(4),
            start_period: Some(Duration::from_secs(5)),
        });
    }),
    ("healthcheck, in part", |s| {
        let test = texts(&["CMD-SHELL", "true"]);
        s.healthcheck = Some(Healthcheck { test, retries: Some(9), ..Healthcheck::default() });
    }),
    ("no healthcheck", |s| {
        s.healthcheck = Some(Healthcheck { test: texts(&["NONE"]), ..Healthcheck::default() });
    }),
    ("user", |s| s.user = Some("65534:65534".into())),
    ("stop_signal", |s| s.stop_signal = Some("SIGINT".into())),
    ("stop_grace_period", |s| s.stop_grace_period = Some(Duration::from_millis(2500))),
    ("labels", |s| {
        s.labels.insert("owner".into(), "alice".into());
        s.labels.insert("maker".into(), "carol".into());
    }),
    ("hostname and domainname", |s| {
        s.hostname = Some("web".into());
        s.domainname = Some("example.org".into());
    }),
    ("working_dir", |s| s.working_dir = Some("/bin/".into())),
    ("stdin_open", |s| s.stdin_open = true),
    ("tty", |s| s.tty = true),
];

const HOST: &[Case] = &[
    ("restart always", |s| s.restart = RestartPolicy::Always),
    ("restart unless-stopped", |s| s.restart = RestartPolicy::UnlessStopped),
    ("restart on-failure", |s| s.restart = RestartPolicy::OnFailure(3)),
    ("read_only", |s| s.read_only = true),
    ("cap_add, cap_drop", |s| {
        s.cap_add = texts(&["NET_BIND_SERVICE", "CHOWN"]);
        s.cap_drop = texts(&["ALL"]);
    }),
    ("security_opt", |s| s.security_opt = texts(&["no-new-privileges:true", "seccomp=unconfined"])),
    ("security_opt, short", |s| s.security_opt = texts(&["no-new-privileges"])),
    ("init", |s| s.init = Some(true)),
    ("no init", |s| s.init = Some(false)),
    ("ulimits", |s| {
        s.ulimits.insert("nofile".into(), Ulimit { soft: 1024, hard: 2048 });
        s.ulimits.insert("core".into(), Ulimit { soft: 0, hard: 0 });
    }),
    ("extra_hosts", |s| {
        s.extra_hosts.insert("db".into(), texts(&["10.0.0.1", "10.0.0.2"]));
        s.extra_hosts.insert("cache".into(), texts(&["::1"]));
    }),
    ("dns", |s| {
        s.dns = vec!["10.0.0.53".parse().unwrap(), "10.0.0.54".parse().unwrap()];
        s.dns_search = texts(&["example.org"]);
        s.dns_opt = texts(&["ndots:2"]);
    }),
    ("logging", |s| {
        let options = [("max-size".to_owned(), "1m".to_owned())].into();
        s.logging = Some(Logging { driver: "json-file".into(), options });
    }),
    ("logging, another driver", |s| {
        s.logging = Some(Logging { driver: "none".into(), options: [].into() });
    }),
    ("limits", |s| {
        s.resources.nano_cpus = Some(500_000_000);
        s.resources.memory = Some(64 << 20);
        s.resources.memory_reservation = Some(32 << 20);
        s.resources.pids = Some(50);
    }),
    ("no limit of processes", |s| s.resources.pids = Some(-1)),
    ("privileged", |s| s.privileged = true),
    ("shm_size", |s| s.shm_size = Some(8 << 20)),
    ("network none", |s| s.network = NetworkAttachment::None),
    ("network host", |s| s.network = NetworkAttachment::Host),
];

const NETWORK: &[Case] = &[
    ("one network", |s| {
        let end = Endpoint { aliases: texts(&["web", "www"]), ..Endpoint::default() };
        s.network = endpoints(&[("default", end)]);
    }),
    ("two networks and an address", |s| {
        let end = |name: &str| Endpoint { aliases: texts(&[name]), ..Endpoint::default() };
        let back = Endpoint { ipv4_address: Some(fixed()), ..end("web") };
        s.network = endpoints(&[("default", end("web")), ("back", back)]);
    }),
    ("sysctls", |s| {
        s.network = endpoints(&[("default", Endpoint::default())]);
        s.sysctls.insert("net.core.somaxconn".into(), "2048".into());
    }),
    ("ports", |s| {
        s.network = endpoints(&[("default", Endpoint::default())]);
        let port = |ip: Option<&str>, host_port, container_port, protocol| PortMapping {
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            host_port,
            container_port,
            protocol,
        };
        s.ports = vec![
            port(Some("127.0.0.1"), None, 8080, Protocol::Tcp),
            port(Some("127.0.0.2"), None, 8080, Protocol::Tcp),
            port(None, None, 5353, Protocol::Udp),
        ];
    }),
    ("volume", |s| {
        let volume = |nocopy| MountSource::Volume { volume: "data".parse().unwrap(), nocopy };
        s.mounts = vec![mount("/data", volume(false), false), mount("/ro", volume(true), true)];
    }),
    ("a volume over the image's", |s| {
        let volume = MountSource::Volume { volume: "data".parse().unwrap(), nocopy: false };
        s.mounts = vec![mount("/cache", volume, false)];
    }),
    ("bind", |s| {
        s.mounts = vec![
            mount("/etc/a", bind("/etc/hostname", None, false), true),
            mount("/etc/b", bind("/etc", Some("private"), false), false),
        ];
    }),
    ("bind of a path that is made", |s| {
        s.mounts = vec![
            mount("/a", bind("/tmp/tidegate-test-a", None, true), true),
            mount("/b", bind("/tmp/tidegate-test-a", Some("private"), true), false),
        ];
    }),
    ("tmpfs", |s| {
        let small = MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o700) };
        let plain = MountSource::Tmpfs { size: None, mode: None };
        s.mounts = vec![mount("/run", small, false), mount("/scratch/", plain, false)];
    }),
];

async fn nothing_differs(lab: &Lab, cases: &[Case]) {
    let mut faults = Vec::new();
    for (case, change) in cases {
        for (name, image) in [("bare", &lab.bare), ("rich", &lab.rich)] {
            let network = NetworkAttachment::None;
            let mut spec = ContainerSpec { network, ..ContainerSpec::default() };
            change(&mut spec);
            let body = lab.body(&lab.desired(image, spec));
            let id = lab.create(&body).await;
            let found = lab.compare(&body, image, &id).await;
            faults.extend(found.iter().map(|d| format!("{case}, created from {name}: {d:?}")));
            // What is inherited from an image shows at once; what starting fills in is the engine's.
            // A machine that keeps capabilities back cannot start a privileged one.
            let starts = name == "bare" && *case != "privileged";
            if starts && let Err(error) = lab.client.start(&id).await {
                faults.push(format!("{case}, {name}: {error}"));
            }
            let found = lab.compare(&body, image, &id).await;
            faults.extend(found.iter().map(|d| format!("{case}, running {name}: {d:?}")));
            let unnamed = unnamed_fields(&lab.inspect(&id).await.raw);
            faults.extend(unnamed.iter().map(|path| format!("{case}: no row for {path}")));
            lab.remove(&id).await;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Fields that inspect shows and the table does not name.
fn unnamed_fields(raw: &Value) -> Vec<String> {
    let rows: Vec<&str> = table().into_iter().map(|(path, _)| path).collect();
    let named =
        |path: &str| rows.iter().any(|row| *row == path || path.starts_with(&format!("{row}.")));
    let mut unnamed = Vec::new();
    for (top, value) in raw.as_object().unwrap() {
        match (top.as_str(), value.as_object()) {
            ("Config" | "HostConfig" | "NetworkSettings", Some(map)) => {
                for (key, value) in map {
                    let path = format!("{top}.{key}");
                    match (path.as_str(), value.as_object()) {
                        ("HostConfig.LogConfig" | "HostConfig.RestartPolicy", Some(inner)) => {
                            unnamed.extend(inner.keys().map(|key| format!("{path}.{key}")));
                        }
                        ("NetworkSettings.Networks", Some(networks)) => {
                            let ends = networks.values().filter_map(Value::as_object);
                            let keys = ends.flat_map(|end| end.keys());
                            unnamed.extend(keys.map(|key| format!("{path}.*.{key}")));
                        }
                        _ => unnamed.push(path),
                    }
                }
            }
            _ => unnamed.push(top.clone()),
        }
    }
    unnamed.retain(|path| {
        let exact = path.contains(".*.");
        if exact { !rows.contains(&path.as_str()) } else { !named(path) }
    });
    unnamed
}

#[tokio::test]
async fn what_was_asked_for_is_what_inspect_shows() {
    let lab = Lab::start().await;
    nothing_differs(&lab, CONFIG).await;
    nothing_differs(&lab, HOST).await;
    nothing_differs(&lab, NETWORK).await;
    let _ = std::fs::remove_dir("/tmp/tidegate-test-a");
    a_config_file_is_mounted_from_the_store(&lab).await;
}

async fn a_config_file_is_mounted_from_the_store(lab: &Lab) {
    let content = ConfigContent(b"hello".to_vec().into());
    let dir = lab.engine.dir().join("files");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(format!("{}-0444", content.digest().hex())), "hello").unwrap();
    let config = "motd".parse().unwrap();
    let source = MountSource::Config { config, content, mode: 0o444 };
    let spec = ContainerSpec {
        network: NetworkAttachment::None,
        mounts: vec![mount("/etc/motd", source, true)],
        ..ContainerSpec::default()
    };
    let body = lab.body(&lab.desired(&lab.bare, spec));
    let id = lab.create(&body).await;
    lab.client.start(&id).await.unwrap();
    assert_eq!(lab.compare(&body, &lab.bare, &id).await, []);
    lab.remove(&id).await;
}
