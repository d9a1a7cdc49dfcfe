//! A learner: follower or observer. Finds the leader, promises its epoch, takes over its history, and then logs,
//! acknowledges and commits what it proposes.
//!
//! Nothing is committed to the tree before UPTODATE, and nothing acknowledged before it is durable; so an
//! interrupted synchronisation leaves at worst a log that the next leader cuts or replaces (traps 13 to 24).

use crate::config::Config;
use crate::feeding::Feeding;
use crate::packet::{self, LearnerInfo, PROTOCOL_VERSION, Packet, PacketKind};
use crate::peer::{Door, Input, LinkId, Output};
use crate::quorum::Sid;
use crate::shared::{Reason, Shared, epoch_of, epoch_zxid};
use bytes::{Buf, Bytes};
use log::{info, warn};
use oxkeeper_proto::{Mutant, SessionId, Zxid, mutant};

/// How often Java tries to connect.
const DIAL_ATTEMPTS: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connecting, or pausing between two attempts.
    Dialling { attempts: u32, retry_ms: u64 },
    /// We have said who we are, and wait for LEADERINFO.
    Registering,
    /// The promise of the epoch is on its way to the disk.
    Accepting { step: u64 },
    /// Waiting for DIFF, TRUNC or SNAP.
    Deciding,
    /// A snapshot comes in.
    Receiving { zxid: Zxid },
    /// Proposals come in, until NEWLEADER.
    Synchronising,
    /// The history is on its way to the disk.
    Settling { step: u64 },
    /// It is acknowledged; waiting for UPTODATE.
    Settled,
    /// Up to date.
    Serving,
}

/// See the module.
pub(crate) struct Following {
    /// Whom we learn from: the leader, or the observer master that feeds us.
    leader: Sid,
    door: Door,
    is_observer: bool,
    stage: Stage,
    /// The link to the leader, while it stands or is being made.
    link: Option<LinkId>,
    epoch: i64,
    /// When the role began, milliseconds.
    began_ms: u64,
    /// When the role ends unless something is heard, milliseconds.
    deadline_ms: u64,
    /// The configuration of NEWLEADER, which UPTODATE puts in force.
    new_config: Option<Config>,
    /// Our history cannot be cut as the leader wants it: only a snapshot will do.
    wants_snapshot: bool,
    /// Where we have said that it ends.
    reported: Zxid,
    /// Committed as far as the leader has said; at most our last zxid.
    committed: Zxid,
    /// Every proposal up to here is acknowledged, or needs no acknowledgement.
    acknowledged: Zxid,
    /// The observers that we feed, once we are up to date, if we do.
    feeding: Option<Feeding>,
}

impl Following {
    pub fn begin(now_ms: u64, shared: &mut Shared, leader: Sid, door: Door, is_observer: bool) -> Self {
        let limit = if shared.options.connect_limit > 0 { shared.options.connect_limit } else { shared.options.init_limit };
        let mut following = Self {
            leader,
            door,
            is_observer,
            stage: Stage::Dialling { attempts: 0, retry_ms: now_ms },
            link: None,
            epoch: 0,
            began_ms: now_ms,
            deadline_ms: now_ms + shared.ticks_ms(limit),
            new_config: None,
            wants_snapshot: false,
            reported: Zxid::ZERO,
            committed: shared.history.last_committed(),
            acknowledged: Zxid::ZERO,
            feeding: None,
        };
        following.dial(shared, 0);
        following
    }

    pub fn leader(&self) -> Sid {
        self.leader
    }

    pub fn is_observer(&self) -> bool {
        self.is_observer
    }

    pub fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    /// The epoch, once it is that of our history.
    pub fn settled_epoch(&self) -> Option<i64> {
        matches!(self.stage, Stage::Settled | Stage::Serving).then_some(self.epoch)
    }

    /// The link to the leader, while it stands or is being made.
    pub fn link(&self) -> Option<LinkId> {
        self.link
    }

