//! Configuration of the server: zoo.cfg, properties and the command line.

pub mod properties;
pub mod table;
pub mod value;
pub mod version;
