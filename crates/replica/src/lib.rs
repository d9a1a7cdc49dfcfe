//! Sessions and requests: one whole server as two deterministic machines, Core and Front.

#![forbid(unsafe_code)]
