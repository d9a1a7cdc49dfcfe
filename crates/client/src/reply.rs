//! Reads the bodies of replies. Paths come as the server sent them: [`Chroot::cut_or_keep`](crate::Chroot::cut_or_keep)
//! makes them the client's. Nothing here allocates but the lists of a multi.

use oxkeeper_proto::records::Stat;
use oxkeeper_proto::{ErrorCode, JuteError, OpCode, Reader, Record};

/// A reader that takes strings as long as the frame: the frame's own limit has been kept.
fn reader(body: &[u8]) -> Reader<'_> {
    Reader::with_max_length(body, i32::MAX)
}

fn text<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], JuteError> {
    Ok(r.buffer()?.unwrap_or_default())
}

/// Reply to create (no Stat) and create2, createContainer, createTTL.
///
/// # Errors
/// When the bytes are something else.
pub fn created(body: &[u8]) -> Result<(&[u8], Option<Stat>), JuteError> {
    let mut r = reader(body);
    let path = text(&mut r)?;
    let stat = if r.rest().is_empty() { None } else { Some(Stat::read(&mut r)?) };
    Ok((path, stat))
}

/// Reply to exists, setData, setACL.
///
/// # Errors
/// When the bytes are something else.
pub fn stat(body: &[u8]) -> Result<Stat, JuteError> {
    Stat::read(&mut reader(body))
}

/// Reply to getData and reconfig; null data is `None`.
///
/// # Errors
/// When the bytes are something else.
pub fn data(body: &[u8]) -> Result<(Option<&[u8]>, Stat), JuteError> {
    let mut r = reader(body);
    Ok((r.buffer()?, Stat::read(&mut r)?))
}

/// Reply to sync: the path.
///
/// # Errors
/// When the bytes are something else.
pub fn path(body: &[u8]) -> Result<&[u8], JuteError> {
    text(&mut reader(body))
}

/// Reply to getAllChildrenNumber.
///
/// # Errors
/// When the bytes are something else.
pub fn number(body: &[u8]) -> Result<i32, JuteError> {
    reader(body).int()
}

/// Strings of a reply, read while they are walked through; all of them have been found whole before.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Strings<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, JuteError> {
        let left = count(r)?;
        let reader = r.clone();
        for _ in 0..left {
            r.buffer()?;
        }
        Ok(Self { reader, left })
    }
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        Some(text(&mut self.reader).unwrap_or_default())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Strings<'_> {}

/// A count; null is none. It may not be more than the bytes left could hold (each element takes four at least).
fn count(r: &mut Reader<'_>) -> Result<usize, JuteError> {
    let count = r.int()?;
    match usize::try_from(count) {
        Ok(count) if count <= r.rest().len() / 4 => Ok(count),
        Ok(_) => Err(JuteError::EndOfInput),
        Err(_) if count == -1 => Ok(0),
        Err(_) => Err(JuteError::UnreasonableLength(count)),
    }
}

/// Reply to getChildren and getEphemerals (no Stat) and getChildren2.
///
/// # Errors
/// When the bytes are something else.
pub fn strings(body: &[u8]) -> Result<(Strings<'_>, Option<Stat>), JuteError> {
    let mut r = reader(body);
    let strings = Strings::read(&mut r)?;
    let stat = if r.rest().is_empty() { None } else { Some(Stat::read(&mut r)?) };
    Ok((strings, stat))
}

/// An entry of an ACL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry<'a> {
    /// Bits of [`oxkeeper_proto::perms`].
    pub perms: i32,
    /// The scheme.
    pub scheme: &'a [u8],
    /// The id.
    pub id: &'a [u8],
}

/// Reply to getACL.
///
/// # Errors
/// When the bytes are something else.
pub fn acl(body: &[u8]) -> Result<(Vec<AclEntry<'_>>, Stat), JuteError> {
    let mut r = reader(body);
    let count = count(&mut r)?;
    let entries =
        (0..count).map(|_| Ok(AclEntry { perms: r.int()?, scheme: text(&mut r)?, id: text(&mut r)? })).collect::<Result<_, JuteError>>()?;
    Ok((entries, Stat::read(&mut r)?))
}

/// Scheme and user of an identity.
pub type Identity<'a> = (&'a [u8], &'a [u8]);

/// Reply to whoAmI.
///
/// # Errors
/// When the bytes are something else.
pub fn identities(body: &[u8]) -> Result<Vec<Identity<'_>>, JuteError> {
    let mut r = reader(body);
    let count = count(&mut r)?;
    (0..count).map(|_| Ok((text(&mut r)?, text(&mut r)?))).collect()
}

/// What one operation of a multi or multiRead came to.
#[derive(Clone, Debug)]
pub enum MultiResult<'a> {
    /// create, and with a Stat create2, createContainer, createTTL.
    Created {
        /// The server's path.
        path: &'a [u8],
        /// Of the new znode.
        stat: Option<Stat>,
    },
    /// delete
    Deleted,
    /// setData
    Set(Stat),
    /// check
    Checked,
    /// getData
    Data(Option<&'a [u8]>, Stat),
    /// getChildren
    Children(Strings<'a>),
    /// It failed; [`ErrorCode::RUNTIME_INCONSISTENCY`] if another one is to blame, 0 if it came before the one that
    /// failed.
    Error(ErrorCode),
}

/// Reply to multi and multiRead.
///
/// # Errors
/// When the bytes are something else.
pub fn multi(body: &[u8]) -> Result<Vec<MultiResult<'_>>, JuteError> {
    let mut r = reader(body);
    let mut results = Vec::new();
    loop {
        let kind = OpCode(r.int()?);
        let is_last = r.boolean()?;
        let _error = r.int()?;
        if is_last {
            return Ok(results);
        }
        results.push(match kind {
            OpCode::CREATE => MultiResult::Created { path: text(&mut r)?, stat: None },
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                MultiResult::Created { path: text(&mut r)?, stat: Some(Stat::read(&mut r)?) }
            }
            OpCode::DELETE => MultiResult::Deleted,
            OpCode::SET_DATA => MultiResult::Set(Stat::read(&mut r)?),
            OpCode::CHECK => MultiResult::Checked,
            OpCode::GET_DATA => MultiResult::Data(r.buffer()?, Stat::read(&mut r)?),
            OpCode::GET_CHILDREN => MultiResult::Children(Strings::read(&mut r)?),
            OpCode::ERROR => MultiResult::Error(ErrorCode(r.int()?)),
            OpCode(other) => return Err(JuteError::UnreasonableLength(other)),
        });
    }
}
