//! The Rust crate `zookeeper-client`, used as its users use it.
//!
//! Usage: `zookeeper-client-observe host:port`. Prints a transcript of what it saw; the runner compares the one made
//! against Java with the one made against Oxkeeper. A line `@stop` or `@start` on the output asks the runner to stop or
//! start the server; the answer is one line on the input. Times and session ids stay out of the transcript.

use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zookeeper_client::{
    Acl, Acls, AddWatchMode, AuthId, Client, CreateMode, Error, EventType, LockOptions, LockPrefix, OneshotWatcher,
    Permission, PersistentWatcher, SessionState, Stat, WatchedEvent,
};

/// Contenders make zxids a matter of chance: from then on they are left out.
static ZXIDS: AtomicBool = AtomicBool::new(true);

const DEADLINE: Duration = Duration::from_secs(60);

fn ask(wish: &str) {
    println!("@{wish}");
    let mut answer = String::new();
    let length = std::io::stdin().read_line(&mut answer).expect("the runner answers");
    assert!(length > 0, "the runner is gone");
}

fn stat(stat: &Stat) -> String {
    let owner = match stat.ephemeral_owner {
        0 => "none".into(),
        i64::MIN => "container".into(),
        ttl if (ttl as u64) >> 56 == 0xff => format!("ttl {}", ttl & 0xff_ffff_ffff),
        _ => "a session".to_string(),
    };
    let zxids = match ZXIDS.load(Ordering::Relaxed) {
        true => format!("c{} m{} p{} ", stat.czxid, stat.mzxid, stat.pzxid),
        false => String::new(),
    };
    format!(
        "{zxids}v{} cv{} av{} len{} kids{} owner {owner}",
        stat.version, stat.cversion, stat.aversion, stat.data_length, stat.num_children
    )
}

fn told<T>(what: &str, result: Result<T, Error>, show: impl Fn(&T) -> String) -> Option<T> {
    match result {
        Ok(value) => {
            println!("{what} -> {}", show(&value));
            Some(value)
        }
        Err(error) => {
            println!("{what} -> {error:?}");
            None
        }
    }
}

fn plainly<T: Debug>(what: &str, result: Result<T, Error>) {
    told(what, result, |value| format!("{value:?}"));
}

fn sorted(names: &[String]) -> String {
    let mut names = names.to_vec();
    names.sort();
    format!("{names:?}")
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("never: {what}"))
}

fn say_event(event: &WatchedEvent) {
    let zxid = if ZXIDS.load(Ordering::Relaxed) { event.zxid } else { 0 };
    println!("event {:?} {:?} {} zxid {zxid}", event.event_type, event.session_state, event.path);
}

async fn once(watcher: OneshotWatcher, kind: EventType) {
    let event = soon("an event", watcher.changed()).await;
    assert_eq!(event.event_type, kind);
    say_event(&event);
}

async fn next(watcher: &mut PersistentWatcher, kind: EventType, path: &str) {
    let event = soon("an event", watcher.changed()).await;
    assert_eq!((event.event_type, event.path.as_ref()), (kind, path));
    say_event(&event);
}