    pub fn next_timer_ms(&self, shared: &Shared) -> u64 {
        let feeding = self.feeding.as_ref().map_or(u64::MAX, |feeding| feeding.next_timer_ms(shared));
        match self.stage {
            Stage::Dialling { retry_ms, .. } if self.link.is_none() => retry_ms.min(self.deadline_ms),
            _ => feeding.min(self.deadline_ms),
        }
    }

    pub fn feeding(&self) -> Option<&Feeding> {
        self.feeding.as_ref()
    }

    /// A client of ours asks for a sync.
    pub fn own_sync(&mut self) {
        if let Some(feeding) = &mut self.feeding {
            feeding.own_sync();
        }
    }

    /// We ask for the life of a session.
    pub fn own_revalidation(&mut self, session: SessionId, timeout_ms: i32) {
        if let Some(feeding) = &mut self.feeding {
            feeding.own_revalidation(session, timeout_ms);
        }
    }

    /// # Errors
    /// When the role ends.
    pub fn handle(&mut self, now_ms: u64, shared: &mut Shared, input: Input) -> Result<(), Reason> {
        match input {
            Input::LinkUp { link } if self.link == Some(link) => self.register(now_ms, shared, link),
            Input::LinkUp { link } => match &mut self.feeding {
                Some(feeding) => feeding.link_up(now_ms, link),
                None => shared.outputs.push_back(Output::Close { link }),
            },
            Input::LinkDown { link } if self.link == Some(link) => return self.link_down(now_ms, shared),
            Input::Packet { link, packet } if self.link == Some(link) => return self.packet(now_ms, shared, packet),
            Input::SnapshotReceived { link } if self.link == Some(link) => {
                let Stage::Receiving { zxid } = self.stage else { return Err("a snapshot that was not announced") };
                shared.install(zxid);
                self.begin_proposals(now_ms, shared);
            }
            Input::Progress { link } if self.link == Some(link) => self.heard(now_ms, shared),
            Input::LinkDown { link } => self.feed(|feeding| feeding.link_down(link)),
            Input::Packet { link, packet } => self.feed(|feeding| feeding.packet(now_ms, shared, link, packet)),
            Input::Progress { link } => self.feed(|feeding| feeding.progress(now_ms, link)),
            Input::LogSynced { through } => {
                shared.history.synced(through);
                self.acknowledge(shared);
            }
            Input::Done { step } => {
                shared.done(step);
                self.done(now_ms, shared, step);
            }
            Input::CutRefused => {
                // A snapshot does not need the log to reach back. The promise has counted already.
                warn!("The log does not reach back to where leader {} wants it cut: a snapshot is needed", self.leader.0);
                shared.cut_refused();
                self.wants_snapshot = true;
                if let Some(link) = self.link.take() {
                    shared.outputs.push_back(Output::Close { link });
                }
                self.heard(now_ms, shared);
                self.dial(shared, 0);
            }
            Input::Tick => return self.tick(now_ms, shared),
            // Links of an earlier role, and what only a leader is told.
            _ => {}
        }
        Ok(())
    }

    /// Does something for the observers, if there may be any.
    fn feed(&mut self, with: impl FnOnce(&mut Feeding)) {
        if let Some(feeding) = &mut self.feeding {
            with(feeding);
        }
    }

    fn dial(&mut self, shared: &mut Shared, attempts: u32) {
        let link = shared.new_link();
        self.link = Some(link);
        self.stage = Stage::Dialling { attempts: attempts + 1, retry_ms: 0 };
        shared.outputs.push_back(Output::Dial { link, leader: self.leader, door: self.door });
    }

    fn link_down(&mut self, now_ms: u64, shared: &Shared) -> Result<(), Reason> {
        self.link = None;
        match self.stage {
            Stage::Dialling { attempts, .. } if attempts < DIAL_ATTEMPTS => {
                self.stage = Stage::Dialling { attempts, retry_ms: now_ms + shared.options.dial_pause_ms };
                Ok(())
            }
            Stage::Dialling { .. } => Err("the leader cannot be reached"),
            _ => Err("the link to the leader is broken"),
        }
    }

