//! The C library against a server that plays a part: replies in pieces, garbage, silence, floods, refusals. Each case
//! says what the server does with each connection, what the program does, and what it must say then.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use oxkeeper_compat_tests::c_library::{
    Maker, Program, Threading, compile, compile_for_races, on, output_within, under_valgrind, watched_for_races,
};
use oxkeeper_compat_tests::load::Random;

const PATIENCE: Duration = Duration::from_secs(60);

/// Operation codes of the wire.
const PING: i32 = 11;
const CLOSE: i32 = -11;

/// One connection at the server's side.
struct Peer {
    stream: TcpStream,
    /// How many bytes go out at once.
    piece: usize,
}

impl Peer {
    /// The next frame of the client; `None` when it has hung up.
    fn frame(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut body).ok()?;
        Some(body)
    }

    fn raw(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
        }
    }

    fn send(&mut self, body: &[u8]) {
        let mut frame = (body.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(body);
        self.raw(&frame);
    }

    /// The handshake: a session of the timeout that was asked for.
    fn welcome(&mut self, session: i64, with_read_only_byte: Option<bool>) -> Option<()> {
        let request = self.frame()?;
        let timeout = &request[12..16];
        let mut body = vec![0, 0, 0, 0];
        body.extend_from_slice(timeout);
        body.extend_from_slice(&session.to_be_bytes());
        body.extend_from_slice(&16_i32.to_be_bytes());
        body.extend_from_slice(&[7; 16]);
        body.extend(with_read_only_byte.map(u8::from));
        self.send(&body);
        Some(())
    }

    fn reply(&mut self, xid: i32, error: i32, body: &[u8]) {
        let mut frame = xid.to_be_bytes().to_vec();
        frame.extend_from_slice(&1_i64.to_be_bytes());
        frame.extend_from_slice(&error.to_be_bytes());
        frame.extend_from_slice(body);
        self.send(&frame);
    }

    /// Answers pings and the end, and gives every other request to `answer`.
    fn serve(&mut self, mut answer: impl FnMut(&mut Peer, i32, i32)) {
        while let Some(request) = self.frame() {
            let xid = i32::from_be_bytes(request[..4].try_into().expect("four"));
            let op = i32::from_be_bytes(request[4..8].try_into().expect("four"));
            match op {
                PING => self.reply(-2, 0, &[]),
                CLOSE => {
                    self.reply(xid, 0, &[]);
                    return;
                }
                _ => answer(self, xid, op),
            }
        }
    }

    /// Reads on until the client hangs up, and says nothing.
    fn be_silent(&mut self) {
        while self.frame().is_some() {}
    }
}

/// Data of one byte and a Stat.
fn good_data() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 1, b'x'];
    body.extend_from_slice(&[0; 68]);
    body
}

/// A server whose connections, counted from 0, are each played by `part` on a thread. Its address.
fn play(part: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let part = Arc::new(part);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let part = part.clone();
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                part(number, &mut Peer { stream, piece: usize::MAX });
            });
        }
    });
    address
}

/// Whose libraries must behave as a case says. Where the original does not, `COMPAT.md` says what it does.
const BOTH: &[Maker] = &[Maker::Original, Maker::Ours];
const OURS: &[Maker] = &[Maker::Ours];

/// Runs the program with both libraries of each maker against a part; it must say `expected`, line by line.
fn case(name: &str, makers: &[Maker], part: fn(usize, &mut Peer), (timeout_ms, flags): (u32, u32), actions: &[&str], expected: &[&str]) {
    for threading in Threading::BOTH {
        for maker in makers {
            for (way, mut command) in ways(threading, *maker, timeout_ms) {
                let address = play(part);
                command.args([&address, &timeout_ms.to_string(), &flags.to_string()]).args(actions);
                let (code, text) = output_within(&mut command, PATIENCE);
                assert_eq!(code, 0, "{name} {threading:?} {maker:?} {way}:\n{text}");
                assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{name} {threading:?} {maker:?} {way}");
            }
        }
    }
}