async fn until(client: &Client, wanted: SessionState) {
    let mut states = client.state_watcher();
    let mut state = client.state();
    while state != wanted {
        state = soon("a state", states.changed()).await;
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let server = std::env::args().nth(1).expect("host:port");
    let connector = || Client::connector().with_session_timeout(Duration::from_secs(30));
    let client = connector().connect(&server).await.expect("connect");
    let other = connector().connect(&server).await.expect("connect");
    println!("connected, timeout {:?}, state {:?}", client.session_timeout(), client.state());
    plain(&client).await;
    access_control(&client, &other).await;
    multi(&client).await;
    watches(&client, &other).await;
    locks(&client, &other).await;
    restart(&client, &other).await;
    moved(&client, &server).await;
    short_lived(&client).await;
    drop(other);
    println!("closed");
}

async fn plain(client: &Client) {
    println!("== plain calls");
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let created = |(stat_, sequence): &(Stat, zookeeper_client::CreateSequence)| format!("{} {}", stat(stat_), sequence.into_i64());
    told("create", client.create("/z", b"one", &open).await, created);
    told("create again", client.create("/z", b"one", &open).await, created);
    told("create below nothing", client.create("/none/x", b"", &open).await, created);
    told("bad path", client.create("/z/", b"", &open).await, created);
    for mode in [
        CreateMode::Persistent,
        CreateMode::PersistentSequential,
        CreateMode::Ephemeral,
        CreateMode::EphemeralSequential,
        CreateMode::Container,
    ] {
        let path = format!("/z/{mode:?}-");
        told(&path, client.create(&path, b"x", &mode.with_acls(Acls::anyone_all())).await, created);
    }
    let ttl = CreateMode::Persistent.with_acls(Acls::anyone_all()).with_ttl(Duration::from_secs(3600));
    told("ttl", client.create("/z/ttl", b"", &ttl).await, created);
    told("below an ephemeral", client.create("/z/Ephemeral-/x", b"", &open).await, created);
    plainly("mkdir", client.mkdir("/z/a/b", &open).await);
    told("stat", client.check_stat("/z/ttl").await, |s| s.as_ref().map_or("none".into(), stat));
    told("stat of nothing", client.check_stat("/none").await, |s| s.as_ref().map_or("none".into(), stat));
    let data = |(data, s): &(Vec<u8>, Stat)| format!("{} {}", String::from_utf8_lossy(data), stat(s));
    told("get", client.get_data("/z").await, data);
    told("get of nothing", client.get_data("/none").await, data);
    told("set", client.set_data("/z", b"two", Some(0)).await, stat);
    told("set wrong version", client.set_data("/z", b"two", Some(0)).await, stat);
    told("list", client.list_children("/z").await, |names| sorted(names));
    told("children", client.get_children("/z").await, |(names, s)| sorted(names) + &stat(s));
    told("children of nothing", client.list_children("/none").await, |names| sorted(names));
    plainly("descendants", client.count_descendants_number("/z").await);
    told("ephemerals", client.list_ephemerals("/z").await, |names| sorted(names));
    plainly("sync", client.sync("/z").await);
    told("config", client.get_config().await, data);
    plainly("delete a parent", client.delete("/z", None).await);
    plainly("delete wrong version", client.delete("/z/ttl", Some(4)).await);
    plainly("delete", client.delete("/z/ttl", Some(0)).await);
    plainly("delete nothing", client.delete("/z/ttl", None).await);
    plainly("delete", client.delete("/z/a/b", None).await);
    for child in client.list_children("/z").await.expect("children") {
        client.delete(&format!("/z/{child}"), None).await.expect("delete");
    }
    plainly("delete", client.delete("/z", Some(1)).await);

    let big = vec![b'b'; 900_000];
    client.create("/big", &big, &open).await.expect("a large node");
    assert_eq!(client.get_data("/big").await.expect("a large node").0, big);
    client.delete("/big", None).await.expect("delete");

    // Futures are requests on the wire once called: 200 at once.
    let paths: Vec<String> = (0..200).map(|i| format!("/n{i:03}")).collect();
    let writes: Vec<_> = paths.iter().map(|path| client.create(path, path.as_bytes(), &open)).collect();
    let reads: Vec<_> = paths.iter().map(|path| client.get_data(path)).collect();
    let mut last = 0;
    for (write, (read, path)) in writes.into_iter().zip(reads.into_iter().zip(&paths)) {
        let (created, _) = write.await.expect("create");
        assert!(created.czxid > last, "zxids grow in the order of the requests");
        last = created.czxid;
        assert_eq!(read.await.expect("get").0, path.as_bytes());
        client.delete(path, Some(0)).await.expect("delete");
    }
    println!("200 at once");
}

async fn access_control(client: &Client, other: &Client) {
    println!("== access control");
    let joe = [Acl::new(Permission::ALL, AuthId::new("digest", "joe:oesAybBun9icKJjQSTRN8OBueSc="))];
    let acls = |(acls, s): &(Vec<Acl>, Stat)| format!("{acls:?} {}", stat(s));
    let data = |(data, _): &(Vec<u8>, Stat)| String::from_utf8_lossy(data).into_owned();
    plainly("create for joe", client.create("/acl", b"1", &CreateMode::Persistent.with_acls(Acls::new(&joe))).await.map(|_| ()));
    told("get as anyone", client.get_data("/acl").await, data);
    plainly("auth", client.auth("digest", b"joe:secret").await);
    plainly("who", client.list_auth_users().await);
    told("get as joe", client.get_data("/acl").await, data);
    told("acl", client.get_acl("/acl").await, acls);
    let shared = [
        Acl::new(Permission::ALL, AuthId::new("auth", "")),
        Acl::new(Permission::READ, AuthId::anyone()),
    ];
    told("set acl", client.set_acl("/acl", &shared, Some(0)).await, stat);
    told("acl", client.get_acl("/acl").await, acls);
    told("get as another", other.get_data("/acl").await, data);
    told("set as another", other.set_data("/acl", b"2", None).await, stat);
    told("acl as another", other.get_acl("/acl").await, acls);
    plainly("delete", client.delete("/acl", None).await);
}

async fn multi(client: &Client) {
    println!("== multi");
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let mut writer = client.new_multi_writer();
    writer.add_create("/m", b"1", &open).expect("add");
    writer.add_create("/m/s-", b"", &CreateMode::PersistentSequential.with_acls(Acls::anyone_all())).expect("add");
    writer.add_check_version("/m", 0).expect("add");
    writer.add_set_data("/m", b"2", Some(0)).expect("add");
    writer.add_delete("/m/s-0000000000", None).expect("add");
    for result in writer.commit().await.expect("commit") {
        use zookeeper_client::MultiWriteResult as R;
        match result {
            R::Create { path, stat: s } => println!("create {path} {}", stat(&s)),
            R::SetData { stat: s } => println!("set {}", stat(&s)),
            R::Check => println!("check"),
            R::Delete => println!("delete"),
            other => panic!("a result of no known kind: {other:?}"),
        }
    }
    writer.add_create("/m/x", b"", &open).expect("add");
    writer.add_check_version("/m", 9).expect("add");
    println!("fails -> {:?}", writer.commit().await);
    let mut reader = client.new_multi_reader();
    reader.add_get_data("/m").expect("add");
    reader.add_get_children("/m").expect("add");
    reader.add_get_data("/none").expect("add");
    for result in reader.commit().await.expect("commit") {
        use zookeeper_client::MultiReadResult as R;
        match result {
            R::Data { data, stat: s } => println!("data {} {}", String::from_utf8_lossy(&data), stat(&s)),
            R::Children { children } => println!("children {}", sorted(&children)),
            R::Error { err } => println!("error {err:?}"),
            other => panic!("a result of no known kind: {other:?}"),
        }
    }
    plainly("delete", client.delete("/m", Some(1)).await);
    let mut check = client.new_check_writer("/", None).expect("check writer");
    check.add_create("/checked", b"", &open).expect("add");
    println!("check writer -> {}", check.commit().await.is_ok());
    plainly("delete", client.delete("/checked", None).await);
}

async fn watches(client: &Client, other: &Client) {
    println!("== watches");
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let (_, watcher) = client.check_and_watch_stat("/w").await.expect("watch");
    other.create("/w", b"", &open).await.expect("create");
    once(watcher, EventType::NodeCreated).await;
    let (_, _, watcher) = client.get_and_watch_data("/w").await.expect("watch");
    other.set_data("/w", b"1", None).await.expect("set");
    once(watcher, EventType::NodeDataChanged).await;
    let (_, _, watcher) = client.get_and_watch_children("/w").await.expect("watch");
    other.create("/w/c", b"", &open).await.expect("create");
    once(watcher, EventType::NodeChildrenChanged).await;
    let (_, _, watcher) = client.get_and_watch_data("/w/c").await.expect("watch");
    other.delete("/w/c", None).await.expect("delete");
    once(watcher, EventType::NodeDeleted).await;
    let (_, _, watcher) = client.get_and_watch_data("/w").await.expect("watch");
    // To drop a watcher removes its watch; the library says nothing of it.
    drop(watcher);

    other.create("/x", b"", &open).await.expect("create");
    let mut persistent = client.watch("/w", AddWatchMode::Persistent).await.expect("watch");
    let mut recursive = client.watch("/x", AddWatchMode::PersistentRecursive).await.expect("watch");
    for root in ["/w", "/x"] {
        other.set_data(root, b"2", None).await.expect("set");
        other.create(&format!("{root}/d"), b"", &open).await.expect("create");
        other.create(&format!("{root}/d/e"), b"", &open).await.expect("create");
        other.set_data(&format!("{root}/d/e"), b"3", None).await.expect("set");
        other.delete(&format!("{root}/d/e"), None).await.expect("delete");
        other.delete(&format!("{root}/d"), None).await.expect("delete");
    }
    next(&mut persistent, EventType::NodeDataChanged, "/w").await;
    next(&mut persistent, EventType::NodeChildrenChanged, "/w").await;
    next(&mut persistent, EventType::NodeChildrenChanged, "/w").await;
    next(&mut recursive, EventType::NodeDataChanged, "/x").await;
    next(&mut recursive, EventType::NodeCreated, "/x/d").await;
    next(&mut recursive, EventType::NodeCreated, "/x/d/e").await;
    next(&mut recursive, EventType::NodeDataChanged, "/x/d/e").await;
    next(&mut recursive, EventType::NodeDeleted, "/x/d/e").await;
    next(&mut recursive, EventType::NodeDeleted, "/x/d").await;
    drop((persistent, recursive));
    other.delete("/w", None).await.expect("delete");
    other.delete("/x", None).await.expect("delete");
}

async fn locks(client: &Client, other: &Client) {
    println!("== locks");
    ZXIDS.store(false, Ordering::Relaxed);
    let options = LockOptions::new(Acls::anyone_all())
        .with_ancestor_options(CreateMode::Persistent.with_acls(Acls::anyone_all()))
        .expect("options");
    let prefix = || LockPrefix::new_curator("/locks/l", "latch-").expect("prefix");
    let held = client.lock(prefix(), b"one", options.clone()).await.expect("lock");
    println!("held");
    let waiting = tokio::spawn({
        let (other, options) = (other.clone(), options.clone());
        async move { other.lock(prefix(), b"two", options).await.map(|lock| drop(lock.into_owned())) }
    });
    while client.list_children("/locks/l").await.expect("children").len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("two contenders, done {}", waiting.is_finished());
    drop(held);
    soon("the second holder", waiting).await.expect("join").expect("lock");
    println!("the second had it");
}

async fn restart(client: &Client, other: &Client) {
    println!("== restart");
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.create("/r", b"1", &open).await.expect("create");
    client.create("/r/e", b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.expect("create");
    let (_, _, data) = client.get_and_watch_data("/r").await.expect("watch");
    let mut recursive = client.watch("/r", AddWatchMode::PersistentRecursive).await.expect("watch");
    let session = client.session_id();
    ask("stop");
    until(client, SessionState::Disconnected).await;
    until(other, SessionState::Disconnected).await;
    ask("start");
    until(client, SessionState::SyncConnected).await;
    until(other, SessionState::SyncConnected).await;
    println!("same session {}", client.session_id() == session);
    let owner = other.check_stat("/r/e").await.expect("stat").expect("the ephemeral").ephemeral_owner;
    println!("owner {}", owner != 0);
    told("set", other.set_data("/r", b"2", Some(0)).await, stat);
    once(data, EventType::NodeDataChanged).await;
    // The library tells a persistent watcher of the session too.
    loop {
        let event = soon("an event", recursive.changed()).await;
        if event.event_type != EventType::Session {
            say_event(&event);
            break;
        }
    }
    drop(recursive);
    client.delete("/r/e", None).await.expect("delete");
    client.delete("/r", None).await.expect("delete");
}

async fn moved(client: &Client, server: &str) {
    println!("== session moved");
    let first = Client::connector().with_session_timeout(Duration::from_secs(20)).with_detached().connect(server).await.expect("connect");
    first.create("/mine", b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.expect("create");
    let session = first.into_session();
    let second = Client::connector().with_session(session).connect(server).await.expect("attach");
    told("ephemerals", second.list_ephemerals("/").await, |names| sorted(names));
    let (_, watcher) = client.check_and_watch_stat("/mine").await.expect("watch");
    drop(second);
    once(watcher, EventType::NodeDeleted).await;
}

async fn short_lived(client: &Client) {
    println!("== nodes that come and go");
    let ttl = CreateMode::Persistent.with_acls(Acls::anyone_all()).with_ttl(Duration::from_millis(300));
    client.create("/ttl", b"", &ttl).await.expect("create");
    let (_, watcher) = client.check_and_watch_stat("/ttl").await.expect("watch");
    let event = soon("reaped", watcher.changed()).await;
    println!("event {:?} {}", event.event_type, event.path);
}
