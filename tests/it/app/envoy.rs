//! The real Envoy with the real envoy.yaml, on free ports.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
};

use tap_analytics::proto::DESCRIPTORS;
use tempfile::TempDir;

use super::{App, environment, eventually, root, stderr, stdout};

/// A running Envoy. Ends with the test.
pub struct Envoy {
    pub http: SocketAddr,
    child: Child,
    directory: TempDir,
}

impl Envoy {
    /// Starts Envoy in front of an installation, and waits until it takes requests.
    pub async fn start(app: &App) -> Self {
        let envoy = Self::in_front_of(app.grpc.port());
        let url = envoy.url("/v1/taps:query");
        eventually("Envoy has found the service", || async {
            reqwest::get(&url).await.is_ok_and(|answer| answer.status() == 401)
        })
        .await;
        envoy
    }

    /// Starts Envoy in front of a port, whatever is there.
    pub fn in_front_of(grpc_port: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (http, admin) = (free_port(), free_port());
        let config = render(&directory, http, grpc_port, admin);
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
        Self { http: SocketAddr::from(([127, 0, 0, 1], http)), child, directory }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
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

/// A port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
