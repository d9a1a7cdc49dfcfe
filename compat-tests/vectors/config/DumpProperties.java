// Prints what java.util.Properties reads from a file: a line `key<TAB>value` for each entry, sorted by key,
// everything outside of printable ASCII and every backslash as backslash-u-XXXX (half surrogate pairs as FFFD), or
// the one line ERROR when load() refuses the file. Run: java DumpProperties.java <file.properties>...
// It writes <file>.expected beside each file.
import java.io.FileInputStream;
import java.io.PrintWriter;
import java.util.Properties;
import java.util.TreeSet;

public class DumpProperties {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            try (PrintWriter out = new PrintWriter(file.replaceAll("[.]properties$", ".expected"), "US-ASCII");
                 FileInputStream in = new FileInputStream(file)) {
                Properties properties = new Properties();
                try {
                    properties.load(in);
                } catch (IllegalArgumentException refused) {
                    out.print("ERROR\n");
                    continue;
                }
                for (String key : new TreeSet<>(properties.stringPropertyNames())) {
                    out.print(escape(key) + "\t" + escape(properties.getProperty(key)) + "\n");
                }
            }
        }
    }

    private static String escape(String text) {
        StringBuilder escaped = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            boolean pairBegins = Character.isHighSurrogate(c) && i + 1 < text.length()
                && Character.isLowSurrogate(text.charAt(i + 1));
            boolean pairEnds = Character.isLowSurrogate(c) && i > 0 && Character.isHighSurrogate(text.charAt(i - 1));
            if (Character.isSurrogate(c) && !pairBegins && !pairEnds) {
                c = (char) 0xFFFD;
            }
            if (c < ' ' || c > '~' || c == '\\') {
                escaped.append(String.format("\\u%04X", (int) c));
            } else {
                escaped.append(c);
            }
        }
        return escaped.toString();
    }
}
