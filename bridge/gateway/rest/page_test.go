package rest_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers into docs/API.md")

const pageFile = "../../../docs/API.md"

// TestPage asks what docs/API.md asks, of a hub as it has it, and holds the answers against the page's.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	h := start(t, nil)
	_, messages, _ := strings.Cut(page, "```jsonl\n")
	messages, _, _ = strings.Cut(messages, "```")
	for _, m := range lines[struct{ Topic, Payload string }](t, messages) {
		h.says(m.Topic, m.Payload)
	}
	examples := regexp.MustCompile("(?s)```http\nGET ([^\n]+)\n\n(.*?)\n```")
	found := examples.FindAllStringSubmatch(page, -1)
	if len(found) < 6 {
		t.Fatalf("%d examples", len(found))
	}
	for _, example := range found {
		response, body := h.ask(http.MethodGet, example[1])
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", example[1], response.Status, body)
		}
		got := shown(body)
		if got != example[2] && !*update {
			t.Errorf("%s:\ngot\n%s\nthe page has (is that meant? run with -update)\n%s", example[1], got, example[2])
		}
		page = strings.Replace(page, example[0], "```http\nGET "+example[1]+"\n\n"+got+"\n```", 1)
	}
	if *update {
		if err := os.WriteFile(pageFile, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	epochs  = regexp.MustCompile(`"[0-9a-z]+\.([0-9]+)"`)
	members = regexp.MustCompile(`,("(metrics|topics|times)":)`)
	reasons = regexp.MustCompile(`"why":\[.*?\](,|\})`)
)

// shown is an answer as the page has it: the log's epoch and the decoder's reasons may differ.
func shown(body string) string {
	body = epochs.ReplaceAllString(strings.ReplaceAll(strings.TrimSpace(body), "\r", ""), `"k3f.$1"`)
	body = reasons.ReplaceAllString(body, `"why":["…"]$1`)
	if !json.Valid([]byte(body)) {
		return body
	}
	// Members begin lines where they would make one too long to read.
	return members.ReplaceAllString(body, ",\n $1")
}
