import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.zookeeper.ZooKeeperMain;
import org.apache.zookeeper.util.ServiceUtils;

/**
 * Runs zkCli once for each line of the input (words parted by tabs), all in one JVM: what takes Java a second each
 * time takes a few milliseconds here. After each run both streams say which one it was, and the exit code.
 */
public class OneShots {
    /** In place of the end of the JVM. */
    private static final class Ended extends Error {
        final int code;

        Ended(int code) {
            super(null, null, false, false);
            this.code = code;
        }
    }

    public static void main(String[] args) throws Exception {
        ServiceUtils.setSystemExitProcedure(code -> {
            throw new Ended(code);
        });
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        int number = 0;
        for (String line; (line = input.readLine()) != null; number++) {
            int code = 0;
            try {
                ZooKeeperMain.main(line.split("\t", -1));
            } catch (Ended ended) {
                code = ended.code;
            } catch (Throwable uncaught) {
                System.err.println("Exception in thread \"main\" " + uncaught);
                code = 1;
            }
            System.out.println("\n== " + number + " " + code);
            System.err.println("\n== " + number + " " + code);
        }
        System.exit(0);
    }
}
