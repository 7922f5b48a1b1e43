import java.util.List;
import java.util.stream.Collectors;

/** What the official Java client of an engine finds at a URL, as one line of JSON: see ../README.md. */
public final class Main {
    record Found(List<String> search, List<List<String>> msearch, int missing, long count) {
        String json() {
            String several = msearch.stream().map(Found::array).collect(Collectors.joining(","));
            return "{\"search\":%s,\"msearch\":[%s],\"missing\":%d,\"count\":%d}"
                    .formatted(array(search), several, missing, count);
        }

        private static String array(List<String> ids) {
            return ids.stream().map(id -> "\"" + id + "\"").collect(Collectors.joining(",", "[", "]"));
        }
    }

    public static void main(String[] arguments) throws Exception {
        String engine = arguments[0], url = arguments[1], index = arguments[2];
        Found found = engine.equals("elasticsearch")
                ? WithElasticsearch.find(url, index)
                : WithOpenSearch.find(url, index);
        System.out.println(found.json());
    }
}
