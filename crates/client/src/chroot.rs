//! The part of the tree that a client sees as the whole: put before its paths, cut from the answers.

use crate::path;

/// What goes before every path; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chroot(Box<[u8]>);

impl Chroot {
    /// Takes `/a/b`; `/` and nothing are none.
    ///
    /// # Errors
    /// `None` when it is not a good path.
    pub fn new(chroot: &[u8]) -> Option<Self> {
        match chroot {
            b"" | b"/" => Some(Self::default()),
            _ => path::is_valid(chroot, false).then(|| Self(chroot.into())),
        }
    }

    /// The bytes before every path.
    pub fn prefix(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the server's path of a client's: the prefix, and for `/` nothing more.
    pub fn push(&self, client_path: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
        if self.0.is_empty() || client_path != b"/" {
            out.extend_from_slice(client_path);
        }
    }

    /// Length of what [`Self::push`] appends, bytes.
    pub fn pushed_length(&self, client_path: &[u8]) -> usize {
        if self.0.is_empty() {
            client_path.len()
        } else if client_path == b"/" {
            self.0.len()
        } else {
            self.0.len() + client_path.len()
        }
    }

    /// The client's path of a server's; `None` when it lies outside.
    pub fn cut<'a>(&self, server_path: &'a [u8]) -> Option<&'a [u8]> {
        match server_path.strip_prefix(&*self.0)? {
            b"" => Some(b"/"),
            rest if self.0.is_empty() || rest[0] == b'/' => Some(rest),
            _ => None,
        }
    }

    /// [`Self::cut`], and what lies outside as it is.
    pub fn cut_or_keep<'a>(&self, server_path: &'a [u8]) -> &'a [u8] {
        self.cut(server_path).unwrap_or(server_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_on_comes_off_again() {
        for (chroot, client, server) in [("", "/", "/"), ("/", "/a", "/a"), ("/x/y", "/", "/x/y"), ("/x/y", "/a/b", "/x/y/a/b")] {
            let chroot = Chroot::new(chroot.as_bytes()).unwrap();
            let mut out = Vec::new();
            chroot.push(client.as_bytes(), &mut out);
            assert_eq!(out, server.as_bytes());
            assert_eq!(out.len(), chroot.pushed_length(client.as_bytes()));
            assert_eq!(chroot.cut(&out), Some(client.as_bytes()));
        }
        let chroot = Chroot::new(b"/x").unwrap();
        assert_eq!(chroot.cut(b"/xy"), None);
        assert_eq!(chroot.cut_or_keep(b"/zookeeper/config"), b"/zookeeper/config");
        assert_eq!(Chroot::new(b"/a/"), None);
        assert_eq!(Chroot::new(b"a"), None);
    }
}
