//! A real Prometheus scrapes an ensemble of ours and reads `packaging/prometheus/zookeeper.rules.yml`: nothing is wrong
//! while all serve; when a member is killed, the alerts for that fire, and no other.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oxkeeper_compat_tests::http;
use oxkeeper_compat_tests::subject::{Options, Server, Subject, TemporaryDirectory, free_port, workspace};

struct Prometheus {
    child: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn start(directory: &TemporaryDirectory, targets: &[u16]) -> Prometheus {
        let rules = std::fs::read_to_string(workspace().join("packaging/prometheus/zookeeper.rules.yml")).expect("rules");
        // Nobody waits minutes here.
        let rules: String = rules
            .lines()
            .map(|line| if line.trim().starts_with("for: ") { "        for: 1s\n".to_owned() } else { format!("{line}\n") })
            .collect();
        std::fs::write(directory.path.join("rules.yml"), rules).expect("rules");
        let targets: Vec<String> = targets.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s, scrape_timeout: 1s }}\nrule_files: [rules.yml]\nscrape_configs:\n  \
             - {{ job_name: zookeeper, static_configs: [ {{ targets: [{}] }} ] }}\n",
            targets.join(", ")
        );
        std::fs::write(directory.path.join("prometheus.yml"), configuration).expect("configuration");
        let port = free_port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", directory.path.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.path.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is there: run `cargo xtask prerequisites`");
        Prometheus { child, port }
    }

    /// The firing alerts, by name.
    fn firing(&self) -> Option<BTreeSet<String>> {
        let answer = http::get(self.port, "/api/v1/alerts").ok()?;
        let told: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        let alerts = told["data"]["alerts"].as_array()?.iter().filter(|alert| alert["state"] == "firing");
        Some(alerts.filter_map(|alert| Some(alert["labels"]["alertname"].as_str()?.to_owned())).collect())
    }

    /// How many targets answer.
    fn up(&self) -> usize {
        let told = http::get(self.port, "/api/v1/query?query=up")
            .ok()
            .and_then(|answer| serde_json::from_slice::<serde_json::Value>(&answer.body).ok());
        let results = told.as_ref().and_then(|told| told["data"]["result"].as_array());
        results.map_or(0, |results| results.iter().filter(|result| result["value"][1] == "1").count())
    }

    fn until(&self, what: &str, is_so: impl Fn(&Prometheus) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < Duration::from_secs(90), "{what}: {:?}", self.firing());
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

#[test]
fn alerts_fire_when_a_member_is_killed() {
    let directory = TemporaryDirectory::new();
    let ports: Vec<[u16; 4]> = (0..3).map(|_| std::array::from_fn(|_| free_port())).collect();
    let mut servers: Vec<Server> = (0..3)
        .map(|index| {
            let [client, _, _, metrics] = ports[index];
            let mut options = Options::usual()
                .line("initLimit", "20")
                .line("syncLimit", "10")
                .line("clientPort", &client.to_string())
                .line("metricsProvider.className", "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider")
                .line("metricsProvider.httpPort", &metrics.to_string());
            for (number, [_, quorum, election, _]) in ports.iter().enumerate() {
                options = options.line(&format!("server.{}", number + 1), &format!("127.0.0.1:{quorum}:{election}"));
            }
            let home = directory.path.join(format!("server-{}", index + 1));
            std::fs::create_dir_all(home.join("data")).expect("directory");
            std::fs::write(home.join("data/myid"), (index + 1).to_string()).expect("myid");
            Server::spawn_in(Subject::Oxkeeper, &options, &home)
        })
        .collect();
    servers.iter_mut().for_each(Server::wait_until_serving);
    let metrics: Vec<u16> = ports.iter().map(|ports| ports[3]).collect();
    let prometheus = Prometheus::start(&directory, &metrics);
    prometheus.until("all are scraped", |prometheus| prometheus.up() == 3);
    prometheus.until("nothing is wrong", |prometheus| prometheus.firing().is_some_and(|firing| firing.is_empty()));
    // The one that leads stays.
    let follower = servers
        .iter()
        .position(|server| {
            oxkeeper_compat_tests::subject::four_letter(server.address(), b"srvr").expect("an answer").contains("Mode: follower")
        })
        .expect("a follower");
    servers[follower].kill();
    let expected: BTreeSet<String> = ["ZooKeeperFollowersMissing", "ZooKeeperMemberDown"].map(str::to_owned).into();
    prometheus.until("the alerts fire", |prometheus| prometheus.firing().is_some_and(|firing| firing == expected));
    servers[follower].restart();
    prometheus.until("all is well again", |prometheus| prometheus.firing().is_some_and(|firing| firing.is_empty()));
}
