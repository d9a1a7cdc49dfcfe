//! Links between the members of an ensemble.

pub mod election_links;
