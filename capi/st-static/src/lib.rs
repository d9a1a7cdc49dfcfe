//! `libzookeeper_st.a`: all that the shared library has, and what only archives have.

pub use oxkeeper_capi_archive as archive;
pub use oxkeeper_capi_st as library;
