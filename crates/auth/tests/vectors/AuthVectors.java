// Writes auth.tsv: what Java's providers make of ids, addresses, ACLs and passwords. See README.md for the command.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.PrepRequestProcessor;
import org.apache.zookeeper.server.ZooKeeperServer;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;
import org.apache.zookeeper.server.auth.IPAuthenticationProvider;

public class AuthVectors {
    static final Random RANDOM = new Random(42);

    public static void main(String[] arguments) throws Exception {
        String algorithm = System.getProperty("zookeeper.DigestAuthenticationProvider.digestAlg");
        List<byte[]> passwords = new ArrayList<>();
        for (String text : Arrays.asList("user:password", "", "no-colon", ":empty-user", "user:", "a:b:c", "\u00fc:\u00df", "x:\ud83d\ude00")) {
            passwords.add(text.getBytes(UTF_8));
        }
        for (int i = 0; i < 12; i++) {
            byte[] bytes = new byte[RANDOM.nextInt(80)];
            RANDOM.nextBytes(bytes);
            passwords.add(bytes);
        }
        for (byte[] password : passwords) {
            DigestAuthenticationProvider provider = new DigestAuthenticationProvider();
            String id = provider.handleAuthentication((javax.servlet.http.HttpServletRequest) null, password).get(0).getId();
            line("digest", algorithm, hex(password), text(id), text(provider.getUserName(id)));
        }
        if (arguments.length == 0) {
            return;
        }
        ids();
        lists();
    }

    static void ids() {
        DigestAuthenticationProvider digest = new DigestAuthenticationProvider();
        IPAuthenticationProvider ip = new IPAuthenticationProvider();
        for (int i = 0; i < 60; i++) {
            String id = made("ab::\n", 6);
            line("digest-valid", text(id), digest.isValid(id));
            line("masked", text(id), text(id.replaceAll(":.*", ":x")));
        }
        List<String> fixed = Arrays.asList("", "/", "1.2.3.4", "1.2.3.4/0", "1.2.3.4/32", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+8",
            "1.2.3.4/", "01.002.+3.-0", "1.2.3.256", "1.2.3.4.", "::", "::1", "1::", ":::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::",
            "-1::", "+abc::", "-::", "12345::", "::ffff:1.2.3.4", "fe80::1%eth0", "FE80::A/10", "::/0", "::1/128", "::1/129", "1::2::3", "localhost",
            "1.2.3.4 ", "1.2.3.4/ 8", "1.2.3.4/99999999999", "a.b.c.d");
        List<String> all = new ArrayList<>(fixed);
        for (int i = 0; i < 150; i++) {
            all.add(made("01f:::", 16));
            all.add(made("12..5", 9));
            all.add(v4() + "/" + RANDOM.nextInt(35));
            all.add(v6() + "/" + RANDOM.nextInt(132));
        }
        for (String id : all) {
            line("ip-valid", text(id), ip.isValid(id));
            for (String client : Arrays.asList(v4(), v6(), "1.2.3.4", "0:0:0:0:0:0:0:1")) {
                line("ip-match", text(client), text(id), ip.matches(client, id));
            }
        }
    }

