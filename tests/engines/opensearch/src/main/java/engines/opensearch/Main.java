package engines.opensearch;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

import org.opensearch.Version;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.KeyStoreWrapper;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * One real OpenSearch node with REST on a free loopback port. Arguments: setting=value, added to or over the defaults.
 * Prints one JSON line on stdout when REST answers; stops when stdin closes, or on SIGTERM or SIGINT.
 */
public final class Main {

    /** module name, class, modules it extends. The class loader is flat, so ONE extender of lang-painless brings in every painless extension on the class path. */
    private static final String[][] MODULES = {
        { "aggs-matrix-stats", "org.opensearch.search.aggregations.matrix.MatrixAggregationModulePlugin" },
        { "analysis-common", "org.opensearch.analysis.common.CommonAnalysisModulePlugin" },
        { "geo", "org.opensearch.geo.GeoModulePlugin" },
        { "ingest-common", "org.opensearch.ingest.common.IngestCommonModulePlugin", "lang-painless" },
        { "ingest-user-agent", "org.opensearch.ingest.useragent.IngestUserAgentModulePlugin" },
        { "lang-expression", "org.opensearch.script.expression.ExpressionModulePlugin" },
        { "lang-mustache", "org.opensearch.script.mustache.MustacheModulePlugin" },
        { "lang-painless", "org.opensearch.painless.PainlessModulePlugin" },
        { "mapper-extras", "org.opensearch.index.mapper.MapperExtrasModulePlugin" },
        { "parent-join", "org.opensearch.join.ParentJoinModulePlugin" },
        { "percolator", "org.opensearch.percolator.PercolatorModulePlugin" },
        { "rank-eval", "org.opensearch.index.rankeval.RankEvalModulePlugin" },
        { "reindex", "org.opensearch.index.reindex.ReindexModulePlugin" },
        { "repository-url", "org.opensearch.plugin.repository.url.URLRepositoryModulePlugin" },
        { "search-pipeline-common", "org.opensearch.search.pipeline.common.SearchPipelineCommonModulePlugin" },
        { "transport-netty4", "org.opensearch.transport.Netty4ModulePlugin" } };

    private static final class LocalNode extends Node {
        LocalNode(final Environment env, final List<PluginInfo> modules) {
            super(env, modules, true);
        }
    }

    public static void main(final String[] args) throws Exception {
        final PrintStream out = System.out;
        System.setOut(System.err);                          // stdout carries the one JSON line only
        final Path home = home();
        final Node node = node(home, args);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, home), "stop"));
        node.start();
        // start() returns with the HTTP port bound; health stays red until the (empty) cluster state is recovered
        node.client().admin().cluster().prepareHealth().setWaitForYellowStatus().setTimeout("30s").get();
        final int port = node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
        out.println("{\"url\": \"http://127.0.0.1:" + port + "\", \"version\": \"" + Version.CURRENT + "\"}");
        out.flush();
        while (System.in.read() >= 0) {
            // what the parent writes is of no interest, only that it closes
        }
        System.exit(0);
    }

    private static Path home() throws Exception {
        final Path home = Files.createTempDirectory("opensearch-node-");
        for (final String folder : new String[] { "config", "data", "logs", "plugins", "modules", "repo" }) {
            Files.createDirectories(home.resolve(folder));
        }
        final Path config = home.resolve("config");
        Files.writeString(config.resolve("opensearch.yml"), "");
        Files.writeString(config.resolve("log4j2.properties"), String.join("\n",
            "status = error",
            "appender.console.type = Console",
            "appender.console.name = console",
            "appender.console.target = SYSTEM_ERR",
            "appender.console.layout.type = PatternLayout",
            "appender.console.layout.pattern = [%d{ISO8601}][%-5p][%c{1.}] %m%n",
            "rootLogger.level = warn",
            "rootLogger.appenderRef.console.ref = console", ""));
        KeyStoreWrapper.create().save(config, new char[0]);
        return home;
    }

    private static Node node(final Path home, final String[] args) throws Exception {
        final Settings.Builder s = Settings.builder()
            .put("path.home", home.toString())
            .put("path.data", home.resolve("data").toString())
            .put("path.logs", home.resolve("logs").toString())
            .putList("path.repo", home.resolve("repo").toString())
            .put("cluster.name", "test")
            .put("node.name", "test-0")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", 0)                            // 0: the kernel picks a free port
            .put("transport.port", 0)
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (final String a : args) {
            final int i = a.indexOf('=');
            s.put(a.substring(0, i), a.substring(i + 1));
        }
        final Environment env = InternalSettingsPreparer.prepareEnvironment(s.build(), Map.of(), home.resolve("config"), () -> "test-0");
        LogConfigurator.setNodeName("test-0");
        LogConfigurator.configure(env);
        return new LocalNode(env, modules());
    }

    private static List<PluginInfo> modules() {
        final List<PluginInfo> modules = new ArrayList<>();
        for (final String[] m : MODULES) {
            modules.add(new PluginInfo(m[0], "module " + m[0], Version.CURRENT.toString(), Version.CURRENT, "21", m[1],
                m.length > 2 ? List.of(m[2]) : List.of(), false));
        }
        return modules;
    }

    private static void close(final Node node, final Path home) {
        try {
            node.close();
            node.awaitClose(20, TimeUnit.SECONDS);
        } catch (final Exception e) {
            e.printStackTrace();
        }
        try (Stream<Path> files = Files.walk(home)) {
            files.sorted(Comparator.reverseOrder()).forEach(f -> f.toFile().delete());
        } catch (final IOException e) {
            e.printStackTrace();
        }
    }
}
