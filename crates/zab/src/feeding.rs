//! A follower that feeds observers (an observer master, `observerMasterPort`): it brings them to its own committed
//! history, hands on what is committed from then on, and carries what their clients want to the leader and the answers
//! back. To an observer it looks like a leader; it decides nothing.

use crate::packet::{self, PROTOCOL_VERSION, Packet, PacketKind, RequestData};
use crate::peer::{LearnerView, LinkId, Output};
use crate::quorum::Sid;
use crate::shared::{Shared, epoch_zxid};
use crate::sync::bring;
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_proto::{Mutant, OpCode, SessionId, Zxid, mutant};
use std::collections::VecDeque;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing was heard yet.
    Connected,
    /// LEADERINFO is sent.
    Informed,
    /// Everything up to NEWLEADER is sent, or behind a job; it gets what is committed from here on.
    Synchronising,
    /// UPTODATE is sent.
    Serving,
}

struct Observer {
    link: LinkId,
    stage: Stage,
    sid: Sid,
    heard_ms: u64,
    /// It is, or was, synchronised from the files and not from memory.
    by_files: bool,
}

/// A session whose life the leader was asked about.
struct Revalidation {
    session: SessionId,
    timeout_ms: i32,
    /// The observer that asked; `None`: we did.
    of: Option<LinkId>,
}

/// See the module.
pub(crate) struct Feeding {
    epoch: i64,
    leader: LinkId,
    observers: Vec<Observer>,
    /// How many observers without a number there were.
    nameless: i64,
    /// When the next PINGs are due, milliseconds.
    ping_ms: u64,
    /// Who waits for the leader's next SYNC, oldest first; `None`: a client of ours. Bounded, as the next, by the credits
    /// of the connections of the ensemble.
    syncs: VecDeque<Option<LinkId>>,
    revalidations: VecDeque<Revalidation>,
}

