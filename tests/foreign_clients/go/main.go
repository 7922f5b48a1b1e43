// What the official Go client of an engine finds at a URL, as one line of JSON: see ../README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/elastic/go-elasticsearch/v9"
	"github.com/elastic/go-elasticsearch/v9/typedapi/types"
	"github.com/opensearch-project/opensearch-go/v4"
	"github.com/opensearch-project/opensearch-go/v4/opensearchapi"
)

type found struct {
	Search  []string   `json:"search"`
	MSearch [][]string `json:"msearch"`
	Missing int        `json:"missing"`
	Count   int64      `json:"count"`
}

const search = `{"size": 30, "query": {"match": {"body": "tea"}}}`
const three = `{"size": 3, "query": {"match": {"body": "tea"}}}`

func main() {
	engine, url, index := os.Args[1], os.Args[2], os.Args[3]
	with := withOpenSearch
	if engine == "elasticsearch" {
		with = withElasticsearch
	}
	answer, err := with(context.Background(), url, index)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}

func withElasticsearch(ctx context.Context, url, index string) (found, error) {
	var answer found
	client, err := elasticsearch.NewTypedClient(elasticsearch.Config{Addresses: []string{url}, DisableRetry: true})
	if err != nil {
		return answer, err
	}
	single, err := client.Search().Index(index).Raw(strings.NewReader(search)).Do(ctx)
	if err != nil {
		return answer, err
	}
	for _, hit := range single.Hits.Hits {
		answer.Search = append(answer.Search, *hit.Id_)
	}
	several, err := client.Msearch().Index(index).Raw(items()).Do(ctx)
	if err != nil {
		return answer, err
	}
	for _, item := range several.Responses {
		part, ok := item.(*types.MultiSearchItem)
		if !ok {
			return answer, fmt.Errorf("a search of several failed: %T", item)
		}
		var ids []string
		for _, hit := range part.Hits.Hits {
			ids = append(ids, *hit.Id_)
		}
		answer.MSearch = append(answer.MSearch, ids)
	}
	var refused *types.ElasticsearchError
	if _, err := client.Search().Index("no-such-index").Raw(strings.NewReader(search)).Do(ctx); errors.As(err, &refused) {
		answer.Missing = refused.Status
	}
	counted, err := client.Count().Index(index).Do(ctx)
	if err != nil {
		return answer, err
	}
	answer.Count = counted.Count
	return answer, nil
}

func withOpenSearch(ctx context.Context, url, index string) (found, error) {
	var answer found
	client, err := opensearchapi.NewClient(opensearchapi.Config{
		Client: opensearch.Config{Addresses: []string{url}, DisableRetry: true},
	})
	if err != nil {
		return answer, err
	}
	single, err := client.Search(ctx, &opensearchapi.SearchReq{Indices: []string{index}, Body: strings.NewReader(search)})
	if err != nil {
		return answer, err
	}
	for _, hit := range single.Hits.Hits {
		answer.Search = append(answer.Search, hit.ID)
	}
	several, err := client.MSearch(ctx, opensearchapi.MSearchReq{Indices: []string{index}, Body: items()})
	if err != nil {
		return answer, err
	}
	for _, part := range several.Responses {
		var ids []string
		for _, hit := range part.Hits.Hits {
			ids = append(ids, hit.ID)
		}
		answer.MSearch = append(answer.MSearch, ids)
	}
	var refused *opensearch.StructError
	_, err = client.Search(ctx, &opensearchapi.SearchReq{
		Indices: []string{"no-such-index"}, Body: strings.NewReader(search),
	})
	if errors.As(err, &refused) {
		answer.Missing = refused.Status
	}
	counted, err := client.Indices.Count(ctx, &opensearchapi.IndicesCountReq{Indices: []string{index}})
	if err != nil {
		return answer, err
	}
	answer.Count = int64(counted.Count)
	return answer, nil
}

func items() io.Reader {
	return strings.NewReader("{}\n" + search + "\n{}\n" + three + "\n")
}