/// How the program of the cases is run on a maker's library: as it is and, with `OXKEEPER_CASES=all`, ours also under each of the
/// watchers of memory and of threads. What is slowed down thirty times by valgrind does not keep timeouts below two seconds.
fn ways(threading: Threading, maker: Maker, timeout_ms: u32) -> Vec<(&'static str, Command)> {
    let mut ways = vec![("as it is", on(&program(threading), threading, maker))];
    if maker == Maker::Ours && std::env::var("OXKEEPER_CASES").as_deref() == Ok("all") {
        ways.push(("with AddressSanitizer", on(&watched_program(Watcher::Address, threading), threading, maker)));
        if timeout_ms >= 2_000 {
            ways.push(("under valgrind", under_valgrind(&program(threading), threading)));
        }
        if threading == Threading::Multi {
            ways.push(("with ThreadSanitizer", watched_for_races(&watched_program(Watcher::Races, threading))));
        }
    }
    ways
}

/// What is compiled into the program of the cases to watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watcher {
    Nobody,
    Address,
    Races,
}

/// The program of the cases, compiled once for each library.
fn program(threading: Threading) -> PathBuf {
    watched_program(Watcher::Nobody, threading)
}

/// The same with a watcher in it.
fn watched_program(watcher: Watcher, threading: Threading) -> PathBuf {
    static COMPILED: Mutex<Vec<((Watcher, Threading), Program)>> = Mutex::new(Vec::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, program)) = compiled.iter().find(|(of, _)| *of == (watcher, threading)) {
        return program.path.clone();
    }
    let program = match watcher {
        Watcher::Nobody => compile("cases.c", threading, Maker::Ours, &[]),
        Watcher::Address => compile("cases.c", threading, Maker::Ours, &["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]),
        Watcher::Races => compile_for_races("cases.c"),
    };
    let path = program.path.clone();
    compiled.push(((watcher, threading), program));
    path
}

#[test]
fn replies_in_pieces_of_any_size() {
    case(
        "one byte at a time",
        BOTH,
        |_, peer| {
            peer.piece = 1;
            peer.welcome(5, Some(false));
            peer.serve(|peer, xid, _| peer.reply(xid, 0, &good_data()));
        },
        (10_000, 0),
        &["event", "get:20", "all", "state", "close"],
        &["session 3", "rc 0 x 20", "state 3", "closed: 0, completions 20 of 20"],
    );
    case(
        "all in one piece, behind the handshake",
        BOTH,
        |_, peer| {
            peer.welcome(5, Some(false));
            let mut waiting = Vec::new();
            peer.serve(|peer, xid, _| {
                waiting.push(xid);
                if waiting.len() == 50 {
                    let mut all = Vec::new();
                    for xid in waiting.drain(..) {
                        let mut frame = xid.to_be_bytes().to_vec();
                        frame.extend_from_slice(&[0; 12]);
                        frame.extend_from_slice(&good_data());
                        all.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                        all.extend_from_slice(&frame);
                    }
                    peer.raw(&all);
                }
            });
        },
        (10_000, 0),
        &["get:50", "all", "close"],
        &["session 3", "rc 0 x 50", "closed: 0, completions 50 of 50"],
    );
}

#[test]
fn a_handshake_of_an_old_server_lacks_a_byte() {
    case(
        "40 bytes",
        BOTH,
        |_, peer| {
            peer.welcome(5, None);
            peer.serve(|peer, xid, _| peer.reply(xid, -101, &[]));
        },
        (10_000, 0),
        &["event", "exists", "get", "all"],
        &["session 3", "rc -101 x 2"],
    );
}

#[test]
fn read_only_servers_are_known_by_their_handshake() {
    case(
        "read-only",
        BOTH,
        |_, peer| {
            if peer.welcome(5, Some(true)).is_some() {
                peer.serve(|peer, xid, _| peer.reply(xid, -119, &[]));
            }
        },
        (10_000, 1),
        &["event", "state", "delete", "all"],
        &["session 5", "state 5", "rc -119 x 1"],
    );
}

#[test]
fn pings_and_events_that_nobody_asked_for_are_borne() {
    case(
        "unasked",
        BOTH,
        |_, peer| {
            peer.welcome(5, Some(false));
            peer.serve(|peer, xid, _| {
                for _ in 0..10 {
                    peer.reply(-2, 0, &[]);
                }
                // An event for a path that is not watched.
                peer.reply(-1, 0, &[0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'q']);
                peer.reply(xid, 0, &good_data());
            });
        },
        (10_000, 0),
        &["event", "get:3", "all", "state"],
        &["session 3", "rc 0 x 3", "state 3"],
    );
}

#[test]
fn a_reply_out_of_order_ends_the_connection() {
    case(
        "wrong xid",
        BOTH,
        |number, peer| {
            if peer.welcome(5, Some(false)).is_none() {
                return;
            }
            // Not before all three are under way.
            let mut waiting = 0;
            peer.serve(|peer, xid, _| {
                waiting += 1;
                // The third's reply is not the first's.
                if number > 0 || waiting == 3 {
                    peer.reply(xid, 0, &good_data());
                }
            });
        },
        (10_000, 0),
        &["event", "get:3", "all", "event", "event", "get", "all"],
        &["session 3", "session 1", "rc -2 x 3", "session 3", "rc 0 x 1"],
    );
}

#[test]
fn frames_that_are_none_end_the_connection() {
    const FRAMES: [&[u8]; 5] = [
        &[0xff, 0xff, 0xff, 0xff, 0, 0],
        &[0x80, 0, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff, 1, 2, 3],
        &[0, 0, 0, 0],
        &[0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7],
    ];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    for _ in FRAMES {
        case(
            "not a frame",
            OURS,
            |number, peer| {
                let bytes = FRAMES[NEXT.load(Ordering::Relaxed)];
                if peer.welcome(5, Some(false)).is_none() {
                    return;
                }
                let mut waiting = 0;
                peer.serve(|peer, xid, _| {
                    waiting += 1;
                    if number > 0 {
                        peer.reply(xid, 0, &good_data());
                    } else if waiting == 2 {
                        peer.raw(bytes);
                    }
                });
            },
            (2_000, 0),
            &["event", "get:2", "all", "event", "event", "get", "all"],
            &["session 3", "session 1", "rc -4 x 2", "session 3", "rc 0 x 1"],
        );
        NEXT.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn replies_with_nonsense_in_them_fail_one_request_each() {
    for (what, bodies) in [
        ("get", &[&[][..], &[0, 0], &[0x7f, 0xff, 0xff, 0xff, 1], &[0x80, 0, 0, 0], &[0, 0, 0, 1, b'x', 0]][..]),
        ("exists", &[&[][..], &[0; 67]]),
        (
            "children",
            &[&[][..], &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 2, 0, 0, 0, 1, b'a'], &[0x80, 0, 0, 1], &[0, 0, 0, 1, 0x7f, 0, 0, 0]],
        ),
        ("children2", &[&[][..], &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 0], &[0, 0, 0, 1, 0, 0, 0, 9]]),
        ("acl", &[&[][..], &[0x7f, 0xff, 0xff, 0xff], &[0, 0, 0, 1, 0, 0, 0, 1], &[0, 0, 0, 0]]),
        ("create", &[&[][..], &[0, 0, 0, 9, b'/'], &[0x7f, 0xff, 0xff, 0xff]]),
        (
            "multi",
            &[
                &[][..],
                &[0, 0, 0, 1],
                &[0, 0, 0, 99, 0, 0, 0, 0, 0],
                &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0],
                &[0, 0, 0, 2, 0, 0, 0, 0, 0],
            ],
        ),
    ] {
        static BODIES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
        *BODIES.lock().expect("ours") = bodies.iter().map(|body| body.to_vec()).collect();
        let count = bodies.len();
        case(
            what,
            OURS,
            |_, peer| {
                peer.welcome(5, Some(false));
                let mut bodies = BODIES.lock().expect("ours").clone().into_iter();
                peer.serve(|peer, xid, _| peer.reply(xid, 0, &bodies.next().unwrap_or_else(good_data)));
            },
            (10_000, 0),
            &["event", &format!("{what}:{count}"), "all", "get", "all", "state"],
            &["session 3", &format!("rc -5 x {count}"), "rc 0 x 1", "state 3"],
        );
    }
}