    fn tick(&mut self, now_ms: u64, shared: &mut Shared) -> Result<(), Reason> {
        if now_ms >= self.deadline_ms {
            return Err(match self.stage {
                Stage::Dialling { .. } => "the leader cannot be reached in time",
                Stage::Serving => "nothing was heard from the leader for syncLimit ticks",
                _ => "the leader has not synchronised us in time",
            });
        }
        if let Stage::Dialling { attempts, retry_ms } = self.stage
            && self.link.is_none()
            && now_ms >= retry_ms
        {
            self.dial(shared, attempts);
        }
        self.feed(|feeding| feeding.tick(now_ms, shared));
        Ok(())
    }

    /// As the read timeout of Java's socket: initLimit until NEWLEADER is acknowledged, syncLimit from then on.
    fn heard(&mut self, now_ms: u64, shared: &Shared) {
        let limit = match self.stage {
            Stage::Settled | Stage::Serving => shared.options.sync_limit,
            _ => shared.options.init_limit,
        };
        self.deadline_ms = now_ms + shared.ticks_ms(limit);
    }

    fn register(&mut self, now_ms: u64, shared: &mut Shared, link: LinkId) {
        self.stage = Stage::Registering;
        self.heard(now_ms, shared);
        let kind = if self.is_observer { PacketKind::OBSERVERINFO } else { PacketKind::FOLLOWERINFO };
        let info = LearnerInfo {
            sid: Some(shared.me().0),
            protocol_version: PROTOCOL_VERSION,
            config_version: Some(shared.config.version.cast_signed()),
        };
        shared.send(link, Packet::with_data(kind, epoch_zxid(shared.accepted), info.encode()));
    }

    fn packet(&mut self, now_ms: u64, shared: &mut Shared, packet: Packet) -> Result<(), Reason> {
        self.heard(now_ms, shared);
        match self.stage {
            Stage::Registering => self.leader_info(shared, &packet),
            Stage::Deciding => self.decide(now_ms, shared, &packet),
            Stage::Synchronising | Stage::Settling { .. } | Stage::Settled => self.synchronise(now_ms, shared, packet),
            Stage::Serving => self.serve(shared, packet),
            Stage::Dialling { .. } | Stage::Accepting { .. } | Stage::Receiving { .. } => {
                Err("a packet that the leader had no reason to send")
            }
        }
    }

    fn leader_info(&mut self, shared: &mut Shared, packet: &Packet) -> Result<(), Reason> {
        if packet.kind != PacketKind::LEADERINFO {
            return Err("the leader did not begin with LEADERINFO");
        }
        self.epoch = epoch_of(packet.zxid);
        // The promise of one without a vote has elected nobody, and binds it only if it has a history of that epoch:
        // no leader takes a higher epoch for its sake, and it would stay outside for good.
        let is_bound = !self.is_observer || self.epoch < shared.current;
        if self.epoch < shared.accepted && is_bound {
            warn!("The leader's epoch {:x} is lower than {:x}, which was promised to another", self.epoch, shared.accepted);
            return Err("the leader's epoch is lower than one that was promised");
        }
        if self.epoch <= shared.accepted {
            // Promised already, perhaps to another: this must not count again (I2).
            let current = if mutant::is(Mutant::PromiseCountedTwice) { shared.current } else { -1 };
            self.acknowledge_epoch(shared, current);
        } else {
            self.stage = Stage::Accepting { step: shared.accept(self.epoch) };
        }
        Ok(())
    }

    /// A server in doubt has no say either (design rule 6).
    fn acknowledge_epoch(&mut self, shared: &mut Shared, current: i64) {
        let current = if shared.in_doubt { -1 } else { current };
        // With a promise that counts the leader must know what we have, or it might lack it itself.
        self.reported = if self.wants_snapshot && current == -1 { Zxid::ZERO } else { shared.history.last_logged() };
        let data = Bytes::copy_from_slice(&(current as i32).to_be_bytes());
        self.send(shared, Packet::with_data(PacketKind::ACKEPOCH, self.reported, data));
        self.stage = Stage::Deciding;
    }

