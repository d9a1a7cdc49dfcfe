use crate::config::EnsembleConfig;
use bytes::Bytes;
use oxkeeper_net::mio::Registry;
use oxkeeper_net::mio::event::Event;
use oxkeeper_zab::Sid;

pub struct ElectionLinks;

impl ElectionLinks {
    pub fn open(_: &EnsembleConfig, _: &Registry) -> std::io::Result<Self> {
        Ok(Self)
    }
    pub fn next_timer_ms(&self) -> Option<u64> {
        None
    }
    pub fn on_event(&mut self, _: &Registry, _: &Event, _: u64) {}
    pub fn tick(&mut self, _: &Registry, _: u64) {}
    pub fn send(&mut self, _: &Registry, _: Sid, _: Bytes, _: u64) {}
    pub fn take_received(&mut self) -> Vec<(Sid, Bytes)> {
        Vec::new()
    }
}