#[test]
fn silence_is_a_timeout() {
    case(
        "silence",
        BOTH,
        |number, peer| {
            peer.welcome(5, Some(false));
            if number == 0 { peer.be_silent() } else { peer.serve(|peer, xid, _| peer.reply(xid, 0, &good_data())) }
        },
        (900, 0),
        &["event", "get:5", "all", "event", "event", "get", "all"],
        &["session 3", "session 1", "rc -7 x 5", "session 3", "rc 0 x 1"],
    );
}

#[test]
fn a_silent_handshake_is_given_up() {
    case(
        "no handshake",
        BOTH,
        |number, peer| {
            if number == 0 {
                peer.be_silent();
            } else if number == 1 {
                peer.frame();
                peer.raw(&[0, 0, 0, 3, 1, 2, 3]);
                peer.be_silent();
            } else {
                peer.welcome(5, Some(false));
                peer.serve(|peer, xid, _| peer.reply(xid, 0, &good_data()));
            }
        },
        (900, 0),
        &["event", "get", "all"],
        &["session 3", "rc 0 x 1"],
    );
}

#[test]
fn an_expired_session_ends_the_handle() {
    case(
        "expired",
        BOTH,
        |number, peer| {
            if number == 0 {
                peer.welcome(5, Some(false));
                peer.frame();
                peer.frame();
            } else {
                peer.welcome(0, Some(false));
                peer.be_silent();
            }
        },
        (3_000, 0),
        &["event", "get:2", "all", "event", "event", "state", "get", "auth", "close"],
        &[
            "session 3",
            "session 1",
            "rc -4 x 2",
            "session -112",
            "state -112",
            "get refused: -9",
            "auth refused: -9",
            "closed: 0, completions 2 of 2",
        ],
    );
}

