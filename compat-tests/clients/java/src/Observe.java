// The official Java client, used as its users use it. Prints a transcript of what it saw; the runner compares the one
// made against Java with the one made against Oxkeeper. One source for the clients of 3.8 and 3.9.
//
// Usage: java Observe host:port. A line "@restart" on the output asks the runner to restart the server; the answer is
// one line on the input. What differs from run to run (times, session ids) is left out of the transcript here.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

public class Observe {
    static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));
    static String hostPort;
    static final int DEADLINE_SECONDS = 60;

    static void say(String line) {
        System.out.println(line);
    }

    static void ask(String what) throws Exception {
        say("@" + what);
        if (ANSWERS.readLine() == null) {
            throw new IllegalStateException("the runner is gone");
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] data) {
        return data == null ? "null" : new String(data, StandardCharsets.UTF_8);
    }

    /** Every field of a Stat that does not come from a clock or a session id. */
    static String show(Stat stat) {
        if (stat == null) {
            return "no stat";
        }
        String owner = stat.getEphemeralOwner() == 0 ? "none"
            : stat.getEphemeralOwner() == Long.MIN_VALUE ? "container"
            : (stat.getEphemeralOwner() >>> 56) == 0xff ? "ttl " + (stat.getEphemeralOwner() & 0xffffffffffL)
            : "a session";
        return "c" + stat.getCzxid() + " m" + stat.getMzxid() + " p" + stat.getPzxid() + " v" + stat.getVersion() + " cv"
            + stat.getCversion() + " av" + stat.getAversion() + " len" + stat.getDataLength() + " kids"
            + stat.getNumChildren() + " owner " + owner + (stat.getCtime() == stat.getMtime() ? " ctime=mtime" : "");
    }

    static String show(OpResult result) {
        if (result instanceof OpResult.ErrorResult) {
            return "error " + KeeperException.Code.get(((OpResult.ErrorResult) result).getErr());
        }
        if (result instanceof OpResult.CreateResult) {
            OpResult.CreateResult create = (OpResult.CreateResult) result;
            return "create " + create.getPath() + (create.getStat() == null ? "" : " " + show(create.getStat()));
        }
        if (result instanceof OpResult.SetDataResult) {
            return "set " + show(((OpResult.SetDataResult) result).getStat()).replace(" ctime=mtime", "");
        }
        if (result instanceof OpResult.GetDataResult) {
            return "data " + text(((OpResult.GetDataResult) result).getData());
        }
        if (result instanceof OpResult.GetChildrenResult) {
            return "children " + new TreeSet<>(((OpResult.GetChildrenResult) result).getChildren());
        }
        return result.getClass().getSimpleName();
    }

    /** Runs a call and says what came of it: its value, or the error with its path. */
    static void tell(String what, Callable<?> call) throws Exception {
        try {
            Object value = call.call();
            String shown = value instanceof Stat ? show((Stat) value)
                : value instanceof byte[] ? text((byte[]) value)
                : value instanceof List && !((List<?>) value).isEmpty() && ((List<?>) value).get(0) instanceof String
                    ? new TreeSet<>((List<?>) value).toString()
                : String.valueOf(value);
            say(what + " -> " + shown.trim());
        } catch (KeeperException e) {
            say(what + " -> " + e.code() + " path " + e.getPath()
                + (e.getResults() == null ? "" : " results " + results(e.getResults())));
        } catch (IllegalArgumentException e) {
            say(what + " -> refused by the client: " + e.getMessage());
        }
    }

    static String results(List<OpResult> results) {
        List<String> shown = new ArrayList<>();
        for (OpResult result : results) {
            shown.add(show(result));
        }
        return shown.toString();
    }

    /** Events in the order they came, asked for one at a time. */
    static class Events implements Watcher {
        final BlockingQueue<String> queue = new LinkedBlockingQueue<>();
        final String name;

        Events(String name) {
            this.name = name;
        }

        @Override
        public void process(WatchedEvent event) {
            queue.add(event.getType() == Event.EventType.None
                ? event.getState().toString()
                : event.getType() + " " + event.getPath());
        }

        String next() throws Exception {
            String event = queue.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
            check(event != null, "no event for " + name);
            return event;
        }

        void expect(String... wanted) throws Exception {
            for (String want : wanted) {
                String event = next();
                check(event.equals(want), name + ": event " + event + " in place of " + want);
                say("event " + name + ": " + event);
            }
        }

        void until(String wanted) throws Exception {
            while (!next().equals(wanted)) { }
        }

        /** All that came so far; after settle() that is all there is. */
        void sayAll() {
            say("events " + name + ": " + queue);
            queue.clear();
        }

        void nothing() {
            check(queue.isEmpty(), name + ": events nobody expected " + queue);
            say("event " + name + ": none");
        }
    }

    /** Returns when every event of the writes made so far has been delivered: callbacks and events share one queue. */
    static void settle(ZooKeeper zk) throws Exception {
        BlockingQueue<String> end = new LinkedBlockingQueue<>();
        zk.sync("/", (rc, path, ctx) -> end.add("end"), null);
        check(end.poll(DEADLINE_SECONDS, TimeUnit.SECONDS) != null, "no answer to sync");
    }

    /** A client that can vanish without closing its session, as a crashed process does. */
    static class Client extends ZooKeeper {
        Client(String hosts, int timeoutMs, Watcher watcher) throws Exception {
            super(hosts, timeoutMs, watcher);
        }

        Client(String hosts, int timeoutMs, Watcher watcher, long id, byte[] passwd) throws Exception {
            super(hosts, timeoutMs, watcher, id, passwd);
        }

        void vanish() throws Exception {
            cnxn.disconnect();
        }
    }

    static Client connect(String chroot, int timeoutMs, Events events) throws Exception {
        Client client = new Client(hostPort + chroot, timeoutMs, events);
        events.until("SyncConnected");
        return client;
    }

    public static void main(String[] args) throws Exception {
        hostPort = args[0];
        Events events = new Events("default");
        Client zk = connect("", 30000, events);
        say("connected, timeout " + zk.getSessionTimeout() + ", state " + zk.getState());
        check(zk.getSessionId() != 0 && zk.getSessionPasswd().length == 16, "session id and password");

        synchronous(zk);
        accessControl(zk);
        asynchronous(zk);
        multi(zk);
        watches(zk, events);
        chroot(zk);
        moved(zk);
        restart(zk, events);
        shortLived(zk);

        zk.close();
        events.until("Closed");
        say("closed, state " + zk.getState());
        System.exit(0);
    }

    static void synchronous(Client zk) throws Exception {
        say("== synchronous");
        tell("root", () -> zk.getChildren("/", false));
        tell("/zookeeper", () -> zk.getChildren("/zookeeper", false));
        tell("create /s", () -> zk.create("/s", bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("create /s again", () -> zk.create("/s", bytes("one"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("create below nothing", () -> zk.create("/none/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("create no data", () -> zk.create("/s/nodata", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("create empty", () -> zk.create("/s/empty", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("get no data", () -> zk.getData("/s/nodata", false, null));
        tell("get empty", () -> zk.getData("/s/empty", false, null));
        tell("create umlaut", () -> zk.create("/s/gr\u00fc\u00dfe-\u6f22", bytes("\u00e4"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        for (CreateMode mode : CreateMode.values()) {
            Stat stat = new Stat();
            long ttl = mode.isTTL() ? 3600000 : -1;
            tell("create " + mode, () -> zk.create("/s/" + mode + "-", bytes("x"), Ids.OPEN_ACL_UNSAFE, mode, stat, ttl));
            say("  stat " + show(stat));
        }
        tell("second sequence", () -> zk.create("/s/q-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        tell("sequence without name", () -> zk.create("/s/", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        tell("child of ephemeral", () -> zk.create("/s/EPHEMERAL-/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("ttl 0", () -> zk.create("/s/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, null, 0));
        tell("bad path", () -> zk.create("/s/../x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("ends in slash", () -> zk.create("/s/x/", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("children", () -> zk.getChildren("/s", false));
        Stat parent = new Stat();
        tell("children of nothing", () -> zk.getChildren("/none", false, parent));
        tell("children and stat", () -> zk.getChildren("/s", false, parent));
        say("  stat " + show(parent).replace(" ctime=mtime", ""));
        tell("all children", () -> zk.getAllChildrenNumber("/s"));
        tell("all children of the root", () -> zk.getAllChildrenNumber("/"));
        tell("all children of nothing", () -> zk.getAllChildrenNumber("/none"));
        tell("ephemerals", () -> zk.getEphemerals());
        tell("ephemerals below /s/EPHEMERAL_", () -> zk.getEphemerals("/s/EPHEMERAL_"));
        tell("ephemerals below nothing", () -> zk.getEphemerals("/none"));
        tell("exists", () -> zk.exists("/s", false).getNumChildren());
        tell("exists not", () -> zk.exists("/none", false));
        tell("get of nothing", () -> zk.getData("/none", false, null));
        tell("set", () -> zk.setData("/s", bytes("two"), 0).getVersion());
        tell("set wrong version", () -> zk.setData("/s", bytes("three"), 0));
        tell("set any version", () -> zk.setData("/s", bytes("three"), -1).getVersion());
        tell("set of nothing", () -> zk.setData("/none", bytes("x"), -1));
        tell("set to no data", () -> zk.setData("/s/empty", null, -1).getDataLength());
        Stat stat = new Stat();
        tell("get", () -> zk.getData("/s", false, stat));
        check(stat.getVersion() == 2 && stat.getDataLength() == 5, "stat of /s " + stat);
        tell("delete of a parent", () -> { zk.delete("/s", -1); return "gone"; });
        tell("delete wrong version", () -> { zk.delete("/s/empty", 7); return "gone"; });
        tell("delete", () -> { zk.delete("/s/empty", 1); return "gone"; });
        tell("delete of nothing", () -> { zk.delete("/s/empty", -1); return "gone"; });
        tell("delete of the root", () -> { zk.delete("/", -1); return "gone"; });
        tell("delete of /zookeeper", () -> { zk.delete("/zookeeper", -1); return "gone"; });
        tell("set of the root", () -> zk.setData("/", bytes("root"), -1).getVersion());
        byte[] large = new byte[1000000];
        Arrays.fill(large, (byte) 'a');
        tell("a large node", () -> zk.create("/s/large", large, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        check(Arrays.equals(zk.getData("/s/large", false, null), large), "a megabyte comes back");
        zk.sync("/s", (rc, path, context) -> { }, null);
        tell("config", () -> zk.getConfig(false, new Stat()));
        tell("recursive list", () -> new ArrayList<>(ZKUtil.listSubTreeBFS(zk, "/s")));
        tell("deleteRecursive", () -> ZKUtil.deleteRecursive(zk, "/s", 100));
        tell("exists after", () -> zk.exists("/s", false));
        tell("ephemerals after", () -> zk.getEphemerals());
    }

    static void accessControl(Client zk) throws Exception {
        say("== access control");
        Id joe = new Id("digest", org.apache.zookeeper.server.auth.DigestAuthenticationProvider.generateDigest("joe:secret"));
        tell("whoAmI before", () -> who(zk));
        tell("creator without identity", () -> zk.create("/acl", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        tell("empty acl", () -> zk.create("/acl", null, Collections.emptyList(), CreateMode.PERSISTENT));
        tell("unknown scheme", () -> zk.create("/acl", null, Arrays.asList(new ACL(Perms.ALL, new Id("nobody", "x"))), CreateMode.PERSISTENT));
        tell("bad ip", () -> zk.create("/acl", null, Arrays.asList(new ACL(Perms.ALL, new Id("ip", "1.2.3.4/99"))), CreateMode.PERSISTENT));
        tell("bad digest", () -> zk.create("/acl", null, Arrays.asList(new ACL(Perms.ALL, new Id("digest", "nocolon"))), CreateMode.PERSISTENT));
        tell("create for joe", () -> zk.create("/acl", bytes("a"), Arrays.asList(new ACL(Perms.ALL, joe), new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE)), CreateMode.PERSISTENT));
        tell("set as anyone", () -> zk.setData("/acl", bytes("b"), -1));
        tell("create below as anyone", () -> zk.create("/acl/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        tell("getACL as anyone", () -> zk.getACL("/acl", new Stat()));
        tell("setACL as anyone", () -> zk.setACL("/acl", Ids.OPEN_ACL_UNSAFE, -1));
        zk.addAuthInfo("digest", bytes("joe:secret"));
        tell("set as joe", () -> zk.setData("/acl", bytes("b"), -1).getVersion());
        tell("whoAmI after", () -> who(zk));
        tell("creator with identity", () -> zk.create("/acl/mine", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        Stat stat = new Stat();
        tell("getACL as joe", () -> zk.getACL("/acl/mine", stat));
        tell("setACL wrong version", () -> zk.setACL("/acl/mine", Ids.READ_ACL_UNSAFE, 4));
        tell("setACL", () -> zk.setACL("/acl/mine", Arrays.asList(new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE), new ACL(Perms.ALL, new Id("ip", "127.0.0.0/8"))), 0).getAversion());
        tell("getACL", () -> zk.getACL("/acl/mine", stat));
        Events events = new Events("stranger");
        Client stranger = connect("", 30000, events);
        tell("stranger sets by ip", () -> stranger.setData("/acl/mine", bytes("z"), -1).getVersion());
        tell("stranger deletes", () -> { stranger.delete("/acl/mine", -1); return "gone"; });
        tell("getACL as a stranger", () -> stranger.getACL("/acl", new Stat()));
        stranger.addAuthInfo("digest", bytes("super:secret"));
        tell("super reads", () -> stranger.getACL("/acl", new Stat()));
        tell("super whoAmI", () -> who(stranger));
        tell("super deletes", () -> { stranger.delete("/acl/mine", -1); return "gone"; });
        stranger.addAuthInfo("nosuchscheme", bytes("x"));
        events.expect("AuthFailed");
        tell("after AuthFailed", () -> stranger.exists("/acl", false));
        stranger.close();
        zk.delete("/acl", -1);
    }

    static List<String> who(ZooKeeper zk) throws Exception {
        List<String> shown = new ArrayList<>();
        for (ClientInfo info : zk.whoAmI()) {
            shown.add(info.getAuthScheme() + " " + info.getUser());
        }
        return shown;
    }

    static void asynchronous(Client zk) throws Exception {
        say("== asynchronous");
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        String context = "ctx";
        zk.create("/a", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
            (AsyncCallback.StringCallback) (rc, path, ctx, name) -> seen.add("create " + rc + " " + path + " " + ctx + " " + name), context);
        zk.create("/a/b", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
            (AsyncCallback.Create2Callback) (rc, path, ctx, name, stat) -> seen.add("create2 " + rc + " " + path + " " + ctx + " " + name + " " + show(stat)), context);
        zk.create("/a/c", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER,
            (AsyncCallback.Create2Callback) (rc, path, ctx, name, stat) -> seen.add("container " + rc + " " + name + " " + show(stat)), context);
        zk.create("/a/t", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL,
            (AsyncCallback.Create2Callback) (rc, path, ctx, name, stat) -> seen.add("ttl " + rc + " " + name + " " + show(stat)), context, 7200000);
        zk.exists("/a", false, (AsyncCallback.StatCallback) (rc, path, ctx, stat) -> seen.add("exists " + rc + " " + path + " " + stat.getNumChildren()), context);
        zk.exists("/none", false, (AsyncCallback.StatCallback) (rc, path, ctx, stat) -> seen.add("exists " + rc + " " + path + " " + show(stat)), context);
        zk.setData("/a", bytes("2"), 0, (rc, path, ctx, stat) -> seen.add("set " + rc + " " + path + " " + stat.getVersion()), context);
        zk.setData("/a", bytes("2"), 0, (rc, path, ctx, stat) -> seen.add("set " + rc + " " + path + " " + show(stat)), context);
        zk.getData("/a", false, (AsyncCallback.DataCallback) (rc, path, ctx, data, stat) -> seen.add("get " + rc + " " + path + " " + text(data)), context);
        zk.getACL("/a", new Stat(), (AsyncCallback.ACLCallback) (rc, path, ctx, acl, stat) -> seen.add("getACL " + rc + " " + path + " " + acl), context);
        zk.setACL("/a", Ids.OPEN_ACL_UNSAFE, 0, (rc, path, ctx, stat) -> seen.add("setACL " + rc + " " + path + " " + stat.getAversion()), context);
        zk.getChildren("/a", false, (AsyncCallback.ChildrenCallback) (rc, path, ctx, children) -> seen.add("children " + rc + " " + path + " " + new TreeSet<>(children)), context);
        zk.getChildren("/a", false, (AsyncCallback.Children2Callback) (rc, path, ctx, children, stat) -> seen.add("children2 " + rc + " " + path + " " + new TreeSet<>(children) + " cv" + stat.getCversion()), context);
        zk.getAllChildrenNumber("/a", (rc, path, ctx, number) -> seen.add("all children " + rc + " " + path + " " + number), context);
        zk.getEphemerals("/a", (rc, ctx, paths) -> seen.add("ephemerals " + rc + " " + paths), context);
        zk.getConfig(false, (AsyncCallback.DataCallback) (rc, path, ctx, data, stat) -> seen.add("config " + rc + " " + path + " " + text(data).trim()), context);
        zk.sync("/a", (rc, path, ctx) -> seen.add("sync " + rc + " " + path), context);
        zk.sync("/none", (rc, path, ctx) -> seen.add("sync " + rc + " " + path), context);
        zk.multi(Arrays.asList(Op.check("/a", 1), Op.setData("/a", bytes("3"), 1)),
            (rc, path, ctx, results) -> seen.add("multi " + rc + " " + path + " " + results(results)), context);
        zk.delete("/a", -1, (rc, path, ctx) -> seen.add("delete " + rc + " " + path), context);
        for (String child : Arrays.asList("b", "c", "t")) {
            zk.delete("/a/" + child, -1, (rc, path, ctx) -> seen.add("delete " + rc + " " + path), context);
        }
        zk.delete("/a", -1, (rc, path, ctx) -> seen.add("last delete " + rc + " " + path), context);
        String line;
        do {
            line = seen.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
            check(line != null, "an answer is missing");
            say(line);
        } while (!line.startsWith("last delete"));

        zk.create("/many", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        for (int i = 0; i < 1000; i++) {
            int number = i;
            zk.create("/many/n" + i, bytes("" + i), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                (AsyncCallback.StringCallback) (rc, path, ctx, name) -> order.add(rc + " " + number), null);
            zk.getData("/many/n" + i, false,
                (AsyncCallback.DataCallback) (rc, path, ctx, data, stat) -> order.add(rc + " " + text(data)), null);
        }
        zk.sync("/", (rc, path, ctx) -> seen.add("end"), null);
        check(seen.poll(DEADLINE_SECONDS, TimeUnit.SECONDS) != null, "2,000 answers");
        List<String> wanted = new ArrayList<>();
        for (int i = 0; i < 1000; i++) {
            wanted.add("0 " + i);
            wanted.add("0 " + i);
        }
        check(order.equals(wanted), "answers in the order of the questions, each read sees the write before it");
        say("2,000 answers in order");
        tell("count", () -> zk.getAllChildrenNumber("/many"));
        ZKUtil.deleteRecursive(zk, "/many", 100);
    }

    static void multi(Client zk) throws Exception {
        say("== multi");
        tell("all kinds", () -> results(zk.multi(Arrays.asList(
            Op.create("/m", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/m/seq-", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.create("/m/seq-", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
            Op.create("/m/container", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/m/ttl", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 3600000),
            Op.check("/m", 0),
            Op.setData("/m", bytes("2"), 0),
            Op.delete("/m/ttl", 0)))));
        tell("fails in the middle", () -> results(zk.multi(Arrays.asList(
            Op.create("/m/x", bytes("1"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.check("/m", 9),
            Op.delete("/m/container", -1)))));
        tell("fails first", () -> results(zk.multi(Arrays.asList(Op.delete("/m/none", -1), Op.setData("/m", null, -1)))));
        tell("nothing changed", () -> zk.getChildren("/m", false));
        tell("empty", () -> results(zk.multi(Collections.emptyList())));
        tell("reads", () -> results(zk.multi(Arrays.asList(
            Op.getData("/m"), Op.getChildren("/m"), Op.getData("/none"), Op.getChildren("/none")))));
        tell("mixed", () -> results(zk.multi(Arrays.asList(Op.getData("/m"), Op.setData("/m", null, -1)))));
        tell("transaction", () -> results(zk.transaction().create("/m/tx", bytes("t"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)
            .setData("/m/tx", bytes("u"), 0).check("/m/tx", 1).delete("/m/tx", 1).commit()));
        ZKUtil.deleteRecursive(zk, "/m", 10);
    }

    static void watches(Client zk, Events events) throws Exception {
        say("== watches");
        Events data = new Events("data");
        Events exists = new Events("exists");
        Events child = new Events("child");
        tell("watch nothing", () -> zk.exists("/w", exists));
        tell("data watch on nothing", () -> zk.getData("/w", data, null));
        zk.create("/w", bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        exists.expect("NodeCreated /w");
        zk.exists("/w", true);
        zk.getData("/w", data, null);
        zk.getChildren("/w", child);
        zk.setData("/w", bytes("1"), -1);
        zk.setData("/w", bytes("2"), -1);
        data.expect("NodeDataChanged /w");
        events.expect("NodeDataChanged /w");
        zk.create("/w/c", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        child.expect("NodeChildrenChanged /w");
        zk.getChildren("/w", child);
        zk.getData("/w/c", data, null);
        zk.getChildren("/w/c", child);
        zk.exists("/w/c", exists);
        zk.delete("/w/c", -1);
        data.expect("NodeDeleted /w/c");
        exists.expect("NodeDeleted /w/c");
        child.expect("NodeDeleted /w/c", "NodeChildrenChanged /w");

        Events persistent = new Events("persistent");
        Events recursive = new Events("recursive");
        zk.create("/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.addWatch("/w", persistent, AddWatchMode.PERSISTENT);
        zk.addWatch("/x", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.addWatch("/notyet", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.setData("/w", bytes("3"), -1);
        zk.setData("/w", bytes("4"), -1);
        zk.create("/w/d", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/w/d/e", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.multi(Arrays.asList(Op.delete("/w/d/e", -1), Op.delete("/w/d", -1)));
        zk.setData("/x", bytes("4"), -1);
        zk.create("/x/d", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/x/d/e", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.setData("/x/d/e", bytes("5"), -1);
        zk.multi(Arrays.asList(Op.delete("/x/d/e", -1), Op.delete("/x/d", -1)));
        zk.create("/notyet", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete("/notyet", -1);
        persistent.expect("NodeDataChanged /w", "NodeDataChanged /w", "NodeChildrenChanged /w", "NodeChildrenChanged /w");
        recursive.expect("NodeDataChanged /x", "NodeCreated /x/d", "NodeCreated /x/d/e", "NodeDataChanged /x/d/e",
            "NodeDeleted /x/d/e", "NodeDeleted /x/d", "NodeCreated /notyet", "NodeDeleted /notyet");

        // Both kinds, and a data watch, on one path: servers of 3.8 and 3.9 differ, so here only the transcripts judge.
        Events both = new Events("both kinds");
        zk.addWatch("/x", both, AddWatchMode.PERSISTENT);
        zk.getData("/x", both, null);
        zk.setData("/x", bytes("5"), -1);
        zk.create("/x/f", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.setData("/x/f", bytes("6"), -1);
        zk.delete("/x/f", -1);
        settle(zk);
        both.sayAll();
        recursive.sayAll();
        tell("remove it", () -> { zk.removeWatches("/x", both, Watcher.WatcherType.Any, false); return "removed"; });
        zk.setData("/x", bytes("7"), -1);
        settle(zk);
        both.sayAll();
        recursive.sayAll();
        zk.removeAllWatches("/x", Watcher.WatcherType.Any, false);
        settle(zk);
        recursive.sayAll();
        zk.delete("/x", -1);
        zk.addWatch("/w", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.removeWatches("/w", persistent, Watcher.WatcherType.Any, false);
        settle(zk);
        persistent.sayAll();
        tell("remove the wrong kind", () -> { zk.removeWatches("/w", recursive, Watcher.WatcherType.Data, false); return "removed"; });
        tell("remove recursive", () -> { zk.removeWatches("/w", recursive, Watcher.WatcherType.Any, false); return "removed"; });
        recursive.expect("PersistentWatchRemoved /w");
        tell("remove again", () -> { zk.removeWatches("/w", recursive, Watcher.WatcherType.Any, false); return "removed"; });
        zk.getData("/w", data, null);
        zk.getChildren("/w", child);
        tell("remove child watch", () -> { zk.removeWatches("/w", child, Watcher.WatcherType.Children, false); return "removed"; });
        child.expect("ChildWatchRemoved /w");
        zk.setData("/w", bytes("6"), -1);
        data.expect("NodeDataChanged /w");
        zk.addWatch("/w", persistent, AddWatchMode.PERSISTENT);
        zk.getChildren("/w", child);
        tell("remove all", () -> { zk.removeAllWatches("/w", Watcher.WatcherType.Any, false); return "removed"; });
        tell("remove all of nothing", () -> { zk.removeAllWatches("/none", Watcher.WatcherType.Any, false); return "removed"; });
        zk.delete("/w", -1);
        settle(zk);
        persistent.sayAll();
        child.sayAll();
        data.nothing();
        recursive.nothing();
    }

    static void chroot(Client zk) throws Exception {
        say("== chroot");
        zk.create("/jail", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Events events = new Events("inmate");
        Client inmate = connect("/jail", 30000, events);
        tell("create", () -> inmate.create("/cell", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        tell("root", () -> inmate.getChildren("/", true));
        zk.create("/jail/second", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        events.expect("NodeChildrenChanged /");
        tell("ephemerals", () -> inmate.getEphemerals());
        inmate.close();
        tell("ephemeral is gone", () -> zk.getChildren("/jail", false));
        ZKUtil.deleteRecursive(zk, "/jail", 10);
    }

    static void moved(Client zk) throws Exception {
        say("== session moved");
        Events first = new Events("first");
        Client old = connect("", 20000, first);
        old.create("/mine", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        long id = old.getSessionId();
        byte[] passwd = old.getSessionPasswd();
        old.vanish();

        Events wrong = new Events("wrong password");
        new Client(hostPort, 20000, wrong, id, new byte[16]);
        wrong.until("Expired");
        say("a wrong password: Expired");
        tell("the ephemeral lives", () -> show(zk.exists("/mine", false)));

        Events second = new Events("second");
        Client next = new Client(hostPort, 20000, second, id, passwd);
        second.expect("SyncConnected");
        check(next.getSessionId() == id, "the same session");
        check(Arrays.equals(next.getSessionPasswd(), passwd), "the same password");
        tell("its ephemerals", () -> next.getEphemerals());
        check(zk.exists("/mine", false).getEphemeralOwner() == id, "the owner is the session");

        // A third attach while the second is connected: the server drops the second connection.
        Events third = new Events("third");
        Client last = new Client(hostPort, 20000, third, id, passwd);
        third.until("SyncConnected");
        second.until("Disconnected");
        say("the connection that had the session is dropped");
        next.vanish();
        Events fourth = new Events("fourth");
        last.vanish();
        Client heir = new Client(hostPort, 20000, fourth, id, passwd);
        fourth.until("SyncConnected");
        heir.close();
        tell("closed by its heir", () -> zk.exists("/mine", false));

        Events gone = new Events("after close");
        new Client(hostPort, 20000, gone, id, passwd);
        gone.until("Expired");
        say("a closed session: Expired");
    }

    static void restart(Client zk, Events events) throws Exception {
        say("== restart");
        Events data = new Events("data");
        Events child = new Events("child");
        Events exists = new Events("exists");
        Events recursive = new Events("recursive");
        zk.create("/r", bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/r/eph", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        tell("sequence", () -> zk.create("/r/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        zk.create("/r/c", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
        Stat before = zk.exists("/r", false);
        zk.getData("/r", data, null);
        zk.getChildren("/r", child);
        zk.exists("/r/later", exists);
        // Of its own: one path with two kinds of watch is told differently by servers of 3.8 and 3.9.
        zk.create("/deep", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.addWatch("/deep", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        long id = zk.getSessionId();
        events.nothing();
        ask("stop");
        events.expect("Disconnected");
        data.expect("Disconnected");
        tell("while it is down", () -> zk.exists("/r", false));
        ask("start");
        events.until("SyncConnected");
        data.until("SyncConnected");
        child.until("SyncConnected");
        exists.until("SyncConnected");
        recursive.until("SyncConnected");
        say("connected again");
        check(zk.getSessionId() == id, "the same session after the restart");
        check(zk.exists("/r", false).equals(before), "the same stat after the restart");
        tell("ephemerals", () -> zk.getEphemerals());
        tell("whoAmI", () -> who(zk));
        tell("sequence goes on", () -> zk.create("/r/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL));
        child.expect("NodeChildrenChanged /r");
        zk.setData("/r", bytes("1"), 0);
        data.expect("NodeDataChanged /r");
        zk.create("/r/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        exists.expect("NodeCreated /r/later");
        zk.create("/deep/er", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        recursive.expect("NodeCreated /deep/er");

        // What changes while this client is away is told when it comes back.
        zk.getData("/r", data, null);
        zk.getData("/r/later", data, null);
        zk.getChildren("/r", child);
        say("zxids " + show(zk.exists("/r", false)).replace(" ctime=mtime", ""));
        ask("stop");
        events.until("Disconnected");
        ask("start");
        events.until("SyncConnected");
        tell("removes its watch", () -> { zk.removeWatches("/deep", recursive, Watcher.WatcherType.Any, false); return "removed"; });
        ZKUtil.deleteRecursive(zk, "/r", 10);
        ZKUtil.deleteRecursive(zk, "/deep", 10);
        data.until("SyncConnected");
        data.expect("NodeDeleted /r/later", "NodeDeleted /r");
    }

    /** What the server removes by itself; last, because when it does so is its own affair. */
    static void shortLived(Client zk) throws Exception {
        say("== expiry");
        Events created = new Events("short");
        zk.create("/short", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Client brief = connect("", 1000, new Events("brief"));
        say("timeout " + brief.getSessionTimeout());
        brief.create("/short/eph", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.exists("/short/eph", created);
        brief.vanish();
        created.expect("NodeDeleted /short/eph");
        Events expired = new Events("expired");
        new Client(hostPort, 1000, expired, brief.getSessionId(), brief.getSessionPasswd());
        expired.until("Expired");
        say("an expired session: Expired");

        zk.create("/short/ttl", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 300);
        zk.exists("/short/ttl", created);
        created.expect("NodeDeleted /short/ttl");
        zk.create("/short/box", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
        zk.create("/short/box/child", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.exists("/short/box", created);
        zk.delete("/short/box/child", -1);
        created.expect("NodeDeleted /short/box");
        zk.delete("/short", -1);
    }
}
