// Apache Curator, used as its users use it: recipes and caches. Prints a transcript of what it saw; the runner compares
// the one made against Java with the one made against Oxkeeper.
//
// Usage: java Observe host:port. A line "@stop" or "@start" on the output asks the runner to stop or start the server;
// the answer is one line on the input. Which of several contenders wins is chance: the transcript says that one did.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

@SuppressWarnings("deprecation")
public class Observe {
    static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));
    static final int DEADLINE_SECONDS = 60;
    static String hostPort;

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

    static void tell(String what, Callable<?> call) throws Exception {
        try {
            Object value = call.call();
            say(what + " -> " + (value instanceof byte[] ? text((byte[]) value)
                : value instanceof Collection ? new TreeSet<>((Collection<?>) value) : value));
        } catch (KeeperException e) {
            say(what + " -> " + e.code() + " path " + e.getPath());
        }
    }

    /** Waits for what another thread or the server does in its own time. */
    static void eventually(String what, Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DEADLINE_SECONDS);
        while (!holds.call()) {
            check(System.nanoTime() < end, "never: " + what);
            Thread.sleep(10);
        }
        say(what);
    }

    static void expect(BlockingQueue<String> queue, String... wanted) throws Exception {
        for (String want : wanted) {
            String event = queue.poll(DEADLINE_SECONDS, TimeUnit.SECONDS);
            check(want.equals(event), "event " + event + " in place of " + want);
            say("event " + event);
        }
    }

    static CuratorFramework connect(BlockingQueue<String> states) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder().connectString(hostPort).sessionTimeoutMs(30000)
            .connectionTimeoutMs(15000).retryPolicy(new RetryForever(100)).build();
        client.getConnectionStateListenable().addListener((c, state) -> states.add(state.toString()));
        client.start();
        check(client.blockUntilConnected(DEADLINE_SECONDS, TimeUnit.SECONDS), "connected");
        return client;
    }

    public static void main(String[] args) throws Exception {
        hostPort = args[0];
        BlockingQueue<String> states = new LinkedBlockingQueue<>();
        CuratorFramework one = connect(states);
        CuratorFramework two = connect(new LinkedBlockingQueue<>());
        expect(states, "CONNECTED");
        framework(one);
        transactions(one);
        locks(one, two);
        leaders(one, two);
        counters(one, two);
        caches(one, two);
        persistentWatcher(one, two);
        shortLived(one, two);
        restart(one, two, states);
        one.close();
        two.close();
        say("closed");
        System.exit(0);
    }

    static void framework(CuratorFramework client) throws Exception {
        say("== framework");
        tell("parents", () -> client.create().creatingParentsIfNeeded().forPath("/f/a/b", bytes("b")));
        tell("container parents", () -> client.create().creatingParentContainersIfNeeded().forPath("/f/c/d"));
        tell("container parent", () -> client.checkExists().forPath("/f/c").getEphemeralOwner() == Long.MIN_VALUE);
        tell("default data is the address", () -> client.getData().forPath("/f/c/d").length > 0);
        tell("or set data", () -> client.create().orSetData().forPath("/f/a/b", bytes("c")));
        tell("get", () -> client.getData().forPath("/f/a/b"));
        tell("exists already", () -> client.create().forPath("/f/a/b"));
        tell("protected", () -> client.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/f/p-")
            .replaceFirst("_c_[-0-9a-f]+-", "_c_UUID-"));
        tell("idempotent create", () -> client.create().idempotent().forPath("/f/i", bytes("i")));
        tell("idempotent create again", () -> client.create().idempotent().forPath("/f/i", bytes("i")));
        tell("idempotent create of other data", () -> client.create().idempotent().forPath("/f/i", bytes("j")));
        tell("idempotent set", () -> client.setData().idempotent().withVersion(0).forPath("/f/i", bytes("k")).getVersion());
        tell("idempotent set again", () -> client.setData().idempotent().withVersion(0).forPath("/f/i", bytes("k")).getVersion());
        tell("idempotent delete", () -> client.delete().idempotent().forPath("/f/i"));
        tell("idempotent delete again", () -> client.delete().idempotent().forPath("/f/i"));
        tell("quiet delete", () -> client.delete().quietly().forPath("/f/none"));
        Stat stat = new Stat();
        tell("ttl", () -> client.create().withTtl(3600000).storingStatIn(stat).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/f/ttl"));
        tell("ttl owner", () -> Long.toHexString(stat.getEphemeralOwner()));
        tell("compressed", () -> client.create().compressed().forPath("/f/z", bytes("zzzzzzzzzzzzzzzzzzzzzzzzz")));
        tell("decompressed", () -> client.getData().decompressed().forPath("/f/z"));
        CountDownLatch done = new CountDownLatch(1);
        client.getChildren().inBackground((c, event) -> {
            say("background " + event.getType() + " " + event.getResultCode() + " " + event.getPath() + " " + event.getChildren().size());
            done.countDown();
        }).forPath("/f");
        check(done.await(DEADLINE_SECONDS, TimeUnit.SECONDS), "background answer");
        tell("sync", () -> client.sync().forPath("/f"));
        tell("acl", () -> client.getACL().forPath("/f").toString().trim());
        CuratorFramework inside = client.usingNamespace("f/a");
        tell("namespace", () -> inside.getChildren().forPath("/"));
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        inside.getData().usingWatcher((org.apache.zookeeper.Watcher) e -> events.add(e.getType() + " " + e.getPath())).forPath("/b");
        client.setData().forPath("/f/a/b", bytes("d"));
        expect(events, "NodeDataChanged /b");
        tell("delete all", () -> client.delete().guaranteed().deletingChildrenIfNeeded().forPath("/f"));
        tell("gone", () -> client.checkExists().forPath("/f"));
    }

    static void transactions(CuratorFramework client) throws Exception {
        say("== transactions");
        List<CuratorTransactionResult> results = client.transaction().forOperations(
            client.transactionOp().create().forPath("/t", bytes("1")),
            client.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath("/t/s-"),
            client.transactionOp().check().withVersion(0).forPath("/t"),
            client.transactionOp().setData().withVersion(0).forPath("/t", bytes("2")),
            client.transactionOp().delete().forPath("/t/s-0000000000"));
        for (CuratorTransactionResult result : results) {
            say(result.getType() + " " + result.getForPath() + " " + result.getResultPath() + " " + result.getError()
                + (result.getResultStat() == null ? "" : " v" + result.getResultStat().getVersion()));
        }
        CuratorOp wrong = client.transactionOp().check().withVersion(7).forPath("/t");
        tell("fails", () -> client.transaction().forOperations(client.transactionOp().create().forPath("/t/x"), wrong));
        tell("nothing done", () -> client.getChildren().forPath("/t"));
        client.delete().forPath("/t");
    }

    static void locks(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== locks");
        InterProcessMutex mine = new InterProcessMutex(one, "/lock");
        InterProcessMutex yours = new InterProcessMutex(two, "/lock");
        mine.acquire();
        mine.acquire();
        tell("held by another", () -> yours.acquire(200, TimeUnit.MILLISECONDS));
        mine.release();
        tell("still held", () -> yours.acquire(200, TimeUnit.MILLISECONDS));
        tell("participants", () -> mine.getParticipantNodes().size());
        mine.release();
        tell("free", () -> yours.acquire(DEADLINE_SECONDS, TimeUnit.SECONDS));
        yours.release();

        // Many threads of two processes, never two inside.
        ExecutorService pool = Executors.newFixedThreadPool(8);
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            InterProcessMutex lock = new InterProcessMutex(i % 2 == 0 ? one : two, "/lock");
            all.add(pool.submit(() -> {
                for (int turn = 0; turn < 10; turn++) {
                    check(lock.acquire(DEADLINE_SECONDS, TimeUnit.SECONDS), "the lock comes round");
                    check(inside.incrementAndGet() == 1, "one holder");
                    turns.incrementAndGet();
                    inside.decrementAndGet();
                    lock.release();
                }
                return null;
            }));
        }
        for (Future<?> each : all) {
            each.get(DEADLINE_SECONDS, TimeUnit.SECONDS);
        }
        pool.shutdown();
        say("turns " + turns);

        InterProcessReadWriteLock first = new InterProcessReadWriteLock(one, "/rw");
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(two, "/rw");
        first.readLock().acquire();
        tell("second reader", () -> second.readLock().acquire(DEADLINE_SECONDS, TimeUnit.SECONDS));
        tell("writer among readers", () -> new InterProcessReadWriteLock(two, "/rw").writeLock().acquire(200, TimeUnit.MILLISECONDS));
        first.readLock().release();
        second.readLock().release();
        tell("writer alone", () -> second.writeLock().acquire(DEADLINE_SECONDS, TimeUnit.SECONDS));
        tell("reader beside a writer", () -> first.readLock().acquire(200, TimeUnit.MILLISECONDS));
        second.writeLock().release();

        InterProcessSemaphoreMutex semaphoreMutex = new InterProcessSemaphoreMutex(one, "/sm");
        tell("semaphore mutex", () -> semaphoreMutex.acquire(DEADLINE_SECONDS, TimeUnit.SECONDS));
        semaphoreMutex.release();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(one, "/sem", 2);
        InterProcessSemaphoreV2 other = new InterProcessSemaphoreV2(two, "/sem", 2);
        Lease a = semaphore.acquire();
        Lease b = other.acquire();
        tell("third lease", () -> semaphore.acquire(200, TimeUnit.MILLISECONDS));
        semaphore.returnLease(a);
        Lease c = other.acquire(DEADLINE_SECONDS, TimeUnit.SECONDS);
        tell("third lease now", () -> c != null);
        other.returnLease(b);
        other.returnLease(c);
        InterProcessMultiLock multi = new InterProcessMultiLock(one, Arrays.asList("/m1", "/m2"));
        tell("multi lock", () -> multi.acquire(DEADLINE_SECONDS, TimeUnit.SECONDS));
        multi.release();
    }

    static void leaders(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== leaders");
        LeaderLatch first = new LeaderLatch(one, "/latch", "first");
        LeaderLatch second = new LeaderLatch(two, "/latch", "second");
        first.start();
        check(first.await(DEADLINE_SECONDS, TimeUnit.SECONDS), "first leads");
        second.start();
        eventually("two candidates", () -> second.getParticipants().size() == 2);
        tell("the second leads", () -> second.hasLeadership());
        tell("leader as seen by the second", () -> second.getLeader().getId());
        first.close();
        tell("takes over", () -> second.await(DEADLINE_SECONDS, TimeUnit.SECONDS));
        second.close();

        BlockingQueue<String> led = new LinkedBlockingQueue<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (CuratorFramework client : Arrays.asList(one, two)) {
            LeaderSelector selector = new LeaderSelector(client, "/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework leader) {
                    led.add("leads");
                }
            });
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
        }
        expect(led, "leads", "leads", "leads", "leads");
        selectors.forEach(LeaderSelector::close);
    }

    static void counters(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== counters, barriers, queues");
        DistributedAtomicLong number = new DistributedAtomicLong(one, "/number", new RetryForever(10));
        DistributedAtomicLong same = new DistributedAtomicLong(two, "/number", new RetryForever(10));
        for (int i = 0; i < 5; i++) {
            check(number.increment().succeeded() && same.add(10L).succeeded(), "counted");
        }
        tell("number", () -> number.get().postValue());
        SharedCount count = new SharedCount(one, "/count", 7);
        SharedCount seen = new SharedCount(two, "/count", 0);
        count.start();
        seen.start();
        count.setCount(9);
        eventually("the count is seen", () -> seen.getCount() == 9);
        count.close();
        seen.close();

        DistributedBarrier barrier = new DistributedBarrier(one, "/barrier");
        barrier.setBarrier();
        DistributedBarrier waiting = new DistributedBarrier(two, "/barrier");
        tell("barrier is set", () -> waiting.waitOnBarrier(100, TimeUnit.MILLISECONDS));
        barrier.removeBarrier();
        tell("barrier is gone", () -> waiting.waitOnBarrier(DEADLINE_SECONDS, TimeUnit.SECONDS));
        ExecutorService pool = Executors.newFixedThreadPool(2);
        List<Future<Boolean>> crossings = new ArrayList<>();
        for (CuratorFramework client : Arrays.asList(one, two)) {
            DistributedDoubleBarrier pair = new DistributedDoubleBarrier(client, "/double", 2);
            crossings.add(pool.submit(() -> pair.enter(DEADLINE_SECONDS, TimeUnit.SECONDS) && pair.leave(DEADLINE_SECONDS, TimeUnit.SECONDS)));
        }
        for (Future<Boolean> crossing : crossings) {
            tell("double barrier", crossing::get);
        }
        pool.shutdown();

        SimpleDistributedQueue queue = new SimpleDistributedQueue(one, "/queue");
        SimpleDistributedQueue end = new SimpleDistributedQueue(two, "/queue");
        queue.offer(bytes("q1"));
        queue.offer(bytes("q2"));
        tell("peek", end::peek);
        tell("take", end::take);
        tell("poll", end::poll);
        tell("poll empty", end::poll);

        GroupMember alice = new GroupMember(one, "/group", "alice", bytes("A"));
        GroupMember bob = new GroupMember(two, "/group", "bob", bytes("B"));
        alice.start();
        bob.start();
        eventually("both are members", () -> alice.getCurrentMembers().size() == 2 && bob.getCurrentMembers().size() == 2);
        bob.close();
        eventually("one has left", () -> alice.getCurrentMembers().size() == 1);
        alice.close();
    }

    static void caches(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== caches");
        one.create().creatingParentsIfNeeded().forPath("/cache/a", bytes("1"));
        BlockingQueue<String> cacheEvents = new LinkedBlockingQueue<>();
        CuratorCache cache = CuratorCache.build(one, "/cache");
        CountDownLatch initialized = new CountDownLatch(1);
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forAll((type, old, data) -> cacheEvents.add(type + " " + (data == null ? old : data).getPath()))
            .forInitialized(initialized::countDown).build());
        cache.start();
        check(initialized.await(DEADLINE_SECONDS, TimeUnit.SECONDS), "cache is filled");
        // The first fill comes in the order of the answers.
        TreeSet<String> first = new TreeSet<>(Arrays.asList(cacheEvents.take(), cacheEvents.take()));
        say("CuratorCache filled " + first);

        BlockingQueue<String> nodeEvents = new LinkedBlockingQueue<>();
        NodeCache node = new NodeCache(one, "/cache/a");
        node.getListenable().addListener(() -> nodeEvents.add("node " + (node.getCurrentData() == null ? "gone" : text(node.getCurrentData().getData()))));
        node.start(true);
        BlockingQueue<String> pathEvents = new LinkedBlockingQueue<>();
        PathChildrenCache path = new PathChildrenCache(one, "/cache", true);
        path.getListenable().addListener((c, event) -> pathEvents.add("path " + event.getType() + (event.getData() == null ? "" : " " + event.getData().getPath())));
        path.start(PathChildrenCache.StartMode.POST_INITIALIZED_EVENT);
        BlockingQueue<String> treeEvents = new LinkedBlockingQueue<>();
        TreeCache tree = new TreeCache(one, "/cache");
        tree.getListenable().addListener((c, event) -> treeEvents.add("tree " + event.getType() + (event.getData() == null ? "" : " " + event.getData().getPath())));
        tree.start();
        expect(pathEvents, "path CHILD_ADDED /cache/a", "path INITIALIZED");
        expect(treeEvents, "tree NODE_ADDED /cache", "tree NODE_ADDED /cache/a", "tree INITIALIZED");

        two.setData().forPath("/cache/a", bytes("2"));
        expect(cacheEvents, "NODE_CHANGED /cache/a");
        expect(nodeEvents, "node 2");
        expect(pathEvents, "path CHILD_UPDATED /cache/a");
        expect(treeEvents, "tree NODE_UPDATED /cache/a");
        two.create().forPath("/cache/b", bytes("1"));
        expect(cacheEvents, "NODE_CREATED /cache/b");
        expect(pathEvents, "path CHILD_ADDED /cache/b");
        expect(treeEvents, "tree NODE_ADDED /cache/b");
        two.create().forPath("/cache/b/deep", bytes("1"));
        expect(cacheEvents, "NODE_CREATED /cache/b/deep");
        expect(treeEvents, "tree NODE_ADDED /cache/b/deep");
        two.delete().forPath("/cache/b/deep");
        expect(cacheEvents, "NODE_DELETED /cache/b/deep");
        expect(treeEvents, "tree NODE_REMOVED /cache/b/deep");
        two.delete().forPath("/cache/b");
        expect(cacheEvents, "NODE_DELETED /cache/b");
        expect(pathEvents, "path CHILD_REMOVED /cache/b");
        expect(treeEvents, "tree NODE_REMOVED /cache/b");
        two.delete().forPath("/cache/a");
        expect(cacheEvents, "NODE_DELETED /cache/a");
        expect(nodeEvents, "node gone");
        expect(pathEvents, "path CHILD_REMOVED /cache/a");
        expect(treeEvents, "tree NODE_REMOVED /cache/a");
        for (int i = 0; i < 200; i++) {
            two.create().forPath("/cache/n" + i, bytes("" + i));
        }
        eventually("200 nodes in each cache", () -> cache.size() == 201 && path.getCurrentData().size() == 200
            && tree.getCurrentChildren("/cache").size() == 200);
        cache.close();
        node.close();
        path.close();
        tree.close();
    }

    static void persistentWatcher(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== persistent watcher");
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        CountDownLatch set = new CountDownLatch(1);
        PersistentWatcher watcher = new PersistentWatcher(one, "/pw", true);
        watcher.getListenable().addListener(e -> events.add(e.getType() + " " + e.getPath()));
        watcher.getResetListenable().addListener(set::countDown);
        watcher.start();
        check(set.await(DEADLINE_SECONDS, TimeUnit.SECONDS), "the watch is set");
        two.create().creatingParentsIfNeeded().forPath("/pw/a/b", bytes("1"));
        two.setData().forPath("/pw/a/b", bytes("2"));
        two.delete().deletingChildrenIfNeeded().forPath("/pw");
        expect(events, "NodeCreated /pw", "NodeCreated /pw/a", "NodeCreated /pw/a/b", "NodeDataChanged /pw/a/b",
            "NodeDeleted /pw/a/b", "NodeDeleted /pw/a", "NodeDeleted /pw");
        watcher.close();
    }

    static void shortLived(CuratorFramework one, CuratorFramework two) throws Exception {
        say("== nodes that come and go");
        PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, "/pn", bytes("pn"));
        node.start();
        check(node.waitForInitialCreate(DEADLINE_SECONDS, TimeUnit.SECONDS), "created");
        long created = two.checkExists().forPath("/pn").getCzxid();
        two.delete().forPath("/pn");
        eventually("a deleted PersistentNode is made again", () -> {
            Stat stat = two.checkExists().forPath("/pn");
            return stat != null && stat.getCzxid() != created;
        });
        node.close();
        eventually("a closed PersistentNode is gone", () -> two.checkExists().forPath("/pn") == null);

        PersistentTtlNode ttl = new PersistentTtlNode(one, "/ptn", 1000, bytes("t"));
        ttl.start();
        check(ttl.waitForInitialCreate(DEADLINE_SECONDS, TimeUnit.SECONDS), "created");
        Thread.sleep(2500);
        tell("kept alive beyond its time", () -> two.checkExists().forPath("/ptn") != null);
        ttl.close();

        one.create().withTtl(300).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/ttl");
        eventually("a TTL node is reaped", () -> one.checkExists().forPath("/ttl") == null);
        one.create().creatingParentContainersIfNeeded().forPath("/box/child");
        one.delete().forPath("/box/child");
        eventually("an empty container is reaped", () -> one.checkExists().forPath("/box") == null);
    }

    static void restart(CuratorFramework one, CuratorFramework two, BlockingQueue<String> states) throws Exception {
        say("== restart");
        InterProcessMutex lock = new InterProcessMutex(one, "/held");
        lock.acquire();
        one.create().forPath("/survives", bytes("1"));
        CuratorCache cache = CuratorCache.build(two, "/survives");
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forAll((type, old, data) -> events.add(type + " " + text((data == null ? old : data).getData()))).build());
        cache.start();
        expect(events, "NODE_CREATED 1");
        long session = one.getZookeeperClient().getZooKeeper().getSessionId();
        ask("stop");
        expect(states, "SUSPENDED");
        ask("start");
        expect(states, "RECONNECTED");
        tell("same session", () -> one.getZookeeperClient().getZooKeeper().getSessionId() == session);
        tell("lock is still held", () -> !new InterProcessMutex(two, "/held").acquire(200, TimeUnit.MILLISECONDS));
        one.setData().forPath("/survives", bytes("2"));
        expect(events, "NODE_CHANGED 2");
        lock.release();
        cache.close();
    }
}