    fn decide(&mut self, now_ms: u64, shared: &mut Shared, packet: &Packet) -> Result<(), Reason> {
        let last = shared.history.last_logged();
        info!("The leader {} synchronises us from {last} with {} {}", self.leader.0, packet.kind, packet.zxid);
        match packet.kind {
            PacketKind::DIFF => {
                if self.reported != last {
                    // All there is from the first transaction on, instead of a snapshot.
                    shared.install(Zxid::ZERO);
                }
                if mutant::is(Mutant::EpochBeforeHistory) {
                    shared.outputs.push_back(Output::CommitEpoch { epoch: self.epoch });
                }
                self.begin_proposals(now_ms, shared);
            }
            PacketKind::TRUNC => {
                if packet.zxid > self.reported || packet.zxid.0 < 0 {
                    return Err("the leader cuts what we do not have");
                }
                shared.truncate(packet.zxid);
                self.begin_proposals(now_ms, shared);
            }
            PacketKind::SNAP => {
                if packet.zxid.0 < 0 {
                    return Err("a snapshot without a zxid");
                }
                self.stage = Stage::Receiving { zxid: packet.zxid };
            }
            _ => return Err("the leader began neither with DIFF, TRUNC nor SNAP"),
        }
        Ok(())
    }

    /// What we have now is the beginning of the leader's committed history.
    fn begin_proposals(&mut self, now_ms: u64, shared: &Shared) {
        self.stage = Stage::Synchronising;
        self.committed = shared.history.last_logged();
        self.heard(now_ms, shared);
    }

    fn synchronise(&mut self, now_ms: u64, shared: &mut Shared, packet: Packet) -> Result<(), Reason> {
        match packet.kind {
            PacketKind::PROPOSAL => self.propose(shared, packet),
            PacketKind::COMMIT => self.commit(shared, packet.zxid),
            PacketKind::INFORM => {
                let zxid = packet.zxid;
                self.propose(shared, packet)?;
                self.commit(shared, zxid)
            }
            PacketKind::COMMITANDACTIVATE | PacketKind::INFORMANDACTIVATE => self.commit_and_activate(shared, packet),
            PacketKind::NEWLEADER if self.stage == Stage::Synchronising => {
                if packet.zxid != epoch_zxid(self.epoch) {
                    return Err("NEWLEADER of another epoch");
                }
                self.new_config = read_config(shared, packet.data.as_deref());
                if let Some(config) = &self.new_config {
                    shared.see_as_leader(config.clone());
                }
                // Nothing in here may be acknowledged by itself before NEWLEADER is (trap 19).
                self.acknowledged = self.committed;
                let step = shared.commit_epoch(self.epoch);
                self.stage = Stage::Settling { step };
                if mutant::is(Mutant::NewLeaderNotAwaited) {
                    self.done(now_ms, shared, step);
                }
                Ok(())
            }
            PacketKind::UPTODATE if self.stage == Stage::Settled => {
                if let Some(config) = self.new_config.take() {
                    self.activate(shared, config, None)?;
                }
                self.up_to_date(now_ms, shared);
                Ok(())
            }
            PacketKind::UPTODATE | PacketKind::NEWLEADER => Err("the leader's packets are out of order"),
            // PING is not answered here, nor does Java; nor is anything else expected.
            _ => Ok(()),
        }
    }

    fn done(&mut self, now_ms: u64, shared: &mut Shared, step: u64) {
        match self.stage {
            Stage::Accepting { step: awaited } if awaited <= step => self.acknowledge_epoch(shared, shared.current),
            Stage::Settling { step: awaited } if awaited <= step => {
                // History durable, then the epoch, then this (I3).
                shared.in_doubt = false;
                self.acknowledge_one(shared, epoch_zxid(self.epoch));
                self.stage = Stage::Settled;
                self.heard(now_ms, shared);
                self.acknowledge(shared);
            }
            _ => {}
        }
    }