#[test]
fn refused_credentials_end_the_handle() {
    case(
        "auth failed",
        BOTH,
        |_, peer| {
            peer.welcome(5, Some(false));
            peer.serve(|peer, xid, op| {
                if op == 100 {
                    peer.reply(-4, -115, &[])
                } else {
                    let _ = xid;
                }
            });
        },
        (10_000, 0),
        &["event", "auth:2", "event", "state", "get", "close"],
        &["session 3", "rc -115 x 2", "session -113", "state -113", "get refused: -9", "closed: 0, completions 2 of 2"],
    );
}

#[test]
fn closing_completes_what_is_outstanding() {
    // The original drops some of them now and then.
    case(
        "close with requests under way",
        OURS,
        |_, peer| {
            peer.welcome(5, Some(false));
            // Not even the close is answered.
            peer.be_silent();
        },
        (30_000, 0),
        &["event", "get:500", "close"],
        &["session 3", "rc -116 x 500", "closed: 0, completions 500 of 500"],
    );
    case(
        "close before the connection",
        OURS,
        |_, peer| peer.be_silent(),
        (30_000, 0),
        &["get:10", "auth", "close"],
        &["rc -116 x 11", "closed: 0, completions 11 of 11"],
    );
}

#[test]
fn closing_within_a_completion() {
    for (threading, maker) in Threading::BOTH.into_iter().flat_map(|threading| BOTH.iter().map(move |maker| (threading, *maker))) {
        let address = play(|_, peer| {
            peer.welcome(5, Some(false));
            // The first is answered when all are under way: the program does not use a handle that it has closed.
            let mut waiting = Vec::new();
            peer.serve(|peer, xid, _| {
                waiting.push(xid);
                if waiting.len() == 100 {
                    peer.reply(waiting[0], 0, &good_data());
                }
            });
        });
        let mut command = on(&program(threading), threading, maker);
        command.args([&address, "10000", "0", "event", "closing:100"]);
        let (code, text) = output_within(&mut command, PATIENCE);
        assert_eq!(code, 0, "{threading:?} {maker:?}:\n{text}");
        let expected = ["session 3", "rc 0 x 1", "rc -116 x 99", "completions: 100 of 100", "close within a completion: 0"];
        for line in expected {
            assert!(text.lines().any(|said| said == line), "{threading:?} {maker:?}: no {line:?} in\n{text}");
        }
    }
}

