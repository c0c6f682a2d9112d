package app

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pulso/bridge/gateway/boards"
	"pulso/bridge/wire"
)

// TestChangeStaysInScope takes a subscription through all forms: none of them tells more than the session may read.
func TestChangeStaysInScope(t *testing.T) {
	h := runScoped(t)
	seed(t, h)
	for _, side := range []string{sideLeft, sideAll} {
		s := subscription{Filters: []string{mark(sideLeft) + "/nothing"}, Form: "events"}
		c := dialSide(t, h, side, "/ws", wire.JSON)
		say := func(command string) {
			if err := c.WriteMessage(1, []byte(command)); err != nil {
				t.Fatal(err)
			}
		}
		next := reading(c)
		say(s.command(t))
		room := roomIn(t, until(t, "the room", next, []string{`"subscribed"`}))
		for i, form := range []string{"events", "values", "devices", "topics", "chat"} {
			filters := fmt.Sprintf(`"#","%s/%d"`, hiddenMark, i)
			if form == "chat" {
				filters = `"chat/#"`
			}
			say(fmt.Sprintf(`{"id":%d,"change":{"room":%d,"subscribe":{"filters":[%s],"form":%q,"history":9}}}`, i+2, room, filters, form))
			got := until(t, form, next, []string{`"changed"`})
			for _, m := range []string{mark(sideRight), hiddenMark, mark(sideLeft)} {
				keep(t, h, saidUnder(m)...)
			}
			got = append(got, until(t, form, next, owned(side))...)
			if leak := leaks(side, got); leak != "" {
				t.Errorf("%q, %s: …%s…", side, form, leak)
			}
			room = roomIn(t, got)
		}
	}
}

// roomIn is the room that a reply names.
func roomIn(t *testing.T, lines []byte) int {
	t.Helper()
	type named struct {
		Room int `json:"room"`
	}
	for line := range bytes.Lines(lines) {
		var reply struct {
			Subscribed *named `json:"subscribed"`
			Changed    *named `json:"changed"`
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			t.Fatal(err)
		}
		if room := cmp.Or(reply.Subscribed, reply.Changed); room != nil {
			return room.Room
		}
	}
	t.Fatalf("no room in %s", lines)
	return 0
}

// TestSessionsAreOfTheirScope: the token of a session is worth nothing to who may read something else.
func TestSessionsAreOfTheirScope(t *testing.T) {
	h := runScoped(t)
	begin := `{"n":1,"commands":[{"id":1,"subscribe":{"filters":["#"]}}]}`
	for _, owner := range []string{sideLeft, sideAll} {
		_, answer := ask(t, h, owner, http.MethodPost, "/api/v1/poll", begin)
		var begun struct {
			Session string `json:"session"`
		}
		if err := json.Unmarshal(answer, &begun); err != nil || begun.Session == "" {
			t.Fatalf("%v: %s", err, answer)
		}
		for _, side := range []string{sideRight, sideLeft, sideAll} {
			body := strings.NewReader(`{"n":2,"wait":0}`)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.HTTPAddr()+"/api/v1/poll", body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = http.Header{scopeHeader: {side}, "Content-Type": {"application/json"}, "Pulso-Session": {begun.Session}}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if (resp.StatusCode == http.StatusOK) != (side == owner) {
				t.Errorf("the session of %q, asked by %q: %s", owner, side, resp.Status)
			}
		}
	}
}

// TestBoardsOfSeveralSides are for who sees every series of them; one without any is for who sees everything.
func TestBoardsOfSeveralSides(t *testing.T) {
	h := runScoped(t)
	seed(t, h)
	series := func(m string) string {
		return fmt.Sprintf(`{"device":%q,"topic":%q,"field":"x"}`, m+"-dev", "devices/"+m+"-dev/state")
	}
	for id, panels := range map[string]string{
		"both":  `{"title":"","width":1,"series":[` + series(mark(sideLeft)) + `]},{"title":"","width":1,"series":[` + series(mark(sideRight)) + `]}`,
		"mixed": `{"title":"","width":1,"series":[{"device":"zzmixedzz","topic":"devices/zzmixedzz/` + mark(sideLeft) + `","field":"mixed"}]}`,
		"bare":  ``,
	} {
		board := `{"name":"n","version":"","panels":[` + panels + `]}`
		if status, body := ask(t, h, sideAll, http.MethodPut, boards.Path+"/"+id, board); status != http.StatusCreated {
			t.Fatalf("%d %s", status, body)
		}
		if status, body := ask(t, h, sideAll, http.MethodGet, boards.Path+"/"+id, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", id, status, body)
		}
		if status, body := ask(t, h, sideLeft, http.MethodGet, boards.Path+"/"+id, ""); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", id, status, body)
		}
	}
	if _, body := ask(t, h, sideLeft, http.MethodGet, boards.Path, ""); strings.Count(string(body), `"id"`) != 1 {
		t.Errorf("the list: %s", body)
	}
}
