import co.elastic.clients.elasticsearch.ElasticsearchClient;
import co.elastic.clients.elasticsearch._types.ElasticsearchException;
import co.elastic.clients.elasticsearch._types.query_dsl.Query;
import co.elastic.clients.elasticsearch.core.search.Hit;
import java.util.List;
import java.util.Map;

final class WithElasticsearch {
    static Main.Found find(String url, String index) throws Exception {
        Query tea = Query.of(q -> q.match(m -> m.field("body").query("tea")));
        try (ElasticsearchClient client = ElasticsearchClient.of(b -> b.host(url))) {
            var single = client.search(s -> s.index(index).size(30).query(tea), Map.class);
            var several = client.msearch(
                    m -> m.searches(i -> i.header(h -> h.index(index)).body(s -> s.size(30).query(tea)))
                            .searches(i -> i.header(h -> h.index(index)).body(s -> s.size(3).query(tea))),
                    Map.class);
            int missing = 0;
            try {
                client.search(s -> s.index("no-such-index").query(tea), Map.class);
            } catch (ElasticsearchException refused) {
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