    static void lists() throws Exception {
        ZooKeeperServer server = new ZooKeeperServer();
        for (int i = 0; i < 600; i++) {
            List<Id> ids = new ArrayList<>();
            ids.add(new Id("ip", RANDOM.nextBoolean() ? "1.2.3.4" : "0:0:0:0:0:0:0:1"));
            for (int n = RANDOM.nextInt(3); n > 0; n--) {
                ids.add(new Id("digest", made("abc", 2) + ":h"));
            }
            if (RANDOM.nextInt(8) == 0) {
                ids.add(new Id("super", ""));
            }
            List<ACL> acl = RANDOM.nextInt(30) == 0 ? null : new ArrayList<>();
            List<ACL> whole = new ArrayList<>();
            for (int n = RANDOM.nextInt(4); n > 0 && acl != null; n--) {
                String scheme = one("world", "world", "ip", "digest", "digest", "auth", "auth", "super", "x509", "", null);
                String id = RANDOM.nextInt(12) == 0 ? null : one("anyone", "1.2.3.4", "1.2.0.0/16", "::/64", "1.2", "a:h", "bc:h", "b:h", "a:b:c", "");
                ACL entry = new ACL(RANDOM.nextInt(3) == 0 ? RANDOM.nextInt() : RANDOM.nextInt(32), new Id(scheme, id));
                acl.add(entry);
                if (RANDOM.nextInt(3) == 0) {
                    acl.add(new ACL(entry.getPerms(), new Id(scheme, RANDOM.nextInt(12) == 0 ? null : id)));
                }
            }
            String fixed;
            try {
                List<ACL> result = PrepRequestProcessor.fixupACL("/", ids, acl);
                fixed = acls(result);
            } catch (KeeperException.InvalidACLException e) {
                fixed = "invalid";
            } catch (NullPointerException e) {
                fixed = "null-pointer";
            }
            line("fix", names(ids), acls(acl), fixed);
            for (ACL entry : acl == null ? whole : acl) {
                if (entry.getId().getScheme() != null && entry.getId().getId() != null) {
                    whole.add(entry);
                }
            }
            for (int perm : new int[] {1, 2, 4, 8, 16, 17, 31}) {
                String passes = "true";
                try {
                    server.checkACL(null, whole, perm, ids, "/", null);
                } catch (KeeperException.NoAuthException e) {
                    passes = "false";
                }
                line("check", names(ids), acls(whole), perm, passes);
            }
        }
        for (int i = 0; i < 100; i++) {
            Set<Id> set = Collections.newSetFromMap(new ConcurrentHashMap<>());
            List<Id> added = new ArrayList<>();
            for (int n = RANDOM.nextInt(9) + 1; n > 0; n--) {
                Id id = new Id(one("ip", "digest", "digest", "super"), made("abc:\u00fc\ud83d", 12).replace('\ud83d', 'd'));
                added.add(id);
                set.add(id);
            }
            line("order", names(added), names(new ArrayList<>(set)));
        }
    }

    static String one(String... of) {
        return of[RANDOM.nextInt(of.length)];
    }

    static String made(String of, int most) {
        StringBuilder out = new StringBuilder();
        for (int n = RANDOM.nextInt(most + 1); n > 0; n--) {
            out.append(of.charAt(RANDOM.nextInt(of.length())));
        }
        return out.toString();
    }

    static String v4() {
        return "1.2." + RANDOM.nextInt(4) + "." + RANDOM.nextInt(256);
    }

    static String v6() {
        return "2001:db8:0:0:0:" + Integer.toHexString(RANDOM.nextInt(3)) + ":0:" + Integer.toHexString(RANDOM.nextInt(65536));
    }

    static void line(Object... fields) {
        StringBuilder out = new StringBuilder();
        for (Object field : fields) {
            out.append(out.length() == 0 ? "" : "\t").append(field);
        }
        System.out.println(out);
    }

    static String names(List<Id> ids) {
        List<String> out = new ArrayList<>();
        for (Id id : ids) {
            out.add(text(id.getScheme()) + "|" + text(id.getId()));
        }
        return String.join(";", out);
    }

    static String acls(List<ACL> acl) {
        if (acl == null) {
            return "~";
        }
        List<String> out = new ArrayList<>();
        for (ACL entry : acl) {
            out.add(entry.getPerms() + "|" + text(entry.getId().getScheme()) + "|" + text(entry.getId().getId()));
        }
        return String.join(";", out);
    }

    // "~" is null; bytes other than letters, digits and a few signs are %xx.
    static String text(String value) {
        if (value == null) {
            return "~";
        }
        StringBuilder out = new StringBuilder();
        for (byte b : value.getBytes(UTF_8)) {
            if (Character.isLetterOrDigit(b) && b > 0 || ":/.+-=_".indexOf(b) >= 0) {
                out.append((char) b);
            } else {
                out.append(String.format("%%%02x", b & 0xff));
            }
        }
        return out.toString();
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte b : bytes) {
            out.append(String.format("%02x", b & 0xff));
        }
        return out.toString();
    }
}