#[test]
fn a_flood_of_events_does_not_starve_the_pings() {
    static PINGS: AtomicUsize = AtomicUsize::new(0);
    PINGS.store(0, Ordering::Relaxed);
    for (threading, maker) in Threading::BOTH.into_iter().flat_map(|threading| BOTH.iter().map(move |maker| (threading, *maker))) {
        let before = PINGS.load(Ordering::Relaxed);
        let address = play(|_, peer| {
            peer.welcome(5, Some(false));
            let mut writer = Peer { stream: peer.stream.try_clone().expect("a second handle"), piece: usize::MAX };
            let flood = thread::spawn(move || {
                let mut event = (-1_i32).to_be_bytes().to_vec();
                event.extend_from_slice(&[0; 12]);
                event.extend_from_slice(&[0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'x']);
                let mut frame = (event.len() as u32).to_be_bytes().to_vec();
                frame.extend_from_slice(&event);
                let many = frame.repeat(1000);
                while writer.stream.write_all(&many).is_ok() {}
            });
            while let Some(request) = peer.frame() {
                if request[4..8] == PING.to_be_bytes() {
                    PINGS.fetch_add(1, Ordering::Relaxed);
                }
                if request[4..8] == CLOSE.to_be_bytes() {
                    break;
                }
            }
            let _ = peer.stream.shutdown(std::net::Shutdown::Both);
            let _ = flood.join();
        });
        let mut command = on(&program(threading), threading, maker);
        command.args([&address, "1500", "0", "event", "linger:3000", "state", "close"]);
        let (code, text) = output_within(&mut command, PATIENCE);
        assert_eq!((code, text.as_str()), (0, "session 3\nstate 3\nclosed: 0, completions 0 of 0\n"), "{threading:?} {maker:?}");
        assert!(PINGS.load(Ordering::Relaxed) - before >= 2, "{threading:?} {maker:?}: no pings under the flood");
    }
}

#[test]
fn all_servers_of_a_list_are_tried_and_none_in_a_hot_loop() {
    for threading in Threading::BOTH {
        let attempts: Arc<[AtomicUsize; 2]> = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let refuse = |which: usize| {
            let attempts = attempts.clone();
            play(move |_, _| {
                attempts[which].fetch_add(1, Ordering::Relaxed);
            })
        };
        let hosts = format!("{},{}", refuse(0), refuse(1));
        let mut command = on(&program(threading), threading, Maker::Ours);
        command.args([&hosts, "6000", "0", "linger:1500", "close"]);
        let (code, text) = output_within(&mut command, PATIENCE);
        assert_eq!(code, 0, "{text}");
        let counts = [attempts[0].load(Ordering::Relaxed), attempts[1].load(Ordering::Relaxed)];
        // A full pass is followed by a delay of 6000 / 60 ms: at most 15 passes in that time.
        assert!(counts.iter().all(|count| (1..=20).contains(count)), "{threading:?}: {counts:?}");
    }
}

#[test]
fn clients_spread_evenly_when_servers_come_and_go() {
    let program = compile("balance.c", Threading::Single, Maker::Ours, &[]);
    let list = |from: usize, to: usize| (from..=to).map(|last| format!("127.0.0.{last}:1")).collect::<Vec<_>>().join(",");
    const CLIENTS: usize = 10_000;
    for (before, after) in [((1, 9), (1, 10)), ((1, 9), (1, 18)), ((1, 10), (1, 5)), ((1, 5), (6, 10)), ((1, 6), (4, 9))] {
        let spread = |maker: Maker| {
            let mut command = on(&program.path, Threading::Single, maker);
            command.args([CLIENTS.to_string(), "1".to_owned(), list(before.0, before.1), list(after.0, after.1)]);
            let (code, text) = output_within(&mut command, 5 * PATIENCE);
            assert_eq!(code, 0, "{maker:?}: {text}");
            text
        };
        let servers = after.1 - after.0 + 1;
        let expected = CLIENTS as f64 / servers as f64;
        // Six standard deviations.
        let slack = 6.0 * expected.sqrt();
        // The original takes its time with so many handles: two of its moves suffice.
        let makers = if before == (1, 9) { BOTH } else { OURS };
        for maker in makers {
            let text = spread(*maker);
            let counts: Vec<(usize, f64)> = text
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(server, count)| (server.parse().expect("a number"), count.parse().expect("a number")))
                .collect();
            assert_eq!(counts.len(), servers, "{maker:?} {before:?} -> {after:?}:\n{text}");
            for (server, count) in counts {
                assert!(
                    (after.0..=after.1).contains(&server) && (count - expected).abs() < slack,
                    "{maker:?} {before:?} -> {after:?}: {server} has {count}"
                );
            }
        }
    }
}

