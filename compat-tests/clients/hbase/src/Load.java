// The user of the HBase of `cargo xtask real hbase`: makes a table, puts and scans 100,000 rows, and asks the runner to
// kill servers in between.
//
// Usage: java Load <ZooKeeper port>. A line "@kill-region-server <port>" or "@kill-master <port>" on the output asks the
// runner to kill the process whose server listens there; the answer is one line on the input. Exit code 0: all held.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hbase.HBaseConfiguration;
import org.apache.hadoop.hbase.HRegionLocation;
import org.apache.hadoop.hbase.ServerName;
import org.apache.hadoop.hbase.TableName;
import org.apache.hadoop.hbase.client.Admin;
import org.apache.hadoop.hbase.client.BufferedMutator;
import org.apache.hadoop.hbase.client.ColumnFamilyDescriptorBuilder;
import org.apache.hadoop.hbase.client.Connection;
import org.apache.hadoop.hbase.client.ConnectionFactory;
import org.apache.hadoop.hbase.client.Put;
import org.apache.hadoop.hbase.client.RegionLocator;
import org.apache.hadoop.hbase.client.Result;
import org.apache.hadoop.hbase.client.ResultScanner;
import org.apache.hadoop.hbase.client.Scan;
import org.apache.hadoop.hbase.client.Table;
import org.apache.hadoop.hbase.client.TableDescriptorBuilder;
import org.apache.hadoop.hbase.util.Bytes;

public class Load {
    static final int ROWS = 100_000;
    static final long DEADLINE_MS = 180_000;
    static final byte[] FAMILY = Bytes.toBytes("f");
    static final byte[] COLUMN = Bytes.toBytes("c");
    static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));

    static void ask(String wish) throws Exception {
        System.out.println("@" + wish);
        if (ANSWERS.readLine() == null) {
            throw new IllegalStateException("the runner is gone");
        }
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    static void eventually(String what, Condition condition) throws Exception {
        long end = System.currentTimeMillis() + DEADLINE_MS;
        while (true) {
            try {
                if (condition.holds()) {
                    System.out.println(what);
                    return;
                }
            } catch (java.io.IOException e) {
                System.err.println("not yet: " + e);
            }
            if (System.currentTimeMillis() > end) {
                throw new AssertionError("never: " + what);
            }
            Thread.sleep(200);
        }
    }

    static byte[] row(int number) {
        return Bytes.toBytes(String.format("%08d", number));
    }

    static void create(Admin admin, TableName name, int regions) throws Exception {
        admin.createTable(TableDescriptorBuilder.newBuilder(name)
            .setColumnFamily(ColumnFamilyDescriptorBuilder.of(FAMILY)).build(), row(ROWS / regions), row(ROWS - ROWS / regions), regions);
    }

    static void scan(Connection connection, TableName name) throws Exception {
        int number = 0;
        try (Table table = connection.getTable(name);
             ResultScanner results = table.getScanner(new Scan().addFamily(FAMILY).setCaching(5000))) {
            for (Result result : results) {
                if (!Bytes.equals(result.getRow(), row(number)) || !Bytes.equals(result.getValue(FAMILY, COLUMN), Bytes.toBytes("value " + number))) {
                    throw new AssertionError("row " + number + " is " + result);
                }
                number++;
            }
        }
        if (number != ROWS) {
            throw new AssertionError(number + " rows in place of " + ROWS);
        }
        System.out.println("scanned " + number + " rows");
    }

    public static void main(String[] args) throws Exception {
        Configuration configuration = HBaseConfiguration.create();
        TableName name = TableName.valueOf("load");
        try (Connection connection = ConnectionFactory.createConnection(configuration); Admin admin = connection.getAdmin()) {
            eventually("two region servers and two masters are up", () -> admin.getClusterMetrics().getLiveServerMetrics().size() == 2
                && admin.getBackupMasters().size() == 1);
            create(admin, name, 8);
            System.out.println("table created");
            try (BufferedMutator mutator = connection.getBufferedMutator(name)) {
                for (int number = 0; number < ROWS; number++) {
                    mutator.mutate(new Put(row(number)).addColumn(FAMILY, COLUMN, Bytes.toBytes("value " + number)));
                }
            }
            System.out.println("put " + ROWS + " rows");
            scan(connection, name);
            // On a local file system a killed process takes with it what its log had not been given to the kernel;
            // that is no matter of coordination, so the rows are in files before the kill.
            admin.flush(name);

            List<HRegionLocation> before;
            try (RegionLocator locator = connection.getRegionLocator(name)) {
                before = locator.getAllRegionLocations();
            }
            ServerName victim = before.get(0).getServerName();
            long held = before.stream().filter(location -> location.getServerName().equals(victim)).count();
            System.out.println("the victim holds " + (held > 0 ? "regions" : "none"));
            ask("kill-region-server " + victim.getPort());
            eventually("the dead region server was noticed", () -> admin.getClusterMetrics().getLiveServerMetrics().size() == 1);
            eventually("its regions are served by the other", () -> {
                try (RegionLocator locator = connection.getRegionLocator(name)) {
                    locator.clearRegionLocationCache();
                    List<HRegionLocation> now = locator.getAllRegionLocations();
                    return now.size() == before.size() && now.stream().allMatch(location -> location.getServerName() != null && !location.getServerName().equals(victim));
                }
            });
            scan(connection, name);

            ServerName master = admin.getMaster();
            ask("kill-master " + master.getPort());
            eventually("another master is active", () -> !admin.getMaster().equals(master));
            List<TableName> made = new ArrayList<>();
            eventually("the new master makes a table", () -> {
                TableName next = TableName.valueOf("after" + made.size());
                made.add(next);
                create(admin, next, 3);
                return admin.isTableAvailable(next);
            });
            scan(connection, name);
        }
        System.exit(0);
    }
}
