//! What the roles of one server share: configuration, history, epochs, and the outputs on their way.

use crate::config::{Config, MemberRole};
use crate::history::History;
use crate::packet::{LearnerInfo, PROTOCOL_VERSION, Packet, PacketKind};
use crate::peer::{LinkId, Output, PeerCounts, PeerOptions};
use crate::quorum::{Quorum, Sid};
use bytes::Bytes;
use log::{info, warn};
use oxkeeper_proto::txn::{self, LoggedTxn, Txn};
use oxkeeper_proto::{Mutant, OpCode, Zxid, mutant};
use std::collections::VecDeque;

/// Why a role ends.
pub(crate) type Reason = &'static str;

/// See the module.
pub(crate) struct Shared {
    pub options: PeerOptions,
    /// The committed configuration and its rule.
    pub config: Config,
    pub quorum: Quorum,
    /// A later one that was proposed, and its rule.
    seen: Option<(Config, Quorum)>,
    /// What the oracle says, if there is one.
    pub oracle: Option<bool>,
    /// The election has not been told of a new configuration.
    pub config_is_news: bool,
    pub history: History,
    /// Durable, both of them.
    pub accepted: i64,
    pub current: i64,
    /// On its way to the disk, with the barrier behind it.
    accepting: Option<(u64, i64)>,
    committing: Option<(u64, i64)>,
    /// The end of the history that a snapshot is about to replace.
    replaced: Option<Zxid>,
    /// The end of the history before it was cut the last time.
    before_cut: Zxid,
    /// What `currentEpoch.tmp` says, or will say; `None` for a standalone server, which has no epochs.
    announced: Option<i64>,
    /// Our history may lack something (design rule 6).
    pub in_doubt: bool,
    /// A server has promised this epoch, though our quorum had not heard of it: as leader we take a higher one.
    pub epoch_floor: i64,
    /// What has been done, ever.
    pub counts: PeerCounts,
    pub outputs: VecDeque<Output>,
    last_step: u64,
    last_link: u64,
}

impl Shared {
    pub fn new(options: PeerOptions, config: Config, history: History, accepted: i64, current: i64, in_doubt: bool) -> Self {
        Self {
            quorum: config.quorum(),
            seen: None,
            oracle: None,
            config_is_news: false,
            options,
            config,
            history,
            accepted,
            current,
            accepting: None,
            committing: None,
            replaced: None,
            before_cut: Zxid::ZERO,
            announced: Some(0),
            in_doubt,
            epoch_floor: 0,
            counts: PeerCounts::default(),
            outputs: VecDeque::new(),
            last_step: 0,
            last_link: LinkId::DIALLED,
        }
    }

    pub fn me(&self) -> Sid {
        self.options.me
    }

    pub fn ticks_ms(&self, ticks: u32) -> u64 {
        u64::from(ticks) * self.options.tick_ms
    }

    pub fn send(&mut self, link: LinkId, packet: Packet) {
        self.outputs.push_back(Output::Send { link, packet });
    }

    pub fn send_plain(&mut self, link: LinkId, kind: PacketKind, zxid: Zxid) {
        self.send(link, Packet::new(kind, zxid));
    }

    /// For a standalone server.
    #[must_use]
    pub fn without_epochs(self) -> Self {
        Self { announced: None, ..self }
    }

    pub fn append(&mut self, zxid: Zxid, payload: Bytes) {
        self.announce(epoch_of(zxid));
        self.history.append(zxid, payload, &mut self.outputs);
    }

    pub fn truncate(&mut self, zxid: Zxid) {
        self.before_cut = self.history.last_logged();
        self.history.truncate(zxid, &mut self.outputs);
    }

    /// A snapshot takes the place of our history, once [`Shared::commit_epoch`] says so.
    pub fn install(&mut self, zxid: Zxid) {
        self.replaced.get_or_insert(self.history.last_logged());
        self.history.install(zxid, &mut self.outputs);
    }

