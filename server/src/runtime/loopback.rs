//! A change of one znode on behalf of somebody at the console: a client of this very server, for a moment.
//!
//! It goes through the port for clients and so through everything that any client's write goes through, on a member
//! of an ensemble, too. The server's own address must not lend its rights: whoever calls this has checked that
//! the one at the console may do it.

use oxkeeper_proto::acl;
use oxkeeper_proto::records::{
    AuthPacket, ConnectRequest, ConnectResponse, CreateRequest, DeleteRequest, ReplyHeader, RequestHeader, SetDataRequest,
};
use oxkeeper_proto::{ErrorCode, OpCode, Reader, Record};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers here are short: a path and a Stat.
const LONGEST_ANSWER_BYTES: usize = 1 << 20;
const AUTH_XID: i32 = -4;

/// What to do with a znode.
pub enum Change<'a> {
    /// Make it, persistent, with an ACL that is open to everybody, as clients' tools do.
    Create { data: &'a [u8] },
    /// Give it this data if its version is this one.
    Set { data: &'a [u8], version: i32 },
    /// Remove it if its version is this one.
    Delete { version: i32 },
}

/// Carries out a change as whom these schemes and proofs name.
///
/// # Errors
/// The outer one: the server could not be reached. The inner one is its refusal.
pub fn change(server: SocketAddr, proofs: &[(&str, &[u8])], path: &str, change: &Change<'_>) -> io::Result<Result<(), ErrorCode>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let hello = ConnectRequest { protocol_version: 0, last_zxid_seen: 0, time_out: 10_000, session_id: 0, passwd: Some(&[0; 16]) };
    send(&mut stream, |out| hello.write(out))?;
    let welcome = receive(&mut stream)?;
    let welcome = ConnectResponse::read(&mut Reader::new(&welcome)).map_err(io::Error::other)?;
    if welcome.session_id == 0 {
        return Err(io::Error::other("the server gave no session"));
    }
    for (scheme, proof) in proofs {
        let packet = AuthPacket { kind: 0, scheme: Some((*scheme).into()), auth: Some(proof) };
        if let Err(refused) = ask(&mut stream, AUTH_XID, OpCode(100), |out| packet.write(out))? {
            return Ok(Err(refused));
        }
    }
    let path = Some(path.into());
    let outcome = match change {
        Change::Create { data } => {
            let open = acl::open();
            let request = CreateRequest { path, data: Some(data), acl: Some(acl::to_records(&open)), flags: 0 };
            ask(&mut stream, 1, OpCode::CREATE, |out| request.write(out))?
        }
        Change::Set { data, version } => {
            let request = SetDataRequest { path, data: Some(data), version: *version };
            ask(&mut stream, 1, OpCode::SET_DATA, |out| request.write(out))?
        }
        Change::Delete { version } => {
            let request = DeleteRequest { path, version: *version };
            ask(&mut stream, 1, OpCode::DELETE, |out| request.write(out))?
        }
    };
    // The session would go by itself; this is only tidier.
    let _ = ask(&mut stream, 2, OpCode::CLOSE_SESSION, |_| {});
    Ok(outcome)
}

fn ask(stream: &mut TcpStream, xid: i32, op: OpCode, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<Result<(), ErrorCode>> {
    send(stream, |out| {
        RequestHeader { xid, kind: op.0 }.write(out);
        fill(out);
    })?;
    loop {
        let answer = receive(stream)?;
        let header = ReplyHeader::read(&mut Reader::new(&answer)).map_err(io::Error::other)?;
        if header.xid == xid {
            return Ok(if header.err == 0 { Ok(()) } else { Err(ErrorCode(header.err)) });
        }
    }
}

fn send(stream: &mut TcpStream, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let mut frame = vec![0; 4];
    fill(&mut frame);
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    stream.write_all(&frame)
}

fn receive(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST_ANSWER_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
