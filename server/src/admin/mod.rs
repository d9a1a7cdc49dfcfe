//! The AdminServer: what is served over HTTP, and how.
//!
//! - `http`: connections, limits, deadlines.
//! - `json`: the layout of answers.
//! - `commands`: which commands there are, and what each prints of a view.
//! - `page`: the console's page.
//!
//! Which thread serves, and where the view is from, is the runtime's (`runtime/admin.rs`).

pub mod commands;
pub mod http;
pub mod json;
pub mod page;
