//! Lines between members that can be cut, each direction by itself.
