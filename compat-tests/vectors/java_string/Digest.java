// Prints what Java makes of malformed and valid UTF-8: for each class of byte sequences a CRC-32 over the UTF-16
// code units (high byte first, each string followed by the unit FFFF, which no decoding gives back as such at its
// end) of new String(bytes, UTF_8). The same classes are made in crates/proto/tests/java_string.rs.
//
//   java Digest.java > digests.txt

import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

public class Digest {
    // Both sides of every boundary that a decoder looks at, for the first byte and for those after it.
    static final int[] FIRST = {0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
        0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfd, 0xfe, 0xff};
    static final int[] LATER = {0x00, 0x41, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xaf, 0xb0, 0xbf, 0xc0, 0xc2, 0xdf,
        0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};

    static CRC32 sum;

    static void add(byte... bytes) {
        String text = new String(bytes, StandardCharsets.UTF_8);
        byte[] units = new byte[text.length() * 2 + 2];
        for (int at = 0; at < text.length(); at++) {
            units[2 * at] = (byte) (text.charAt(at) >> 8);
            units[2 * at + 1] = (byte) text.charAt(at);
        }
        units[units.length - 2] = (byte) 0xff;
        units[units.length - 1] = (byte) 0xff;
        sum.update(units);
    }

    static void print(String name) {
        System.out.printf("%s %08x%n", name, sum.getValue());
        sum = new CRC32();
    }

    public static void main(String[] arguments) {
        sum = new CRC32();
        for (int a = 0; a < 256; a++) {
            add((byte) a);
        }
        print("one");
        for (int ab = 0; ab < 1 << 16; ab++) {
            add((byte) (ab >> 8), (byte) ab);
        }
        print("two");
        for (int abc = 0; abc < 1 << 24; abc++) {
            add((byte) (abc >> 16), (byte) (abc >> 8), (byte) abc);
        }
        print("three");
        for (int a : FIRST) {
            for (int b : LATER) {
                for (int c : LATER) {
                    for (int d : LATER) {
                        add((byte) a, (byte) b, (byte) c, (byte) d);
                    }
                }
            }
        }
        print("four");
        // What follows, and what goes before.
        for (int a : FIRST) {
            for (int b : LATER) {
                for (int c : LATER) {
                    for (int d : LATER) {
                        add((byte) 'x', (byte) a, (byte) b, (byte) c, (byte) d, (byte) 'y', (byte) 'z');
                    }
                }
            }
        }
        print("four_between_ascii");
        for (int bcd = 0; bcd < 1 << 18; bcd++) {
            for (int a : new int[] {0xf0, 0xf4}) {
                add((byte) a, (byte) (0x80 | bcd >> 12), (byte) (0x80 | bcd >> 6 & 0x3f), (byte) (0x80 | bcd & 0x3f));
            }
        }
        print("four_well_formed");
    }
}
