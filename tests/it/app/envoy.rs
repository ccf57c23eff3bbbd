//! The real Envoy with the real envoy.yaml, on free ports.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use tap_analytics::proto::DESCRIPTORS;
use tempfile::TempDir;

use super::{App, environment, eventually, root, stderr, stdout};

/// A running Envoy. Ends with the test.
pub struct Envoy {
    pub http: SocketAddr,
    admin: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Envoy {
    /// Starts Envoy in front of an installation, and waits until it takes requests.
    pub async fn start(app: &App) -> Self {
        Self::before(app.grpc.port()).await
    }

    /// Starts Envoy in front of whatever serves at a port.
    pub async fn before(grpc_port: u16) -> Self {
        let envoy = Self::in_front_of(&[grpc_port]);
        envoy.until_it_takes_requests().await;
        envoy
    }

    /// Starts Envoy in front of two installations that share a database.
    pub async fn in_front_of_both(one: &App, other: &App) -> Self {
        let envoy = Self::in_front_of(&[one.grpc.port(), other.grpc.port()]);
        let healthy =
            format!("http://{}/stats?filter=cluster.tap-analytics.membership_healthy", envoy.admin);
        eventually("Envoy has found both", || async {
            let stats = async { reqwest::get(&healthy).await?.text().await };
            stats.await.is_ok_and(|stats| stats.contains("membership_healthy: 2"))
        })
        .await;
        envoy
    }

    /// Starts Envoy in front of an installation with shorter times than envoy.yaml has: two seconds
    /// for an answer, three for a whole call.
    pub async fn impatient(app: &App) -> Self {
        let envoy = Self::launch(&[app.grpc.port()], |config| {
            let shorter = config
                .replace("timeout: 30s\n", "timeout: 2s\n")
                .replace("max_stream_duration: 60s,", "max_stream_duration: 3s,");
            assert_eq!(
                shorter.matches(": 2s\n").count(),
                config.matches("timeout: 30s\n").count() + config.matches(": 2s\n").count()
            );
            assert!(shorter.contains("max_stream_duration: 3s,"));
            shorter
        });
        envoy.until_it_takes_requests().await;
        envoy
    }

    async fn until_it_takes_requests(&self) {
        let url = self.url("/v1/taps:query");
        eventually("Envoy has found the service", || async {
            reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 401)
        })
        .await;
    }

    fn in_front_of(grpc_ports: &[u16]) -> Self {
        Self::launch(grpc_ports, str::to_owned)
    }

    fn launch(grpc_ports: &[u16], change: impl Fn(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (http, admin) = (free_port(), free_port());
        let config = render(&directory, http, grpc_ports[0], admin);
        std::fs::write(&config, change(&std::fs::read_to_string(&config).unwrap())).unwrap();
        for more in &grpc_ports[1..] {
            let text = std::fs::read_to_string(&config).unwrap();
            let (before, endpoint) = text.split_once("      - lb_endpoints:\n").unwrap();
            let another = endpoint.replace(&grpc_ports[0].to_string(), &more.to_string());
            std::fs::write(&config, format!("{before}      - lb_endpoints:\n{endpoint}{another}"))
                .unwrap();
        }
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(environment("TAP_TEST_ENVOY"))
            .args([
                "--concurrency",
                "1",
                "--disable-hot-restart",
                "--log-level",
                "warn",
                "-c",
                &config,
            ])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let on = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { http: on(http), admin: on(admin), child, directory }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// Where its configuration and its log are.
    pub fn files(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// What it counts.
    pub async fn stats(&self) -> String {
        let url = format!("http://{}/stats", self.admin);
        reqwest::get(url).await.unwrap().text().await.unwrap()
    }

    /// All that Envoy has printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Writes the configuration and the descriptors, and returns the path of the former.
pub fn render(directory: &TempDir, http: u16, grpc: u16, admin: u16) -> String {
    let descriptors = directory.path().join("tap.binpb");
    std::fs::write(&descriptors, DESCRIPTORS).unwrap();
    let ports = [http, grpc, admin].map(|port| port.to_string());
    let output = Command::new(root().join("scripts/envoy.sh"))
        .arg("render")
        .args(ports)
        .arg(&descriptors)
        .output()
        .unwrap();
    assert!(output.status.success(), "envoy.sh render: {}", stderr(&output));
    let config = directory.path().join("envoy.yaml");
    std::fs::write(&config, stdout(&output)).unwrap();
    config.to_str().unwrap().to_owned()
}

/// A port that nobody listens on, and that no other test is given until this one ends.
///
/// Not one that the system gives: it may give it again before it is used, to a connection or to another
/// test, and two Envoys share a port without a word.
pub fn free_port() -> u16 {
    static HELD: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    let ports = 20_000..32_000;
    let first = fastrand::u16(ports.clone());
    let (held, port) = (first..ports.end)
        .chain(ports.start..first)
        .find_map(|port| {
            // What holds it is at another address, so that the port itself is free.
            let held = TcpListener::bind(("127.0.0.99", port)).ok()?;
            TcpListener::bind(("127.0.0.1", port)).ok()?;
            Some((held, port))
        })
        .unwrap();
    HELD.lock().unwrap().push(held);
    port
}