impl Feeding {
    /// For a follower that is up to date in this epoch, by this link.
    pub fn begin(now_ms: u64, shared: &Shared, epoch: i64, leader: LinkId) -> Self {
        let ping_ms = now_ms + shared.options.tick_ms / 2;
        let (syncs, revalidations) = (VecDeque::new(), VecDeque::new());
        Self { epoch, leader, observers: Vec::new(), nameless: 0, ping_ms, syncs, revalidations }
    }

    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.observers.iter().map(|observer| observer.link)
    }

    pub fn views(&self) -> impl Iterator<Item = LearnerView> {
        self.observers.iter().filter(|observer| observer.stage > Stage::Connected).map(|observer| LearnerView {
            link: observer.link,
            sid: observer.sid,
            is_observer: true,
            is_synced: observer.stage >= Stage::Synchronising,
        })
    }

    pub fn next_timer_ms(&self, shared: &Shared) -> u64 {
        let silence = self.observers.iter().map(|observer| observer.heard_ms + limit_ms(shared, observer)).min();
        self.ping_ms.min(silence.unwrap_or(u64::MAX))
    }

    pub fn link_up(&mut self, now_ms: u64, link: LinkId) {
        self.observers.push(Observer { link, stage: Stage::Connected, sid: Sid(0), heard_ms: now_ms, by_files: false });
    }

    pub fn link_down(&mut self, link: LinkId) {
        self.observers.retain(|observer| observer.link != link);
    }

    pub fn progress(&mut self, now_ms: u64, link: LinkId) {
        if let Some(at) = self.find(link) {
            self.observers[at].heard_ms = now_ms;
        }
    }

    pub fn tick(&mut self, now_ms: u64, shared: &mut Shared) {
        while let Some(at) = self.observers.iter().position(|observer| now_ms >= observer.heard_ms + limit_ms(shared, observer)) {
            self.drop_observer(shared, at, "nothing was heard from it in time");
        }
        if now_ms < self.ping_ms {
            return;
        }
        self.ping_ms = now_ms + shared.options.tick_ms / 2;
        for observer in self.observers.iter().filter(|observer| observer.stage >= Stage::Synchronising) {
            shared.send_plain(observer.link, PacketKind::PING, shared.history.last_committed());
        }
    }

    fn find(&self, link: LinkId) -> Option<usize> {
        self.observers.iter().position(|observer| observer.link == link)
    }

    fn drop_observer(&mut self, shared: &mut Shared, at: usize, why: &str) {
        let observer = self.observers.remove(at);
        warn!("Closing the link to observer {}: {why}", observer.sid.0);
        shared.outputs.push_back(Output::Close { link: observer.link });
    }

    // --- What observers send ---

    pub fn packet(&mut self, now_ms: u64, shared: &mut Shared, link: LinkId, packet: Packet) {
        let Some(at) = self.find(link) else { return };
        self.observers[at].heard_ms = now_ms;
        match (self.observers[at].stage, packet.kind) {
            (Stage::Connected, PacketKind::OBSERVERINFO) => self.register(shared, at, &packet),
            (Stage::Informed, PacketKind::ACKEPOCH) => self.synchronise(shared, at, packet.zxid),
            (Stage::Synchronising, PacketKind::ACK) if packet.zxid == epoch_zxid(self.epoch) => {
                self.observers[at].stage = Stage::Serving;
                shared.send_plain(link, PacketKind::UPTODATE, Zxid(-1));
            }
            // The second acknowledgement of NEWLEADER.
            (Stage::Serving, PacketKind::ACK) if packet.zxid.counter() == 0 => {}
            (Stage::Serving, PacketKind::PING) => {
                let sessions = packet::decode_touched(packet.data.as_ref());
                if !sessions.is_empty() {
                    shared.outputs.push_back(Output::Touched { sessions });
                }
            }
            (Stage::Serving, PacketKind::REQUEST) => match RequestData::decode(packet.data.as_ref()) {
                Some(request) => {
                    if request.op == OpCode::SYNC {
                        self.syncs.push_back(Some(link));
                    }
                    shared.send(self.leader, packet);
                }
                None => self.drop_observer(shared, at, "a REQUEST that cannot be read"),
            },
            (Stage::Serving, PacketKind::REVALIDATE) => match packet::decode_revalidate(packet.data.as_ref()) {
                Some((session, timeout_ms)) => {
                    self.revalidations.push_back(Revalidation { session, timeout_ms, of: Some(link) });
                    shared.send(self.leader, packet);
                }
                None => self.drop_observer(shared, at, "a REVALIDATE that cannot be read"),
            },
            (stage, kind) => self.drop_observer(shared, at, &format!("it sent {kind} {} while {stage:?}", packet.zxid)),
        }
    }

    fn register(&mut self, shared: &mut Shared, at: usize, packet: &Packet) {
        match shared.introduced(packet, &mut self.nameless) {
            Ok(sid) => {
                let observer = &mut self.observers[at];
                (observer.sid, observer.stage) = (sid, Stage::Informed);
                const VERSION: [u8; 4] = PROTOCOL_VERSION.to_be_bytes();
                let version = Bytes::from_static(&VERSION);
                shared.send(observer.link, Packet::with_data(PacketKind::LEADERINFO, epoch_zxid(self.epoch), version));
            }
            Err(why) => self.drop_observer(shared, at, why),
        }
    }

    fn synchronise(&mut self, shared: &mut Shared, at: usize, peer_last: Zxid) {
        let Observer { link, sid, .. } = self.observers[at];
        // It has come again on another link.
        while let Some(older) = self.observers.iter().position(|o| o.sid == sid && o.link != link && o.stage > Stage::Connected) {
            self.drop_observer(shared, older, "it has come again on another");
        }
        let at = self.find(link).expect("it is there");
        let count = |by_files| self.observers.iter().filter(|o| o.stage == Stage::Synchronising && o.by_files == by_files).count();
        let under_way = [true, false].map(count);
        let is_all = mutant::is(Mutant::FedUncommitted);
        let through = if is_all { shared.history.last_logged() } else { shared.history.last_committed() };
        match bring(shared, link, sid, peer_last, through, Some(under_way)) {
            Ok(by_files) => self.observers[at].by_files = by_files,
            Err(why) => return self.drop_observer(shared, at, why),
        }
        let config = Bytes::from(shared.config.to_text());
        shared.send(link, Packet::with_data(PacketKind::NEWLEADER, epoch_zxid(self.epoch), config));
        self.observers[at].stage = Stage::Synchronising;
        info!("Observer {} is fed from {through} on", sid.0);
    }

    // --- What the leader sends ---

    /// A transaction was put out as committed just now; with a leader if it is a reconfiguration, which that one leads.
    pub fn committed(&self, shared: &mut Shared, zxid: Zxid, designated: Option<Sid>) {
        if self.observers.is_empty() {
            return;
        }
        let Some(Output::Commit { payload, .. }) = shared.outputs.back() else { unreachable!("it was put out just now") };
        let packet = match designated {
            None => Packet::with_data(PacketKind::INFORM, zxid, payload.clone()),
            Some(leader) => {
                let data = Bytes::from([&leader.0.to_be_bytes()[..], payload].concat());
                Packet::with_data(PacketKind::INFORMANDACTIVATE, zxid, data)
            }
        };
        for observer in self.observers.iter().filter(|observer| observer.stage >= Stage::Synchronising) {
            shared.send(observer.link, packet.clone());
        }
    }

    /// A client of ours has asked for a sync.
    pub fn own_sync(&mut self) {
        self.syncs.push_back(None);
    }

    /// We have asked for the life of a session.
    pub fn own_revalidation(&mut self, session: SessionId, timeout_ms: i32) {
        self.revalidations.push_back(Revalidation { session, timeout_ms, of: None });
    }

    /// The leader's SYNC: it belongs to who has waited longest.
    pub fn synced(&mut self, shared: &mut Shared) {
        match self.syncs.pop_front().flatten() {
            None => shared.outputs.push_back(Output::Synced),
            Some(link) if self.find(link).is_some() => shared.send_plain(link, PacketKind::SYNC, Zxid::ZERO),
            Some(_) => {}
        }
    }

    /// The leader's word on a session.
    pub fn revalidated(&mut self, shared: &mut Shared, session: SessionId, is_valid: bool) {
        let at = self.revalidations.iter().position(|asked| asked.session == session);
        let asked = at.and_then(|at| self.revalidations.remove(at));
        let Some(Revalidation { timeout_ms, of: Some(link), .. }) = asked else {
            return shared.outputs.push_back(Output::Revalidated { session, is_valid });
        };
        if is_valid {
            shared.outputs.push_back(Output::Touched { sessions: vec![(session, timeout_ms)] });
            shared.outputs.push_back(Output::Moved { session });
        }
        if self.find(link).is_some() {
            let data = packet::encode_revalidated(session, is_valid);
            shared.send(link, Packet::with_data(PacketKind::REVALIDATE, Zxid(-1), data));
        }
    }
}

/// How long an observer may be silent.
fn limit_ms(shared: &Shared, observer: &Observer) -> u64 {
    let limit = if observer.stage == Stage::Serving { shared.options.sync_limit } else { shared.options.init_limit };
    shared.ticks_ms(limit)
}