    fn up_to_date(&mut self, now_ms: u64, shared: &mut Shared) {
        // Java sends it, and ignores it, twice.
        self.acknowledge_one(shared, epoch_zxid(self.epoch));
        self.stage = Stage::Serving;
        self.heard(now_ms, shared);
        if mutant::is(Mutant::LoggedAfterUpToDate) {
            let Shared { history, outputs, .. } = shared;
            let appends = history.tail_after(history.durable());
            outputs.extend(appends.map(|(zxid, payload)| Output::Append { zxid: *zxid, payload: payload.clone() }));
        }
        shared.commit_through(self.committed);
        let counts = &mut shared.counts;
        *(if self.is_observer { &mut counts.observer_syncs } else { &mut counts.follower_syncs }) += 1;
        counts.last_sync_ms = now_ms.saturating_sub(self.began_ms);
        info!("Up to date with leader {} in epoch {:x} at {}", self.leader.0, self.epoch, self.committed);
        shared.outputs.push_back(Output::Serve);
        if let Some(link) = self.link.filter(|_| shared.options.observer_masters && !self.is_observer) {
            self.feeding = Some(Feeding::begin(now_ms, shared, self.epoch, link));
            shared.outputs.push_back(Output::Listen { on: true, door: Door::Observers });
        }
    }

    fn serve(&mut self, shared: &mut Shared, packet: Packet) -> Result<(), Reason> {
        match packet.kind {
            PacketKind::PROPOSAL => shared.counts.proposals_received += 1,
            PacketKind::COMMIT | PacketKind::INFORM => shared.counts.commits_received += 1,
            _ => {}
        }
        match packet.kind {
            PacketKind::PROPOSAL => return self.propose(shared, packet),
            PacketKind::COMMIT => return self.commit(shared, packet.zxid),
            PacketKind::INFORM => {
                let zxid = packet.zxid;
                self.propose(shared, packet)?;
                return self.commit(shared, zxid);
            }
            PacketKind::COMMITANDACTIVATE | PacketKind::INFORMANDACTIVATE => return self.commit_and_activate(shared, packet),
            PacketKind::PING => shared.outputs.push_back(Output::Ping { zxid: packet.zxid }),
            PacketKind::REVALIDATE => match packet::decode_revalidated(packet.data.as_ref()) {
                Some((session, is_valid)) => match &mut self.feeding {
                    Some(feeding) => feeding.revalidated(shared, session, is_valid),
                    None => shared.outputs.push_back(Output::Revalidated { session, is_valid }),
                },
                None => return Err("a REVALIDATE that cannot be read"),
            },
            PacketKind::SYNC => match &mut self.feeding {
                Some(feeding) => feeding.synced(shared),
                None => shared.outputs.push_back(Output::Synced),
            },
            kind => warn!("The leader sent {kind} {}, which is ignored", packet.zxid),
        }
        Ok(())
    }

    fn propose(&mut self, shared: &mut Shared, packet: Packet) -> Result<(), Reason> {
        let (zxid, last) = (packet.zxid, shared.history.last_logged());
        let Some(payload) = packet.data else { return Err("a proposal without a transaction") };
        if zxid <= last {
            // Contained in what we were synchronised with.
            return Ok(());
        }
        if !shared.history.is_next(zxid) || epoch_of(zxid) > self.epoch {
            warn!("The leader {} sent transaction {zxid} behind {last}", self.leader.0);
            return Err("a gap in the leader's proposals");
        }
        if let Some(config) = shared.reconfiguration(&payload) {
            shared.see(config);
        }
        if mutant::is(Mutant::LoggedAfterUpToDate) && self.stage != Stage::Serving {
            shared.history.append(zxid, payload, &mut Default::default());
            return Ok(());
        }
        shared.append(zxid, payload);
        Ok(())
    }

