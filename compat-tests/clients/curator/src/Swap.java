// Curator as a load that notes everything: runs while servers are exchanged under it.
//
// Usage: java Swap hosts. Writes numbered nodes and reads them back until there is a line on its input, and prints
// "ready", "acknowledged <path>", "error <kind>", "lost" when the session is gone, "session <id>" twice, and "done".
// Nothing is retried: what the client sees is what the program tells.

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

public class Swap {
    static synchronized void say(String words) {
        System.out.println(words);
        System.out.flush();
    }

    static String kind(Exception error) {
        if (error instanceof KeeperException.ConnectionLossException) {
            return "ConnectionLoss";
        }
        return error.getClass().getSimpleName();
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(arguments[0])
            .sessionTimeoutMs(30_000)
            .connectionTimeoutMs(20_000)
            .retryPolicy(new RetryNTimes(0, 0))
            .build();
        client.getConnectionStateListenable().addListener((from, state) -> {
            if (state == ConnectionState.LOST) {
                say("lost");
            }
        });
        client.start();
        if (!client.blockUntilConnected(60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection");
        }
        say("session " + Long.toHexString(client.getZookeeperClient().getZooKeeper().getSessionId()));
        client.create().forPath("/curator", bytes(""));
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/curator/ephemeral");
        client.create().forPath("/curator/watched", bytes("the beginning"));
        CountDownLatch end = new CountDownLatch(1);
        CuratorCache cache = CuratorCache.build(client, "/curator/watched", CuratorCache.Options.SINGLE_NODE_CACHE);
        cache.listenable().addListener((type, before, after) -> {
            if (after != null && Arrays.equals(after.getData(), bytes("the end"))) {
                end.countDown();
            }
        });
        cache.start();
        say("ready");
        for (int number = 1; System.in.available() == 0; number++) {
            String path = String.format("/curator/%06d", number);
            try {
                client.create().forPath(path, bytes("" + number));
                say("acknowledged " + path);
                if (number % 10 == 0) {
                    client.setData().forPath("/curator/watched", bytes("" + number));
                }
                if (!Arrays.equals(client.getData().forPath(path), bytes("" + number))) {
                    say("error WrongData");
                }
            } catch (Exception error) {
                say("error " + kind(error));
            }
            Thread.sleep(5);
        }
        for (int attempt = 0; attempt < 100; attempt++) {
            try {
                client.setData().forPath("/curator/watched", bytes("the end"));
                Stat stat = client.checkExists().forPath("/curator/ephemeral");
                if (stat == null || stat.getEphemeralOwner() != client.getZookeeperClient().getZooKeeper().getSessionId()) {
                    say("error EphemeralOfAnother");
                }
                break;
            } catch (KeeperException.ConnectionLossException error) {
                say("error " + kind(error));
            }
        }
        if (!end.await(20, TimeUnit.SECONDS)) {
            say("error WatchLost");
        }
        say("session " + Long.toHexString(client.getZookeeperClient().getZooKeeper().getSessionId()));
        say("done");
        // Its session, and with it the ephemeral node, is to live on until the tree has been looked at.
        Runtime.getRuntime().halt(0);
    }
}
