//! The audit log: a line for each change, who asked for it and what came of it, as ZooKeeper's `Slf4jAuditLogger`
//! writes it: `session=0x..<TAB>user=..<TAB>ip=..<TAB>operation=..<TAB>znode=..<TAB>result=success`.
//!
//! Lines go to `auditlog.file`, or else into the log. Which lines there are is `oxkeeper_replica::audit`'s and the
//! runtime's. Paths hold no control characters, so no client can forge a line.

use std::fmt::Write as _;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use log::{Level, Record};
use oxkeeper_auth::Identity;
use oxkeeper_proto::SessionId;
use oxkeeper_replica::audit::AuditLine;

use crate::config::OperatorConfig;
use crate::four_letter::zone::Zone;
use crate::logging::{self, RollingFile};

/// What ZooKeeper's logback.xml has for the audit log's file.
const FILE_BYTES: u64 = 10 << 20;
const FILES_KEPT: u32 = 10;

/// Writes the lines down.
pub struct AuditLog {
    file: Option<Mutex<RollingFile>>,
    zone: Zone,
    /// The system's user who runs the server.
    server_user: String,
}

impl AuditLog {
    /// The one that the configuration asks for, if it does.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(config: &OperatorConfig) -> io::Result<Option<Self>> {
        if !config.audit {
            return Ok(None);
        }
        let open = |path| RollingFile::open(path, FILE_BYTES, FILES_KEPT).map(Mutex::new);
        let file = config.audit_file.as_deref().map(open).transpose()?;
        let environment = crate::four_letter::environment::gather("");
        let user = environment.into_iter().find(|(key, _)| *key == "user.name").map_or_else(String::new, |(_, user)| user);
        Ok(Some(Self { file, zone: Zone::local(), server_user: user }))
    }

    /// A client's change.
    pub fn change(&self, line: &AuditLine) {
        let mut text = format!("session={}", line.session);
        let mut add = |key: &str, value: &str| {
            let _ = write!(text, "\t{key}={value}");
        };
        if let Some(users) = &line.users {
            add("user", users);
        }
        add("ip", &Identity::ip(line.peer).id);
        add("operation", line.operation);
        for (key, value) in [("znode", line.path.as_deref()), ("znode_type", line.mode), ("acl", line.acl.as_deref())] {
            if let Some(value) = value {
                add(key, value);
            }
        }
        add("result", if line.success { "success" } else { "failure" });
        self.write(if line.success { Level::Info } else { Level::Error }, &text);
    }

    /// An ephemeral node went with its session.
    pub fn ephemeral_gone(&self, session: SessionId, path: &str) {
        let user = &self.server_user;
        let operation = "ephemeralZNodeDeletionOnSessionCloseOrExpire";
        self.write(Level::Info, &format!("session={session}\tuser={user}\toperation={operation}\tznode={path}\tresult=success"));
    }

    /// The server began to serve, or could not.
    pub fn started(&self, success: bool) {
        let (level, result) = if success { (Level::Info, "success") } else { (Level::Error, "failure") };
        self.write(level, &format!("user={}\toperation=serverStart\tresult={result}", self.server_user));
    }

    /// The server was asked to stop.
    pub fn stopping(&self) {
        self.write(Level::Info, &format!("user={}\toperation=serverStop\tresult=invoked", self.server_user));
    }

    fn write(&self, level: Level, text: &str) {
        match &self.file {
            Some(file) => {
                let mut line = Vec::with_capacity(text.len() + 64);
                logging::write_audit_line(&mut line, SystemTime::now(), &self.zone, level, text);
                file.lock().unwrap_or_else(PoisonError::into_inner).write(&line);
            }
            None => {
                let mut record = Record::builder();
                record.level(level).target("audit").module_path(Some("Slf4jAuditLogger")).line(Some(0));
                log::logger().log(&record.args(format_args!("{text}")).build());
            }
        }
    }
}