/// A server that says anything: random bytes, or good replies with some bytes changed. The program must end by itself,
/// with each request completed once. `OXKEEPER_HOSTILE_ROUNDS` makes it longer.
#[test]
fn a_hostile_server_does_no_harm() {
    let rounds: u64 = std::env::var("OXKEEPER_HOSTILE_ROUNDS").map_or(20, |text| text.parse().expect("a number"));
    let mut ways: Vec<(Watcher, Threading)> = Threading::BOTH.map(|threading| (Watcher::Address, threading)).to_vec();
    if std::env::var("OXKEEPER_CASES").as_deref() == Ok("all") {
        ways.push((Watcher::Races, Threading::Multi));
    }
    for (watcher, threading) in ways {
        let program = watched_program(watcher, threading);
        for seed in 0..rounds {
            let address = play(move |number, peer| {
                let mut random = Random(seed * 1000 + number as u64 + 1);
                if seed % 4 == 0 {
                    let bytes: Vec<u8> = (0..random.below(5000)).map(|_| random.below(256) as u8).collect();
                    let _ = peer.frame();
                    peer.raw(&bytes);
                    return;
                }
                peer.piece = 1 + random.below(200) as usize;
                if peer.welcome(5, Some(false)).is_none() {
                    return;
                }
                peer.serve(|peer, xid, op| {
                    let mut frame = xid.to_be_bytes().to_vec();
                    frame.extend_from_slice(&[0; 12]);
                    frame.extend_from_slice(&body_of(op));
                    let mut frame = [&(frame.len() as u32).to_be_bytes()[..], &frame].concat();
                    if random.below(4) == 0 {
                        for _ in 0..=random.below(4) {
                            let at = random.below(frame.len() as u64) as usize;
                            frame[at] = random.below(256) as u8;
                        }
                    }
                    peer.raw(&frame);
                });
            });
            let mut command = if watcher == Watcher::Races { watched_for_races(&program) } else { on(&program, threading, Maker::Ours) };
            command.args([&address, "300", "0", "get:20", "children:20", "acl:20", "multi:20", "children2:20", "watch:20", "auth:2"]);
            command.args(["linger:150", "exists:20", "create:20", "get:20", "linger:150", "close"]);
            let (code, text) = output_within(&mut command, PATIENCE);
            assert_eq!(code, 0, "{threading:?} {watcher:?} seed {seed}:\n{text}");
            let last = text.lines().last().unwrap_or_default();
            let counts: Vec<&str> = last.rsplit(' ').collect();
            assert!(last.starts_with("closed: 0") && counts[0] == counts[2], "{threading:?} {watcher:?} seed {seed}:\n{text}");
        }
    }
}

/// A good reply's body.
fn body_of(op: i32) -> Vec<u8> {
    let stat = [0; 68];
    let name = [0, 0, 0, 2, b'/', b'x'];
    match op {
        1 => name.to_vec(),
        8 => [&[0, 0, 0, 2][..], &name, &name].concat(),
        12 => [&[0, 0, 0, 2][..], &name, &name, &stat].concat(),
        6 => [&[0, 0, 0, 1, 0, 0, 0, 31][..], &name, &name, &stat].concat(),
        14 => [&[0, 0, 0, 1, 0, 0, 0, 0, 0][..], &name, &[0, 0, 0, 2, 0, 0, 0, 0, 0], &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0]].concat(),
        3 => stat.to_vec(),
        100 => Vec::new(),
        _ => good_data(),
    }
}
