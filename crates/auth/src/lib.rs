//! Identities: the schemes (world, ip, digest, super, auth) and the evaluation of ACLs.

#![forbid(unsafe_code)]
