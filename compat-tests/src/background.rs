//! Real clients as a load in the background.
