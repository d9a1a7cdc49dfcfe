//! `libzookeeper_st.so.2`: what `oxkeeper-capi-st` exports, and nothing else.

pub use oxkeeper_capi_st as library;
