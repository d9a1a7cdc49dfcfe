//! The table of metrics: for each its name on the outside, its kind, and what it means here.
//!
//! Names and kinds are those of ZooKeeper 3.9.5. A meaning that begins with `neutral:` belongs to a
//! metric that stays at its neutral value in a standalone server, and says why; it is present because
//! dashboards and alerts ask for it by name. One that begins with `quorum:` is fed by the roles of an
//! ensemble and is neutral in a standalone server, as it is in ZooKeeper.
//! Where values are stored and merged is `registry.rs`; how they are printed is `report.rs`.

/// Whether percentiles are kept beside count, sum, minimum and maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// avg, min, max, cnt, sum.
    Basic,
    /// p50, p95, p99 and p999 as well.
    Advanced,
}

/// Whether a gauge prints as an integer or as a decimal, and who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaugeKind {
    /// Printed as an integer; every server has it.
    Integer,
    /// Printed as Java prints a double; every server has it.
    Decimal,
    /// Printed as an integer; left out until it is set, since only some roles have it.
    RoleInteger,
}

macro_rules! rows {
    ($(#[$doc:meta])* $kind:ident($detail:ty) { $($variant:ident $name:literal $value:expr, $meaning:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind { $(#[doc = $meaning] $variant,)* }

        impl $kind {
            /// Every one, in the order of printing.
            pub const ALL: &'static [$kind] = &[$($kind::$variant,)*];

            /// The name on the outside, without prefix.
            pub const fn name(self) -> &'static str {
                match self { $($kind::$variant => $name,)* }
            }

            /// What the value says here, or why it stays neutral.
            pub const fn meaning(self) -> &'static str {
                match self { $($kind::$variant => $meaning,)* }
            }

            /// The kind within the kind.
            pub const fn detail(self) -> $detail {
                match self { $($kind::$variant => $value,)* }
            }

            pub(super) const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

use Detail::{Advanced, Basic};
use GaugeKind::{Decimal, Integer, RoleInteger};

rows! {
    /// A number that only grows, until `srst`.
    Counter(()) {
        AddDeadWatcherStallTime "add_dead_watcher_stall_time" (), "neutral: watches of a closed connection are taken away at once, nothing stalls";
        BytesReceivedCount "bytes_received_count" (), "bytes of request frames received from clients, each with its length field of 4";
        CnxnClosedWithoutZkServerRunning "cnxn_closed_without_zk_server_running" (), "neutral: the port is open only while the server serves";
        CommitCount "commit_count" (), "quorum: transactions that this leader committed";
        ConnectionDropCount "connection_drop_count" (), "connections of clients dropped by the server";
        ConnectionRejected "connection_rejected" (), "connections refused because a limit was reached";
        ConnectionRequestCount "connection_request_count" (), "connect requests received";
        ConnectionRevalidateCount "connection_revalidate_count" (), "connect requests that named a session";
        DeadWatchersCleared "dead_watchers_cleared" (), "neutral: there is no queue of dead watchers";
        DeadWatchersQueued "dead_watchers_queued" (), "neutral: there is no queue of dead watchers";
        DiffCount "diff_count" (), "quorum: learners synchronised with DIFF";
        DigestMismatchesCount "digest_mismatches_count" (), "transactions whose announced digest is not that of the tree";
        EnsembleAuthFail "ensemble_auth_fail" (), "neutral: the ensemble authentication provider does not exist here";
        EnsembleAuthSkip "ensemble_auth_skip" (), "neutral: the ensemble authentication provider does not exist here";
        EnsembleAuthSuccess "ensemble_auth_success" (), "neutral: the ensemble authentication provider does not exist here";
        InsecureAdminCount "insecure_admin_count" (), "neutral: counts plain connections to a unified admin port, and there is no TLS";
        LargeRequestsRejected "large_requests_rejected" (), "requests refused by the limit on the sum of large requests";
        LearnerCommitReceivedCount "learner_commit_received_count" (), "quorum: COMMITs that this learner received";
        LearnerProposalReceivedCount "learner_proposal_received_count" (), "quorum: PROPOSALs that this learner received";
        LookingCount "looking_count" (), "quorum: times that this member began to look for a leader";
        OutstandingChangesQueued "outstanding_changes_queued" (), "changes of znodes prepared and not yet applied, ever";
        OutstandingChangesRemoved "outstanding_changes_removed" (), "changes of znodes applied after preparation, ever; counted with the next batch";
        PrepProcessorRequestQueued "prep_processor_request_queued" (), "writes and new sessions handed to the core for preparation (ZooKeeper queues reads as well)";
        ProposalCount "proposal_count" (), "quorum: proposals that this leader made";
        QuitLeadingDueToDisloyalVoter "quit_leading_due_to_disloyal_voter" (), "quorum: times that a leader gave up because a voter had left it";
        RequestCommitQueued "request_commit_queued" (), "quorum: committed requests that waited for their turn";
        RequestThrottleWaitCount "request_throttle_wait_count" (), "neutral: there is no queue for admission: a connection is not read instead";
        RequestsNotForwardedToCommitProcessor "requests_not_forwarded_to_commit_processor" (), "neutral: reads never enter a commit processor here";
        ResponseBytes "response_bytes" (), "bytes of replies to requests, each without its length field of 4";
        ResponsePacketCacheHits "response_packet_cache_hits" (), "neutral: replies are encoded straight from the tree, there is no cache";
        ResponsePacketCacheMisses "response_packet_cache_misses" (), "neutral: there is no cache of replies";
        ResponsePacketGetChildrenCacheHits "response_packet_get_children_cache_hits" (), "neutral: there is no cache of replies";
        ResponsePacketGetChildrenCacheMisses "response_packet_get_children_cache_misses" (), "neutral: there is no cache of replies";
        RestoreErrorCount "restore_error_count" (), "restores that the AdminServer was asked for and that failed";
        RestoreRateLimitedCount "restore_rate_limited_count" (), "restores that the AdminServer refused as too many";
        RevalidateCount "revalidate_count" (), "quorum: sessions that learners asked this leader to revalidate";
        SessionlessConnectionsExpired "sessionless_connections_expired" (), "connections closed because no session came in time";
        SkipLearnerRequestToNextProcessorCount "skip_learner_request_to_next_processor_count" (), "quorum: a learner's requests whose learner had gone";
        SnapCount "snap_count" (), "quorum: learners synchronised with SNAP";
        SnapshotErrorCount "snapshot_error_count" (), "snapshots that the AdminServer was asked for and that failed";
        SnapshotRateLimitedCount "snapshot_rate_limited_count" (), "snapshots that the AdminServer refused as too many";
        StaleReplies "stale_replies" (), "replies dropped because the connection had gone";
        StaleRequests "stale_requests" (), "neutral: there is no queue for admission: a connection is not read instead";
        StaleRequestsDropped "stale_requests_dropped" (), "neutral: there is no queue for admission: a connection is not read instead";
        StaleSessionsExpired "stale_sessions_expired" (), "sessions expired";
        SyncProcessorRequestQueued "sync_processor_request_queued" (), "transactions handed to the log";
        ThrottledOps "throttled_ops" (), "neutral: there is no queue for admission: a connection is not read instead";
        TlsHandshakeExceeded "tls_handshake_exceeded" (), "neutral: there is no TLS";
        UnrecoverableErrorCount "unrecoverable_error_count" (), "neutral: the first such error ends the process before anybody can ask";
        UnsuccessfulHandshake "unsuccessful_handshake" (), "neutral: there is no TLS";
        WatchBytes "watch_bytes" (), "bytes of watch notifications, each without its length field of 4";
    }
}

rows! {
    /// A distribution of observed values.
    Summary(Detail) {
        FsyncTime "fsynctime" Basic, "ms of one sync of the transaction log";
        SnapshotTime "snapshottime" Basic, "ms of writing one snapshot";
        RestoreTime "restore_time" Basic, "ms of restoring a snapshot that the AdminServer was sent";
        DbInitTime "dbinittime" Basic, "ms from start to the tree being loaded";
        FollowerSyncTime "follower_sync_time" Basic, "quorum: ms that a follower took to synchronise";
        ObserverSyncTime "observer_sync_time" Basic, "quorum: ms that an observer took to synchronise";
        ElectionTime "election_time" Basic, "quorum: ms of one election";
        ConnectionTokenDeficit "connection_token_deficit" Basic, "tokens that the connection throttle lacked at each connect request";
        InflightSnapCount "inflight_snap_count" Basic, "quorum: SNAPs under way when one began";
        InflightDiffCount "inflight_diff_count" Basic, "quorum: DIFFs under way when one began";
        NodeCreatedWatchCount "node_created_watch_count" Basic, "watchers told of one creation";
        NodeDeletedWatchCount "node_deleted_watch_count" Basic, "watchers told of one deletion";
        NodeChangedWatchCount "node_changed_watch_count" Basic, "watchers told of one change of data";
        NodeChildrenWatchCount "node_children_watch_count" Basic, "watchers told of one change of children";
        PrepProcessorQueueSize "prep_processor_queue_size" Basic, "writes and new sessions in a batch that the core took";
        PrepProcessTime "prep_process_time" Basic, "ms of preparing the batch that a transaction was in";
        ProposalProcessTime "proposal_process_time" Basic, "ms of handing that batch on to the log";
        UnavailableTime "unavailable_time" Basic, "quorum: ms without a leader seen by this member";
        LeaderUnavailableTime "leader_unavailable_time" Basic, "quorum: ms from the loss of a leader to the next";
        RequestsInSessionQueue "requests_in_session_queue" Basic, "quorum: requests parked in one session's queue";
        PendingSessionQueueSize "pending_session_queue_size" Basic, "quorum: sessions with parked requests";
        ReadsAfterWriteInSessionQueue "reads_after_write_in_session_queue" Basic, "quorum: reads parked behind a write";
        ReadsIssuedFromSessionQueue "reads_issued_from_session_queue" Basic, "quorum: parked reads run at once";
        SessionQueuesDrained "session_queues_drained" Basic, "quorum: queues of sessions emptied at once";
        TimeWaitingEmptyPoolInCommitProcessorRead "time_waiting_empty_pool_in_commit_processor_read_ms" Basic, "neutral: there is no pool of workers to wait for";
        WriteBatchTimeInCommitProcessor "write_batch_time_in_commit_processor" Basic, "quorum: ms of applying one batch of commits";
        ConcurrentRequestProcessingInCommitProcessor "concurrent_request_processing_in_commit_processor" Basic, "neutral: there is no pool of workers that runs requests";
        ReadCommitProcRequestQueued "read_commit_proc_req_queued" Basic, "quorum: parked reads";
        WriteCommitProcRequestQueued "write_commit_proc_req_queued" Basic, "quorum: local writes that wait for their commit";
        CommitCommitProcRequestQueued "commit_commit_proc_req_queued" Basic, "quorum: commits that wait to be applied";
        ReadCommitProcIssued "read_commit_proc_issued" Basic, "quorum: reads run in one round";
        WriteCommitProcIssued "write_commit_proc_issued" Basic, "quorum: writes applied in one round";
        CommitProcessTime "commit_process_time" Basic, "quorum: ms of applying one commit";
        StartupTxnsLoaded "startup_txns_loaded" Basic, "transactions replayed from the log at start";
        StartupTxnsLoadTime "startup_txns_load_time" Basic, "ms of replaying the log at start";
        StartupSnapLoadTime "startup_snap_load_time" Basic, "ms of loading the snapshot at start";
        SyncProcessorQueueSize "sync_processor_queue_size" Basic, "transactions that waited for the log when it took a batch";
        SyncProcessTime "sync_process_time" Basic, "ms of the log thread for one batch, sync excluded";
        SyncProcessorBatchSize "sync_processor_batch_size" Basic, "transactions made durable by one sync";
        NettyQueuedBufferCapacity "netty_queued_buffer_capacity" Basic, "neutral: there is no Netty";
        LearnerRequestProcessorQueueSize "learner_request_processor_queue_size" Basic, "quorum: requests of learners that waited at this leader";
        SocketClosingTime "socket_closing_time" Basic, "quorum: ms of closing a link between members";
        ReadLatency "readlatency" Advanced, "ms from receiving a read to its reply";
        UpdateLatency "updatelatency" Advanced, "ms from receiving a write to its reply";
        PropagationLatency "propagation_latency" Advanced, "ms from the time in a transaction to its being applied here";
        DeadWatchersCleanerLatency "dead_watchers_cleaner_latency" Advanced, "neutral: there is no cleaner of dead watchers";
        PrepProcessorQueueTime "prep_processor_queue_time_ms" Advanced, "ms that a write waited for preparation";
        CloseSessionPrepTime "close_session_prep_time" Advanced, "ms of preparing the batch that a closeSession was in";
        ReadCommitProcTime "read_commitproc_time_ms" Advanced, "quorum: ms that a read was parked";
        WriteCommitProcTime "write_commitproc_time_ms" Advanced, "quorum: ms from preparation to commit of a local write";
        LocalWriteCommittedTime "local_write_committed_time_ms" Advanced, "quorum: ms from commit to application of a local write";
        ServerWriteCommittedTime "server_write_committed_time_ms" Advanced, "quorum: ms from commit to application of another server's write";
        OmProposalProcessTime "om_proposal_process_time_ms" Advanced, "quorum: ms that an observer master took to hand a proposal on";
        OmCommitProcessTime "om_commit_process_time_ms" Advanced, "quorum: ms that an observer master took to hand a commit on";
        ReadFinalProcTime "read_final_proc_time_ms" Advanced, "quorum: ms of answering a read from the tree";
        WriteFinalProcTime "write_final_proc_time_ms" Advanced, "quorum: ms of applying a write to the tree";
        ProposalLatency "proposal_latency" Advanced, "quorum: ms from the leader's making a proposal to this learner's receiving it";
        ProposalAckCreationLatency "proposal_ack_creation_latency" Advanced, "quorum: ms from the leader's making a proposal to this member's ACK";
        CommitPropagationLatency "commit_propagation_latency" Advanced, "quorum: ms from the leader's commit to this learner's receiving it";
        SyncProcessorQueueAndFlushTime "sync_processor_queue_and_flush_time_ms" Advanced, "ms from handing a transaction to the log to its being durable";
        SyncProcessorQueueTime "sync_processor_queue_time_ms" Advanced, "ms that a transaction waited for the log thread";
        SyncProcessorQueueFlushTime "sync_processor_queue_flush_time_ms" Advanced, "ms from writing the batch of a transaction to its being durable";
        QuorumAckLatency "quorum_ack_latency" Advanced, "quorum: ms from proposal to the ACKs of a quorum, on the leader";
        RequestThrottleQueueTime "request_throttle_queue_time_ms" Advanced, "neutral: there is no queue for admission: a connection is not read instead";
        JvmPauseTime "jvm_pause_time_ms" Advanced, "neutral: there is no JVM that pauses";
    }
}

rows! {
    /// Distributions of observed values, one for each key.
    SummarySet(Detail) {
        WritePerNamespace "write_per_namespace" Basic, "bytes of one write (path and data) by first part of the path";
        ReadPerNamespace "read_per_namespace" Basic, "bytes of one read (path, data and Stat) by first part of the path";
        LearnerHandlerQpSize "learner_handler_qp_size" Basic, "quorum: packets that waited behind the first when those for a learner were sent, by sid";
        LearnerHandlerQpTime "learner_handler_qp_time_ms" Advanced, "quorum: ms that the oldest of the packets for a learner waited until all were sent, by sid";
        AckLatency "ack_latency" Advanced, "quorum: ms from proposal to ACK, by sid";
    }
}

rows! {
    /// Numbers that only grow, one for each key.
    CounterSet(()) {
        QuotaExceededErrorPerNamespace "quota_exceeded_error_per_namespace" (), "requests refused by a hard quota, by first part of the path";
    }
}

rows! {
    /// A value as it is now. Those that the registry itself knows are filled by it (see `report.rs`).
    Gauge(GaugeKind) {
        AvgLatency "avg_latency" Decimal, "mean ms of a request; filled by the registry";
        MaxLatency "max_latency" Integer, "greatest ms of a request; filled by the registry";
        MinLatency "min_latency" Integer, "least ms of a request; filled by the registry";
        PacketsReceived "packets_received" Integer, "packets received from clients; filled by the registry";
        PacketsSent "packets_sent" Integer, "packets sent to clients; filled by the registry";
        NumAliveConnections "num_alive_connections" Integer, "open connections of clients, the asking one included";
        OutstandingRequests "outstanding_requests" Integer, "requests admitted and not yet answered";
        Uptime "uptime" Integer, "ms since the server began to serve";
        ZnodeCount "znode_count" Integer, "znodes, those of the server's own included";
        WatchCount "watch_count" Integer, "watches of data, existence and children";
        EphemeralsCount "ephemerals_count" Integer, "ephemeral znodes";
        ApproximateDataSize "approximate_data_size" Integer, "bytes of paths and data";
        GlobalSessions "global_sessions" Integer, "sessions known to the ensemble";
        LocalSessions "local_sessions" Integer, "sessions known to this server only";
        OpenFileDescriptorCount "open_file_descriptor_count" Integer, "open file descriptors of the process";
        MaxFileDescriptorCount "max_file_descriptor_count" Integer, "limit on file descriptors of the process";
        ConnectionDropProbability "connection_drop_probability" Decimal, "chance that the connection throttle drops a connection now";
        LastClientResponseSize "last_client_response_size" Integer, "bytes of the last reply, -1 before the first; filled by the registry";
        MaxClientResponseSize "max_client_response_size" Integer, "bytes of the largest reply, -1 before the first; filled by the registry";
        MinClientResponseSize "min_client_response_size" Integer, "bytes of the smallest reply, -1 before the first; filled by the registry";
        OutstandingTlsHandshake "outstanding_tls_handshake" Integer, "neutral: there is no TLS";
        AuthFailedCount "auth_failed_count" Integer, "neutral: counts TLS clients in ZooKeeper, and there is no TLS";
        NonMtlsRemoteConnCount "non_mtls_remote_conn_count" Integer, "neutral: there is no TLS";
        NonMtlsLocalConnCount "non_mtls_local_conn_count" Integer, "neutral: there is no TLS";
        QuorumSize "quorum_size" RoleInteger, "members: voting members of the ensemble";
        Learners "learners" RoleInteger, "leader: connected learners";
        SyncedFollowers "synced_followers" RoleInteger, "leader: followers in step";
        SyncedNonVotingFollowers "synced_non_voting_followers" RoleInteger, "leader: followers in step that do not vote";
        SyncedObservers "synced_observers" RoleInteger, "leader and observer masters: observers in step";
        PendingSyncs "pending_syncs" RoleInteger, "leader: sync requests that wait for a commit or for the word of a quorum";
        LeaderUptime "leader_uptime" RoleInteger, "leader: ms since it began to lead";
        LastProposalSize "last_proposal_size" RoleInteger, "leader: bytes of the last proposal";
        MaxProposalSize "max_proposal_size" RoleInteger, "leader: bytes of the largest proposal";
        MinProposalSize "min_proposal_size" RoleInteger, "leader: bytes of the smallest proposal";
    }
}

rows! {
    /// Values as they are now, one for each key.
    GaugeSet(()) {
        QuotaCountLimitPerNamespace "quota_count_limit_per_namespace" (), "limit on znodes, by first part of the path";
        QuotaBytesLimitPerNamespace "quota_bytes_limit_per_namespace" (), "limit on bytes, by first part of the path";
        QuotaCountUsagePerNamespace "quota_count_usage_per_namespace" (), "znodes under a quota, by first part of the path";
        QuotaBytesUsagePerNamespace "quota_bytes_usage_per_namespace" (), "bytes under a quota, by first part of the path";
    }
}
