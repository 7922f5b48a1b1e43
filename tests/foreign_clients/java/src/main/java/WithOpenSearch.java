import java.util.List;
import java.util.Map;
import org.apache.hc.core5.http.HttpHost;
import org.opensearch.client.opensearch.OpenSearchClient;
import org.opensearch.client.opensearch._types.FieldValue;
import org.opensearch.client.opensearch._types.OpenSearchException;
import org.opensearch.client.opensearch._types.query_dsl.Query;
import org.opensearch.client.opensearch.core.search.Hit;
import org.opensearch.client.transport.httpclient5.ApacheHttpClient5TransportBuilder;

final class WithOpenSearch {
    static Main.Found find(String url, String index) throws Exception {
        Query tea = Query.of(q -> q.match(m -> m.field("body").query(FieldValue.of("tea"))));
        try (var transport = ApacheHttpClient5TransportBuilder.builder(HttpHost.create(url)).build()) {
            var client = new OpenSearchClient(transport);
            var single = client.search(s -> s.index(index).size(30).query(tea), Map.class);
            var several = client.msearch(
                    m -> m.searches(i -> i.header(h -> h.index(index)).body(s -> s.size(30).query(tea)))
                            .searches(i -> i.header(h -> h.index(index)).body(s -> s.size(3).query(tea))),
                    Map.class);
            int missing = 0;
            try {
                client.search(s -> s.index("no-such-index").query(tea), Map.class);
            } catch (OpenSearchException refused) {
                missing = refused.status();
            }
            return new Main.Found(
                    ids(single.hits().hits()),
                    several.responses().stream().map(item -> ids(item.result().hits().hits())).toList(),
                    missing,
                    client.count(c -> c.index(index)).count());
        }
    }

    private static List<String> ids(List<Hit<Map>> hits) {
        return hits.stream().map(Hit::id).toList();
    }
}
