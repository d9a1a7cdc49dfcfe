//! Walks over subtrees, many requests on their way at once, in the orders in which Java's client walks.

use crate::failure::{CallError, Failure};
use crate::path;
use crate::session::{Answer, Session, sort};
use oxkeeper_driver::Pending;
use oxkeeper_proto::ErrorCode;
use std::collections::VecDeque;

/// Requests on their way at once, for each level of the tree.
const WINDOW: usize = 128;

/// Znodes whose children are asked for, in order.
struct Questions {
    waiting: VecDeque<String>,
    asked: VecDeque<(String, Pending)>,
}

impl Questions {
    fn new(paths: impl IntoIterator<Item = String>) -> Self {
        Self { waiting: paths.into_iter().collect(), asked: VecDeque::new() }
    }

    /// The next znode and the names of its children as the server gives them.
    fn next(&mut self, session: &Session, watch: bool) -> Option<(String, Answer<Vec<String>>)> {
        while self.asked.len() < WINDOW
            && let Some(path) = self.waiting.pop_front()
        {
            match session.send_children(&path, watch) {
                Ok(pending) => self.asked.push_back((path, pending)),
                Err(error) => {
                    // What was asked before is answered first.
                    if self.asked.is_empty() {
                        return Some((path, Err(error)));
                    }
                    self.waiting.push_front(path);
                    break;
                }
            }
        }
        let (path, pending) = self.asked.pop_front()?;
        let answer = session.names(pending, &path);
        Some((path, answer))
    }
}

/// Visits a znode, then all of its children in order, then what is below each of them in the same way. With `watch`,
/// data of the first and children of all are watched. Znodes that go in between are passed over.
///
/// # Errors
/// The first that comes, of the server or of `visit`.
pub fn visit(session: &Session, root: &str, watch: bool, visit: &mut dyn FnMut(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    session.get(root, watch)?;
    visit(root)?;
    let mut levels = vec![Questions::new([root.to_owned()])];
    while let Some(level) = levels.last_mut() {
        match level.next(session, watch) {
            None => drop(levels.pop()),
            Some((_, Err(error))) if error.is(ErrorCode::NO_NODE) => {}
            Some((_, Err(error))) => return Err(error.into()),
            Some((parent, Ok(mut names))) => {
                sort(&mut names);
                let children: Vec<String> = names.iter().map(|name| path::child(&parent, name)).collect();
                for child in &children {
                    visit(child)?;
                }
                levels.push(Questions::new(children));
            }
        }
    }
    Ok(())
}

/// A znode and all below it, parents before children, level by level.
///
/// # Errors
/// The first that comes; a znode that goes in between is one.
pub fn breadth_first(session: &Session, root: &str) -> Answer<Vec<String>> {
    let mut found = vec![root.to_owned()];
    let mut questions = Questions::new([root.to_owned()]);
    while let Some((parent, answer)) = questions.next(session, false) {
        let children: Vec<String> = answer?.iter().map(|name| path::child(&parent, name)).collect();
        found.extend_from_slice(&children);
        questions.waiting.extend(children);
    }
    Ok(found)
}

/// A znode of a tree that is drawn.
pub struct Branch {
    /// Its path.
    pub path: String,
    /// Its last name.
    pub name: String,
    /// For each level above it, itself last, whether it is the last of its siblings there.
    pub is_last: Vec<bool>,
}

/// Visits depth first, children in order, at most so many levels below the root.
///
/// # Errors
/// The first that comes, of the server or of `visit`; a znode that goes in between is passed over.
pub fn depth_first(
    session: &Session,
    root: &str,
    depth: usize,
    visit: &mut dyn FnMut(&Branch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let top = Branch { path: root.to_owned(), name: root.to_owned(), is_last: Vec::new() };
    let mut names = session.children(root, false)?.0;
    sort(&mut names);
    visit(&top)?;
    let mut levels = vec![Level::new(&top, names)];
    while let Some(level) = levels.last_mut().filter(|level| level.is_last.len() < depth) {
        let Some((path, answer)) = level.questions.next(session, false) else {
            levels.pop();
            continue;
        };
        level.seen += 1;
        let mut is_last = level.is_last.clone();
        is_last.push(level.seen == level.count);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let branch = Branch { path, name, is_last };
        match answer {
            Err(CallError::Keeper(ErrorCode::NO_NODE, _)) => continue,
            // It is there, and its children are nobody's business.
            Err(CallError::Keeper(ErrorCode::NO_AUTH, _)) => visit(&branch)?,
            Err(error) => return Err(error.into()),
            Ok(mut names) => {
                visit(&branch)?;
                if branch.is_last.len() < depth {
                    sort(&mut names);
                    levels.push(Level::new(&branch, names));
                }
            }
        }
    }
    Ok(())
}

struct Level {
    questions: Questions,
    is_last: Vec<bool>,
    count: usize,
    seen: usize,
}

impl Level {
    fn new(parent: &Branch, names: Vec<String>) -> Self {
        let count = names.len();
        let questions = Questions::new(names.iter().map(|name| path::child(&parent.path, name)));
        Self { questions, is_last: parent.is_last.clone(), count, seen: 0 }
    }
}
