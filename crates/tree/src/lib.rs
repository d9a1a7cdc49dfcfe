//! Znodes: applies transactions, answers reads, remembers watches, counts quotas, keeps the digest.

#![forbid(unsafe_code)]
