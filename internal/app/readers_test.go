package app

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"pulso/access/audit"
)

// Who may see a topic, and who did, is told to administrators: by MQTT, on the stream, by questions.
func TestWhoDidSee(t *testing.T) {
	g := runGuarded(t)
	g.device("plug").Subscribe("plug/#", 0)
	wish := map[string]any{"filters": []string{"hall/+"}, "form": "events"}
	if err := g.stream(g.tokens["hall"]).WriteJSON(map[string]any{"id": 1, "subscribe": wish}); err != nil {
		t.Fatal(err)
	}
	g.read("ben", "/api/v1/events?filter=hall/lamp")
	g.read("ben", "/api/v1/query?query=up")
	g.read("root", "/api/v1/overrides")
	seen := func(topic string) (who string) {
		var told struct {
			Readers []audit.Reader `json:"readers"`
		}
		if err := json.Unmarshal([]byte(g.read("root", "/api/v1/audit?topic="+topic)), &told); err != nil {
			t.Fatal(err)
		}
		for _, r := range told.Readers {
			who += r.Who + " " + r.Filter + "; "
		}
		return who
	}
	eventually(t, "all that was asked for is known", func() bool {
		hall, plug := seen("hall/lamp"), seen("plug/x")
		return strings.Contains(hall, "hall hall/+; ") && strings.Contains(hall, "ben hall/lamp; ") && strings.Contains(hall, "ben #; ") &&
			!strings.Contains(hall, "plug") && strings.Contains(plug, "plug plug/#; ") && !strings.Contains(plug, "hall")
	})
	if status := g.ask(http.MethodGet, "/api/v1/audit?topic=a", g.tokens["ben"]); status != http.StatusForbidden {
		t.Errorf("a viewer is told: %d", status)
	}
	if status := g.ask(http.MethodGet, "/api/v1/audit?topic=%23", g.tokens["root"]); status != http.StatusBadRequest {
		t.Errorf("of a filter: %d", status)
	}
	b := g.browser()
	b.login("root", personPassword, "/")
	page := b.page(http.MethodGet, "/account?topic=hall/lamp", "")
	for _, want := range []string{
		`<th scope="row">hall</th><td>publish,subscribe,history,command</td>`, `<th scope="row">root</th><td>all</td>`, "hall/&#43;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