    /// COMMITANDACTIVATE carries the leader of the new configuration, INFORMANDACTIVATE the transaction behind it.
    fn commit_and_activate(&mut self, shared: &mut Shared, packet: Packet) -> Result<(), Reason> {
        let Some(mut data) = packet.data.filter(|data| data.len() >= 8) else { return Err("an activation without a leader") };
        let designated = Sid(data.get_i64());
        if packet.kind == PacketKind::INFORMANDACTIVATE {
            self.propose(shared, Packet::with_data(PacketKind::PROPOSAL, packet.zxid, data))?;
        }
        let proposal = shared.history.tail_after(self.committed).next().filter(|(zxid, _)| *zxid == packet.zxid);
        let config = proposal.and_then(|(_, payload)| shared.reconfiguration(payload));
        self.commit_as(shared, packet.zxid, Some(designated))?;
        config.map_or(Ok(()), |config| self.activate(shared, config, Some(designated)))
    }

    /// # Errors
    /// When the new configuration has another role for us, or another leader.
    fn activate(&self, shared: &mut Shared, config: Config, designated: Option<Sid>) -> Result<(), Reason> {
        let address = |config: &Config| {
            let member = config.members.get(&self.leader).filter(|_| config.is_voter(self.leader));
            member.and_then(|member| member.addresses.first()).map(|address| address.quorum())
        };
        let before = address(&shared.config);
        let is_other = shared.activate(config);
        let has_other_leader = match designated {
            Some(designated) => designated != self.leader,
            None => before.is_none() || before != address(&shared.config),
        };
        match is_other && (has_other_leader || shared.is_observer() != self.is_observer) {
            true => Err("the new configuration has another role for us, or another leader"),
            false => Ok(()),
        }
    }

    fn commit(&mut self, shared: &mut Shared, zxid: Zxid) -> Result<(), Reason> {
        self.commit_as(shared, zxid, None)
    }

    /// As [`Self::commit`]; with a leader it is a reconfiguration, which that one leads.
    fn commit_as(&mut self, shared: &mut Shared, zxid: Zxid, designated: Option<Sid>) -> Result<(), Reason> {
        if zxid <= self.committed {
            return Ok(());
        }
        let expected = shared.history.tail_after(self.committed).next().map(|(zxid, _)| *zxid);
        if expected != Some(zxid) {
            warn!("The leader {} committed {zxid} where {expected:?} comes next", self.leader.0);
            return Err("a commit that does not match the proposals");
        }
        self.committed = zxid;
        if self.stage == Stage::Serving {
            shared.history.commit_first(&mut shared.outputs);
            self.feed(|feeding| feeding.committed(shared, zxid, designated));
        }
        Ok(())
    }

    fn send(&self, shared: &mut Shared, packet: Packet) {
        if let Some(link) = self.link {
            shared.send(link, packet);
        }
    }

    fn acknowledge_one(&self, shared: &mut Shared, zxid: Zxid) {
        self.send(shared, Packet::new(PacketKind::ACK, zxid));
    }

    /// One ACK for each proposal of this epoch, committed meanwhile or not: Java's leader counts them one by one, and
    /// drops a follower that leaves one out.
    fn acknowledge(&mut self, shared: &mut Shared) {
        let history = &shared.history;
        let durable = if mutant::is(Mutant::LogNotAwaited) { history.last_logged() } else { history.durable() };
        if self.is_observer || durable <= self.acknowledged || !matches!(self.stage, Stage::Settled | Stage::Serving) {
            return;
        }
        let first_of_epoch = Zxid(epoch_zxid(self.epoch).0 + 1);
        let mut zxid = self.acknowledged.next().max(first_of_epoch);
        while zxid <= durable {
            self.acknowledge_one(shared, zxid);
            zxid = zxid.next();
        }
        self.acknowledged = durable;
    }
}

/// The configuration in NEWLEADER. Java takes less than two bytes for none, and goes on without one that it cannot read.
fn read_config(shared: &Shared, data: Option<&[u8]>) -> Option<Config> {
    let data = data.filter(|data| data.len() > 1 && shared.options.reconfig_enabled)?;
    let text = std::str::from_utf8(data).ok()?;
    Config::parse(text).inspect_err(|error| warn!("The leader's configuration cannot be read: {error}")).ok()
}
