// Writes configs.txt: what ZooKeeper makes of each text of a configuration (configs-in.txt, texts separated by
// lines of ---). For each the text that it writes, or "refused". With the class path of ZooKeeper 3.9.5:
//   java -cp "$CLASSPATH" -Dzookeeper.multiAddress.enabled=true Configs.java < configs-in.txt > configs.txt
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.util.Properties;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

public class Configs {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        System.setOut(System.err); // where the log goes
        QuorumPeerConfig.setStandaloneEnabled(true);
        String all = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String text : all.split("---\n")) {
            String answer;
            try {
                Properties properties = new Properties();
                properties.load(new StringReader(text));
                answer = QuorumPeerConfig.parseDynamicConfig(properties, 3, false, false, null).toString();
            } catch (Exception refused) {
                answer = "refused";
            }
            out.print(answer + "\n---\n");
        }
    }
}