    /// The role has ended: without [`Shared::commit_epoch`] the history is what it was, as after a restart.
    pub fn abandon_snapshot(&mut self) {
        if let Some(last) = self.replaced.take() {
            if !mutant::is(Mutant::SnapKeptInMemory) {
                self.history.reset(last);
            }
            self.outputs.push_back(Output::AbandonSnapshot);
        }
    }

    /// The log must not get ahead of `currentEpoch`: Java refuses to start on that (trap 7). A history that ends in an
    /// epoch is that of a follower of its leader, so that is the epoch to say, exactly; the one that we are being
    /// synchronised for would claim what is not there yet, and others would cut what is committed (trap 18).
    fn announce(&mut self, epoch: i64) {
        let current = self.committing.map_or(self.current, |(_, epoch)| epoch);
        if mutant::is(Mutant::EpochNotAnnounced) {
            return;
        }
        if epoch > current && self.replaced.is_none() && self.announced.is_some_and(|announced| announced != epoch) {
            self.announced = Some(epoch);
            self.outputs.push_back(Output::AnnounceEpoch { epoch });
        }
    }

    pub fn commit_through(&mut self, through: Zxid) {
        self.history.commit_through(through, &mut self.outputs);
    }

    /// Asks for [`crate::peer::Input::Done`] and says with which number.
    pub fn barrier(&mut self) -> u64 {
        self.last_step += 1;
        self.outputs.push_back(Output::Barrier { step: self.last_step });
        self.last_step
    }

    /// Promises an epoch; it counts once the step is done.
    pub fn accept(&mut self, epoch: i64) -> u64 {
        self.outputs.push_back(Output::SaveAccepted { epoch });
        let step = self.barrier();
        self.accepting = Some((step, epoch));
        step
    }

    /// Makes the epoch that of our history; likewise.
    pub fn commit_epoch(&mut self, epoch: i64) -> u64 {
        self.replaced = None;
        self.outputs.push_back(Output::CommitEpoch { epoch });
        let step = self.barrier();
        self.committing = Some((step, epoch));
        step
    }

    /// A step is done, and so are all before it.
    pub fn done(&mut self, step: u64) {
        if let Some((_, epoch)) = self.accepting.take_if(|(at, _)| *at <= step) {
            self.accepted = epoch;
        }
        if let Some((_, epoch)) = self.committing.take_if(|(at, _)| *at <= step) {
            self.current = epoch;
        }
        // (I1) What we have promised is never below what we have.
        assert!(self.accepted >= self.current, "accepted {} and current {}", self.accepted, self.current);
    }

    /// The last configuration that was proposed; the committed one, if nothing later was.
    pub fn last_seen(&self) -> &Config {
        self.seen.as_ref().map_or(&self.config, |(config, _)| config)
    }

    /// By the committed configuration, and by the one that is about to take its place.
    pub fn is_quorum(&self, in_favour: impl Fn(Sid) -> bool) -> bool {
        self.quorum.is_reached(&in_favour) && self.seen.as_ref().is_none_or(|(_, quorum)| quorum.is_reached(&in_favour))
    }

    /// A configuration was proposed. From here on its quorums are needed, too.
    pub fn see(&mut self, config: Config) {
        if !self.options.reconfig_enabled || config.version <= self.last_seen().version {
            return;
        }
        self.outputs.push_back(Output::SeenConfig { config: Box::new(config.clone()) });
        let quorum = config.quorum();
        self.seen = Some((config, quorum));
        self.config_is_news = true;
    }

    /// Our history is a leader's now, and so is what was proposed last: something later, which only we have seen, was
    /// never committed and is not in the history any more.
    pub fn see_as_leader(&mut self, config: Config) {
        if !self.options.reconfig_enabled || config.version == self.last_seen().version {
            return;
        }
        self.seen = None;
        match config.version > self.config.version {
            true => self.see(config),
            false => {
                self.config_is_news = true;
                self.outputs.push_back(Output::SeenConfig { config: Box::new(self.config.clone()) });
            }
        }
    }

