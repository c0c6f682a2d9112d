package boards_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"pulso/bridge/gateway/boards"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const panel = `{"title":"","width":1,"series":[{"device":"d","topic":"t","field":"f"}]}`

// start serves boards that are kept in a file, or nowhere. logged is where the log goes.
func start(t *testing.T, path string, logged io.Writer) *httptest.Server {
	t.Helper()
	h, err := boards.New(boards.Config{Path: path, Logger: slog.New(slog.NewTextHandler(logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(boards.Path, h.ServeList)
	mux.HandleFunc(boards.Path+"/{id}", h.ServeBoard)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Client().CloseIdleConnections()
		server.Close()
	})
	return server
}

func ask(t *testing.T, server *httptest.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+boards.Path+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

// put saves a board, which must go well, and returns its new version.
func put(t *testing.T, server *httptest.Server, id, name, version, panels string) string {
	t.Helper()
	status, answer := ask(t, server, http.MethodPut, "/"+id, fmt.Sprintf(`{"name":%q,"version":%q,"panels":[%s]}`, name, version, panels))
	var b boards.Board
	if err := json.Unmarshal([]byte(answer), &b); err != nil || status/100 != 2 || b.Name != name || b.Version == version {
		t.Fatalf("%d %s", status, answer)
	}
	return b.Version
}

func TestBoardsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boards.json")
	server := start(t, path, io.Discard)
	if status, answer := ask(t, server, http.MethodGet, "", ""); status != http.StatusOK || answer != `{"boards":[]}`+"\n" {
		t.Errorf("none: %d %s", status, answer)
	}
	first := put(t, server, "pumps", "Pumps", "", "")
	if _, answer := ask(t, server, http.MethodGet, "/pumps", ""); !strings.Contains(answer, `"panels":[]`) {
		t.Errorf("an empty board: %s", answer)
	}
	second := put(t, server, "pumps", "Pumps <b>", first, panel)
	put(t, server, "a-1", "a", "", panel)

	again := start(t, path, io.Discard)
	status, answer := ask(t, again, http.MethodGet, "", "")
	if status != http.StatusOK || strings.Index(answer, `"a-1"`) > strings.Index(answer, `"pumps"`) || strings.Contains(answer, "panels") {
		t.Errorf("after a restart: %d %s", status, answer)
	}
	status, answer = ask(t, again, http.MethodGet, "/pumps", "")
	if status != http.StatusOK || !strings.Contains(answer, panel) || !strings.Contains(answer, second) {
		t.Errorf("after a restart: %d %s", status, answer)
	}
	if status, answer := ask(t, again, http.MethodDelete, "/pumps", ""); status != http.StatusNoContent || answer != "" {
		t.Errorf("DELETE: %d %s", status, answer)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if status, _ := ask(t, again, method, "/pumps", ""); status != http.StatusNotFound {
			t.Errorf("%s of what is deleted: %d", method, status)
		}
	}
	// One that was deleted does not come back by somebody who still has it open.
	if status, _ := ask(t, again, http.MethodPut, "/pumps", `{"name":"x","version":"`+second+`","panels":[]}`); status != http.StatusNotFound {
		t.Errorf("PUT of what is deleted: %d", status)
	}
}

func TestOldVersionsAreRefused(t *testing.T) {
	server := start(t, "", io.Discard)
	first := put(t, server, "b", "B", "", "")
	second := put(t, server, "b", "B", first, panel)
	for name, version := range map[string]string{"old": first, "none": ""} {
		if status, answer := ask(t, server, http.MethodPut, "/b", `{"name":"C","version":"`+version+`","panels":[]}`); status != http.StatusConflict ||
			!strings.Contains(answer, `"code":"conflict"`) || !strings.Contains(answer, "version: ") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	// The answer was lost, and the request is made again.
	status, answer := ask(t, server, http.MethodPut, "/b", `{"name":"B","version":"`+first+`","panels":[`+panel+`]}`)
	if status != http.StatusOK || !strings.Contains(answer, second) {
		t.Errorf("again: %d %s", status, answer)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	server := start(t, "", io.Discard)
	body := func(panels string) string { return `{"name":"b","version":"","panels":[` + panels + `]}` }
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	for name, test := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"an id with capitals": {"/Pumps", body(""), 400, "id: "},
		"an id that is long":  {"/" + strings.Repeat("a", 65), body(""), 400, "id: "},
		"no name":             {"/b", `{"name":" ","version":"","panels":[]}`, 400, "name: "},
		"a long name":         {"/b", `{"name":"` + strings.Repeat("ñ", 201) + `","version":"","panels":[]}`, 400, "name: "},
		"no panels":           {"/b", `{"name":"b","version":""}`, 400, "panels: is missing"},
		"too many panels":     {"/b", body(many(51, panel)), 400, "panels: are 51"},
		"a width of 3":        {"/b", body(panel + `,{"title":"","width":3,"series":[]}`), 400, "panels[1].width: is 3"},
		"a long title":        {"/b", body(`{"title":"` + strings.Repeat("x", 201) + `","width":1,"series":[]}`), 400, "panels[0].title: "},
		"no series":           {"/b", body(`{"title":"","width":1}`), 400, "panels[0].series: is missing"},
		"too many series":     {"/b", body(`{"title":"","width":1,"series":[` + many(21, `{}`) + `]}`), 400, "panels[0].series: are 21"},
		"no device":           {"/b", body(`{"title":"","width":1,"series":[{"topic":"t","field":"f"}]}`), 400, "panels[0].series[0].device: "},
		"no topic":            {"/b", body(`{"title":"","width":1,"series":[{"device":"d","field":"f"}]}`), 400, "series[0].topic: "},
		"no field":            {"/b", body(`{"title":"","width":1,"series":[{"device":"d","topic":"t"}]}`), 400, "series[0].field: "},
		"a series twice": {
			"/b", body(`{"title":"","width":1,"series":[` + many(2, `{"device":"d","topic":"t","field":"f"}`) + `]}`), 400,
			"series[1]: is the same",
		},
		"an unknown member": {"/b", `{"name":"b","version":"","panels":[],"colour":"red"}`, 400, "colour"},
		"a wrong type":      {"/b", `{"name":7,"version":"","panels":[]}`, 400, "name"},
		"more than JSON":    {"/b", body("") + "{}", 400, "bad_json"},
		"no JSON":           {"/b", "name", 400, "bad_json"},
		"more than 64 KiB":  {"/b", `{"name":"` + strings.Repeat("x", boards.MaxBody) + `"}`, 413, "too_large"},
	} {
		status, answer := ask(t, server, http.MethodPut, test.path, test.body)
		if status != test.status || !strings.Contains(answer, test.says) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	response, err := server.Client().Post(server.URL+boards.Path+"/b", "text/plain", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, PUT, DELETE" {
		t.Error(response.Status, response.Header.Get("Allow"))
	}
	if status, answer := ask(t, server, http.MethodGet, "", ""); answer != `{"boards":[]}`+"\n" {
		t.Errorf("after all of that: %d %s", status, answer)
	}
}

func TestBoardsAreBounded(t *testing.T) {
	server := start(t, "", io.Discard)
	for i := range boards.MaxBoards {
		put(t, server, fmt.Sprintf("b%d", i), "B", "", "")
	}
	if status, answer := ask(t, server, http.MethodPut, "/more", `{"name":"b","version":"","panels":[]}`); status != http.StatusBadRequest ||
		!strings.Contains(answer, "too_many") {
		t.Errorf("%d %s", status, answer)
	}
}

// Of many who change one board at one time, each either has its change or is told that it has not.
func TestConcurrentChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boards.json")
	server := start(t, path, io.Discard)
	var saved atomic.Int64
	var group sync.WaitGroup
	for writer := range 8 {
		group.Go(func() {
			for i := range 5 {
				_, answer := ask(t, server, http.MethodGet, "/b", "")
				var b boards.Board
				_ = json.Unmarshal([]byte(answer), &b) // a problem has no version
				titles := strings.TrimSuffix(strings.Repeat(panel+",", len(b.Panels)), ",")
				if titles != "" {
					titles += ","
				}
				status, answer := ask(t, server, http.MethodPut, "/b", fmt.Sprintf(`{"name":"%d.%d","version":%q,"panels":[%s%s]}`,
					writer, i, b.Version, titles, panel))
				switch status {
				case http.StatusOK, http.StatusCreated:
					saved.Add(1)
				case http.StatusConflict:
				default:
					t.Errorf("%d %s", status, answer)
				}
			}
		})
	}
	group.Wait()
	for name, s := range map[string]*httptest.Server{"in memory": server, "on the disk": start(t, path, io.Discard)} {
		_, answer := ask(t, s, http.MethodGet, "/b", "")
		var b boards.Board
		if err := json.Unmarshal([]byte(answer), &b); err != nil || int64(len(b.Panels)) != saved.Load() {
			t.Errorf("%s: %d panels of %d changes: %v", name, len(b.Panels), saved.Load(), err)
		}
	}
}

func TestADamagedFileIsSetAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boards.json")
	for i, text := range []string{"{", `{"boards":[{"id":"B","name":"b","panels":[]}]}`, `{"boards":[{"id":"b","name":"b","panels":[{"width":9}]}]}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var logged bytes.Buffer
		server := start(t, path, &logged)
		put(t, server, "new", "New", "", "")
		aside := path + ".damaged"
		if i > 0 {
			aside += fmt.Sprint(i + 1)
		}
		if !strings.Contains(logged.String(), path) || !strings.Contains(logged.String(), aside) {
			t.Errorf("the log does not name the files: %s", &logged)
		}
		if got, err := os.ReadFile(aside); err != nil || string(got) != text {
			t.Errorf("%s: %q %v", aside, got, err)
		}
	}
	if _, err := boards.New(boards.Config{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "boards") {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

func TestWhatIsNotSavedHasNotHappened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	server := start(t, filepath.Join(dir, "boards.json"), io.Discard)
	version := put(t, server, "b", "B", "", "")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if status, answer := ask(t, server, http.MethodPut, "/b", `{"name":"C","version":"`+version+`","panels":[]}`); status != http.StatusServiceUnavailable {
		t.Errorf("PUT: %d %s", status, answer)
	}
	if status, answer := ask(t, server, http.MethodDelete, "/b", ""); status != http.StatusServiceUnavailable {
		t.Errorf("DELETE: %d %s", status, answer)
	}
	if _, answer := ask(t, server, http.MethodGet, "/b", ""); !strings.Contains(answer, version) || !strings.Contains(answer, `"B"`) {
		t.Error(answer)
	}
}

// TestPage makes the board of docs/API.md as the page does, and holds the answers against the page's.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("../../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(text), "## Boards: `/api/v1/boards`\n")
	page, _, _ = strings.Cut(page, "\n## ")
	server := start(t, "", io.Discard)
	form := regexp.MustCompile("(?s)```\n(GET|PUT|DELETE) /api/v1/boards([^\n]*)\n(.*?)\n?HTTP/1.1 (\\d+) [^\n]*\n\n?(.*?)```")
	examples := form.FindAllStringSubmatch(page, -1)
	if len(examples) != 3 {
		t.Fatalf("%d examples", len(examples))
	}
	own := regexp.MustCompile(`"version":"\w+","changed":\d+`)
	for _, e := range examples {
		status, answer := ask(t, server, e[1], e[2], e[3])
		want := own.ReplaceAllString(e[5], "")
		if answer = own.ReplaceAllString(answer, ""); fmt.Sprint(status) != e[4] || answer != strings.ReplaceAll(want, ",\n ", ",") {
			t.Errorf("%s %s: %d %s, the page has %s", e[1], e[2], status, answer, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"name":"b","version":"","panels":[` + panel + `]}`)
	f.Add(`{"name":"b","version":null,"panels":[null]}`)
	h, err := boards.New(boards.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, boards.Path+"/b", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.SetPathValue("id", "b")
		w := httptest.NewRecorder()
		h.ServeBoard(w, r)
		if w.Code >= http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
