//! Our decoder of strings against Java's: every sequence of one to three bytes, and those of four bytes with each
//! byte on both sides of every boundary. Java's digests and the program that printed them are in
//! `compat-tests/vectors/java_string`.

use oxkeeper_proto::java_string::decode;

const FIRST: [u8; 27] = [
    0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8,
    0xfb, 0xfc, 0xfd, 0xfe, 0xff,
];
const LATER: [u8; 22] =
    [0x00, 0x41, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xaf, 0xb0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff];

/// CRC-32 (the one of zip), a table's byte at a time.
struct Sum {
    table: [u32; 256],
    state: u32,
}

impl Sum {
    fn new() -> Self {
        let mut table = [0; 256];
        for (byte, entry) in table.iter_mut().enumerate() {
            *entry = (0..8).fold(byte as u32, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
        }
        Self { table, state: !0 }
    }

    fn byte(&mut self, byte: u8) {
        self.state = self.table[usize::from(self.state as u8 ^ byte)] ^ self.state >> 8;
    }

    fn add(&mut self, bytes: &[u8]) {
        for unit in decode(bytes).encode_utf16().chain([0xffff]) {
            let [high, low] = unit.to_be_bytes();
            self.byte(high);
            self.byte(low);
        }
    }
}

fn four(mut each: impl FnMut([u8; 4])) {
    for a in FIRST {
        for b in LATER {
            for c in LATER {
                for d in LATER {
                    each([a, b, c, d]);
                }
            }
        }
    }
}

fn digest(class: &str) -> String {
    let mut sum = Sum::new();
    match class {
        "one" => (0..=255u8).for_each(|a| sum.add(&[a])),
        "two" => (0..=u16::MAX).for_each(|ab| sum.add(&ab.to_be_bytes())),
        "three" => (0..1u32 << 24).for_each(|abc| sum.add(&abc.to_be_bytes()[1..])),
        "four" => four(|bytes| sum.add(&bytes)),
        "four_between_ascii" => four(|[a, b, c, d]| sum.add(&[b'x', a, b, c, d, b'y', b'z'])),
        "four_well_formed" => {
            for bcd in 0..1u32 << 18 {
                for a in [0xf0, 0xf4] {
                    let later = |shift: u32| 0x80 | (bcd >> shift & 0x3f) as u8;
                    sum.add(&[a, later(12), later(6), later(0)]);
                }
            }
        }
        other => panic!("no class {other}"),
    }
    format!("{:08x}", !sum.state)
}

#[test]
fn strings_are_read_as_java_reads_them() {
    let expected = include_str!("../../../compat-tests/vectors/java_string/digests.txt");
    let mut classes = 0;
    for line in expected.lines().filter(|line| !line.is_empty()) {
        let (class, java) = line.split_once(' ').expect("a class and its digest");
        assert_eq!(digest(class), java, "sequences of class {class}");
        classes += 1;
    }
    assert_eq!(classes, 6);
}

/// What is valid UTF-8 is taken as it is: for each character, alone and in company.
#[test]
fn valid_text_is_taken_as_it_is() {
    for c in (0..=0x10_ffff).filter_map(char::from_u32) {
        let text = format!("a{c}é{c}");
        assert_eq!(decode(text.as_bytes()), text);
    }
}
