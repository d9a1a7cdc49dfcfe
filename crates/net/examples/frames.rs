//! How many frames a second come out of a `ReadBuffer`, without sockets:
//! `cargo run --release -p oxkeeper-net --example frames`.

use oxkeeper_net::{ReadBuffer, ReadOutcome};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::time::Instant;

/// Gives the same bytes over and over, in segments of one size.
struct Endless<'a> {
    bytes: &'a [u8],
    at: usize,
    segment: usize,
    left: usize,
}

impl Read for Endless<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.segment).min(self.bytes.len() - self.at).min(self.left);
        into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at = (self.at + count) % self.bytes.len();
        self.left -= count;
        Ok(count)
    }
}

fn main() {
    let mut shared = vec![0; 256 * 1024];
    for (frame_bytes, segment) in [(40, 1 << 18), (40, 1460), (40, 100), (1064, 1 << 18), (1064, 1460), (1 << 20, 1 << 18)] {
        let mut bytes = Vec::new();
        for _ in 0..((4 << 20) / frame_bytes).max(1) {
            bytes.extend_from_slice(&(frame_bytes as i32).to_be_bytes());
            bytes.resize(bytes.len() + frame_bytes, 7);
        }
        let mut source = Endless { bytes: &bytes, at: 0, segment, left: bytes.len() * 50 };
        let (mut input, mut frames, mut sum) = (ReadBuffer::default(), 0_u64, 0_usize);
        let begun = Instant::now();
        while source.left > 0 {
            let each = |frame: &[u8]| {
                frames += 1;
                sum += frame.len();
                ControlFlow::Continue(())
            };
            let outcome = input.read_frames(&mut source, &mut shared, 1 << 20, false, each).expect("no socket, no error");
            assert!(matches!(outcome, ReadOutcome::WouldBlock | ReadOutcome::More));
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "frames of {frame_bytes:>7} B in segments of {segment:>6} B: {:>7.2} M frames/s, {:>6.2} GB/s",
            frames as f64 / seconds / 1e6,
            sum as f64 / seconds / 1e9
        );
    }
}
