//! Real Git servers on free local ports, ended when dropped: git daemon, sshd, and nginx with TLS.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::git::{git, run};

/// How often a server is asked whether it is there yet: ten seconds in all.
const ATTEMPTS: u32 = 200;

/// A process that ends with the test.
pub(crate) struct Server {
    children: Vec<Child>,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ended = child.kill();
            let _waited = child.wait();
        }
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

async fn answers(port: u16) {
    for _ in 0..ATTEMPTS {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    unreachable!("nothing answers at port {port}");
}

fn quiet(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// `git daemon` over every repository below `base`.
pub(crate) async fn git_daemon(base: &Path) -> Server {
    let port = free_port();
    let programs = PathBuf::from(run(git(base).arg("--exec-path")));
    // Not through `git`, which would start it as another process.
    let mut command = Command::new(programs.join("git-daemon"));
    command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
    command.arg(format!("--port={port}")).arg(format!("--base-path={}", base.display()));
    let daemon = quiet(&mut command);
    let server = Server { children: vec![daemon], port };
    answers(port).await;
    server
}

/// An sshd that only ever runs `git-upload-pack` on one repository.
pub(crate) struct Ssh {
    pub(crate) server: Server,
    pub(crate) known_hosts: PathBuf,
    pub(crate) identity: PathBuf,
    folder: PathBuf,
    config: PathBuf,
}

impl Ssh {
    pub(crate) async fn start(folder: &Path, repository: &Path) -> Self {
        let folder = folder.join("ssh");
        fs::create_dir_all(&folder).unwrap();
        for key in ["host", "user"] {
            keygen(&folder.join(key));
        }
        let port = free_port();
        let config = folder.join("config");
        let path = folder.display();
        let upload = format!("git-upload-pack {}", repository.display());
        fs::write(
            &config,
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {path}/host\nPidFile none\n\
                 AuthorizedKeysFile {path}/user.pub\nStrictModes no\nUsePAM no\n\
                 PermitRootLogin yes\nPasswordAuthentication no\nForceCommand {upload}\n"
            ),
        )
        .unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        let known_hosts = folder.join("known_hosts");
        let host_key = fs::read_to_string(folder.join("host.pub")).unwrap();
        fs::write(&known_hosts, format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        let mut ssh = Self {
            server: Server { children: Vec::new(), port },
            known_hosts,
            identity: folder.join("user"),
            folder,
            config,
        };
        ssh.run().await;
        ssh
    }

    async fn run(&mut self) {
        let mut command = Command::new("/usr/sbin/sshd");
        self.server.children.push(quiet(command.arg("-D").arg("-f").arg(&self.config)));
        answers(self.server.port).await;
    }

    /// The same server with another host key, as after a reinstallation, or an impostor.
    pub(crate) async fn change_host_key(&mut self) {
        for mut child in self.server.children.drain(..) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for file in ["host", "host.pub"] {
            fs::remove_file(self.folder.join(file)).unwrap();
        }
        keygen(&self.folder.join("host"));
        self.run().await;
    }
}

pub(crate) fn keygen(path: &Path) {
    let args = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"];
    run(Command::new("ssh-keygen").args(args).arg(path));
}

/// nginx with TLS and a password before git's own HTTP backend.
pub(crate) struct Https {
    pub(crate) server: Server,
    pub(crate) ca: PathBuf,
}

impl Https {
    pub(crate) async fn start(folder: &Path, base: &Path, user_and_password: &str) -> Self {
        let folder = folder.join("https");
        fs::create_dir_all(folder.join("tmp")).unwrap();
        let ca = certificates(&folder);
        let (user, password) = user_and_password.split_once(':').unwrap();
        fs::write(folder.join("users"), format!("{user}:{{PLAIN}}{password}\n")).unwrap();
        let port = free_port();
        let socket = folder.join("cgi.sock");
        let backend = run(git(&folder).arg("--exec-path"));
        fs::write(folder.join("nginx.conf"), nginx_conf(&folder, base, port, &backend)).unwrap();
        let mut cgi = Command::new("fcgiwrap");
        cgi.arg("-s").arg(format!("unix:{}", socket.display()));
        let mut children = vec![quiet(&mut cgi)];
        for _ in 0..ATTEMPTS {
            if socket.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(&folder).arg("-c").arg(folder.join("nginx.conf"));
        nginx.arg("-e").arg(folder.join("errors"));
        children.push(quiet(&mut nginx));
        let server = Server { children, port };
        answers(port).await;
        Self { server, ca }
    }
}

/// An authority of our own and a certificate for 127.0.0.1.
fn certificates(folder: &Path) -> PathBuf {
    let ca = folder.join("ca.pem");
    let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(folder).args(args));
    let names = "subjectAltName=IP:127.0.0.1,DNS:localhost";
    fs::write(folder.join("names"), names).unwrap();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "3650",
        "-subj",
        "/CN=test authority",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ]);
    openssl(&[
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "3650",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ]);
    ca
}

fn nginx_conf(folder: &Path, base: &Path, port: u16, backend: &str) -> String {
    let (path, base) = (folder.display(), base.display());
    format!(
        "daemon off;\nmaster_process off;\npid {path}/pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {path}/tmp/a;\nproxy_temp_path {path}/tmp/b;\n\
         fastcgi_temp_path {path}/tmp/c;\nuwsgi_temp_path {path}/tmp/d;\nscgi_temp_path {path}/tmp/e;\n\
         server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {path}/server.pem;\n\
         ssl_certificate_key {path}/server.key;\n\
         location /elsewhere/ {{ return 302 https://localhost:{port}/stolen$request_uri; }}\n\
         location ~ ^/(https?)/([0-9]+)(/.*)$ {{ return 302 $1://127.0.0.1:$2$3$is_args$args; }}\n\
         location / {{\nauth_basic x;\nauth_basic_user_file {path}/users;\n\
         fastcgi_pass unix:{path}/cgi.sock;\nfastcgi_param SCRIPT_FILENAME {backend}/git-http-backend;\n\
         fastcgi_param GIT_HTTP_EXPORT_ALL 1;\nfastcgi_param GIT_PROJECT_ROOT {base};\n\
         fastcgi_param GIT_CONFIG_COUNT 1;\nfastcgi_param GIT_CONFIG_KEY_0 safe.directory;\n\
         fastcgi_param GIT_CONFIG_VALUE_0 *;\nfastcgi_param PATH_INFO $uri;\n\
         fastcgi_param QUERY_STRING $query_string;\nfastcgi_param REQUEST_METHOD $request_method;\n\
         fastcgi_param CONTENT_TYPE $content_type;\nfastcgi_param CONTENT_LENGTH $content_length;\n\
         fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;\n\
         fastcgi_param REMOTE_USER $remote_user;\n}}\n}}\n}}\n"
    )
}
