//! The console's page: one file in the binary, with a policy that lets nothing else run in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::http::Response;

const PAGE: &str = include_str!("console.html");

/// The page and its policy, worked out once.
pub struct Page {
    policy: String,
}

impl Page {
    /// The page that is in the binary.
    ///
    /// # Panics
    /// If it has not one script and one style, which would be our own bug.
    #[must_use]
    pub fn new() -> Self {
        let hash = |element: &str| {
            let (open, close) = (format!("<{element}>"), format!("</{element}>"));
            let begin = PAGE.find(&open).expect("the page has the element") + open.len();
            let end = PAGE[begin..].find(&close).expect("the element ends") + begin;
            STANDARD.encode(Sha256::digest(&PAGE.as_bytes()[begin..end]))
        };
        let policy = format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; frame-ancestors 'none'; \
             base-uri 'none'; form-action 'none'",
            hash("script"),
            hash("style")
        );
        Self { policy }
    }

    /// The answer that carries it.
    #[must_use]
    pub fn response(&self) -> Response {
        Response::text(200, "text/html;charset=utf-8", PAGE).with("Content-Security-Policy", self.policy.as_str())
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}
