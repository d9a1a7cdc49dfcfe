//! `/metrics` for Prometheus, on the port that `metricsProvider.httpPort` names.

use super::shared::Shared;
use super::start::Failure;
use super::words::Words;
use crate::admin::http::{self, Body, Handler, Request, Response};
use crate::config::{MetricsProvider, ServerConfig};
use crate::four_letter::Needs;
use crate::metrics::prometheus;
use log::info;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a scraper may be silent.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// Java ends with the code of any unexpected error.
const EXIT_METRICS: i32 = 1;

/// See the module.
pub struct MetricsServer {
    process_info: bool,
    words: RwLock<Option<Arc<Words>>>,
}

impl MetricsServer {
    /// Listens and serves from now on, if the configuration says so.
    ///
    /// # Errors
    /// The port cannot be had.
    pub fn start(config: &ServerConfig) -> Result<Option<Arc<Self>>, Failure> {
        let MetricsProvider::Prometheus { address, port, process_info } = config.operator.metrics else { return Ok(None) };
        let shown = address.map_or("0.0.0.0".to_owned(), |address| address.to_string());
        let refuse = |error: io::Error| Failure {
            exit_code: EXIT_METRICS,
            message: format!(
                "Cannot boot MetricsProvider org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider on {shown}, port {port}: \
                 {error} (metricsProvider.httpPort sets another port)"
            ),
        };
        let listener = http::bind(address, port).map_err(refuse)?;
        let port = listener.local_addr().map_err(refuse)?.port();
        let server = Arc::new(Self { process_info, words: RwLock::default() });
        let handler: Arc<dyn Handler> = server.clone();
        std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || http::serve(&listener, IDLE_TIME, &handler))
            .map_err(refuse)?;
        info!("Starting /metrics HTTP endpoint at host: {shown}, port: {port}, exportJvmInfo: {process_info}");
        Ok(Some(server))
    }

    /// From now on there is a server to ask.
    pub fn attach(&self, shared: &Arc<Shared>) {
        *self.words.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Words::new(shared.clone())));
    }

    /// There is none any more.
    pub fn detach(&self) {
        *self.words.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Handler for MetricsServer {
    fn handle(&self, request: &Request, _body: &mut Body<'_, '_>) -> Response {
        match request.method.as_str() {
            "GET" | "HEAD" | "POST" => {}
            "TRACE" => return Response::empty(403),
            _ => return Response::empty(405).with("Allow", "GET, HEAD, POST"),
        }
        if request.path != "/metrics" {
            return Response::failure(404, "Metrics are at <a href=\"/metrics\">/metrics</a>.");
        }
        let words = self.words.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut families = match words {
            // The words add the process where it is wanted.
            Some(words) => words.gather(Needs { metrics: true, ..Needs::default() }, |view| {
                view.metrics.and_then(|metrics| metrics.families).map(<[_]>::to_vec).unwrap_or_default()
            }),
            None if self.process_info => prometheus::process(),
            None => Vec::new(),
        };
        let wanted: Vec<&str> = request.query.iter().filter(|(key, _)| key == "name[]").map(|(_, name)| name.as_str()).collect();
        if !wanted.is_empty() {
            for family in &mut families {
                let name = family.name.clone();
                family.samples.retain(|sample| wanted.contains(&format!("{name}{}", sample.suffix).as_str()));
            }
            families.retain(|family| !family.samples.is_empty());
        }
        Response::text(200, "text/plain; version=0.0.4; charset=utf-8", prometheus::text(&families))
    }
}