    /// A configuration was committed. Says whether the ensemble is another one.
    pub fn activate(&mut self, config: Config) -> bool {
        if !self.options.reconfig_enabled || config.version <= self.config.version {
            return false;
        }
        let is_other = !self.config.is_same(&config);
        info!("Configuration {:x} takes the place of {:x}", config.version, self.config.version);
        self.quorum = config.quorum();
        self.config = config;
        if !self.config.members.contains_key(&self.me()) {
            // As Java: who is not named follows, as long as it is let.
            self.options.is_observer = false;
        }
        self.seen.take_if(|(seen, _)| seen.version <= self.config.version);
        self.config_is_news = true;
        self.outputs.push_back(Output::ActivateConfig { config: Box::new(self.config.clone()) });
        is_other
    }

    /// Whether we are an observer: the configuration says it, if it names us.
    pub fn is_observer(&self) -> bool {
        let member = self.config.members.get(&self.me());
        member.map_or(self.options.is_observer, |member| member.role == MemberRole::Observer)
    }

    /// The configuration that a transaction proposes, if it is a reconfiguration. Most are not, which the type in the
    /// header tells.
    pub fn reconfiguration(&self, payload: &[u8]) -> Option<Config> {
        const TYPE: std::ops::Range<usize> = txn::HEADER_LENGTH - 4..txn::HEADER_LENGTH;
        if !self.options.reconfig_enabled || payload.get(TYPE) != Some(&OpCode::RECONFIG.0.to_be_bytes()) {
            return None;
        }
        let Ok(LoggedTxn { txn: Txn::Reconfig(change), .. }) = LoggedTxn::read(payload) else { return None };
        let text = String::from_utf8(change.data?.to_vec()).ok()?;
        Config::parse(&text).inspect_err(|error| warn!("A reconfiguration that cannot be read: {error}")).ok()
    }

    /// The log was not cut, and nothing that was to follow is carried out: the history is what it was.
    pub fn cut_refused(&mut self) {
        self.history.reset(self.before_cut);
        self.committing = None;
        self.announced = self.announced.map(|_| 0);
    }

    /// By chance below this; 0 for 0. Enough chance for delays, and the same in every run: a step of a linear congruential
    /// generator (Knuth's MMIX).
    pub fn below(&mut self, bound: u64) -> u64 {
        let seed = &mut self.options.seed;
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if bound == 0 { 0 } else { (*seed >> 33) % bound }
    }

    /// Who a learner is, by the first thing that it says.
    ///
    /// # Errors
    /// Why it cannot be one of ours.
    pub fn introduced(&self, packet: &Packet, nameless: &mut i64) -> Result<Sid, &'static str> {
        let info = LearnerInfo::decode(packet.data.as_deref());
        if info.protocol_version < PROTOCOL_VERSION {
            return Err("its protocol is older than ZooKeeper 3.4");
        }
        if info.config_version.is_some_and(|version| version > self.config.version.cast_signed()) {
            return Err("it has a later activated configuration");
        }
        Ok(info.sid.map_or_else(
            || {
                *nameless += 1;
                Sid(-*nameless)
            },
            Sid,
        ))
    }

    /// The number of a link that we dial.
    pub fn new_link(&mut self) -> LinkId {
        self.last_link += 1;
        LinkId(self.last_link)
    }
}

/// The zxid that stands for an epoch in FOLLOWERINFO, LEADERINFO and NEWLEADER. Epochs are at most `i32::MAX`.
pub(crate) fn epoch_zxid(epoch: i64) -> Zxid {
    Zxid(epoch << 32)
}

/// The epoch that such a zxid stands for.
pub(crate) fn epoch_of(zxid: Zxid) -> i64 {
    zxid.0 >> 32
}
