package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"pulso/bridge/gateway/web"
	"pulso/bridge/wire"
)

// Whatever stands in a query, it is read or refused with a word.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "a=1", "a=1&a=2", "b=x", "n=1&f=1.5&t=true", "n=x&f=y&t=z", "%zz", "a=%00&n=%2B1", ";", "n=9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := web.ParseQuery(&url.URL{RawQuery: raw}, "a", "l", "n", "f", "t")
		text, list := q.Text("a"), q.List("l")
		_, _, _ = q.Int("n"), q.Float("f"), q.Bool("t")
		if err := q.Err(); err != nil && (err.Code != wire.CodeBadCommand || err.Message == "") {
			t.Errorf("%q: %v", raw, err)
		}
		if text != "" && !q.Has("a") || len(list) > 0 && !q.Has("l") {
			t.Errorf("%q has %q and %q, and has not", raw, text, list)
		}
	})
}

func TestQueryRefuses(t *testing.T) {
	for _, raw := range []string{"x=1", "a=1&a=2", "n=1.5", "f=x", "t=2", "%zz"} {
		q := web.ParseQuery(&url.URL{RawQuery: raw}, "a", "n", "f", "t")
		_, _, _, _ = q.Text("a"), q.Int("n"), q.Float("f"), q.Bool("t")
		if q.Err() == nil {
			t.Errorf("%q is taken", raw)
		}
	}
	q := web.ParseQuery(&url.URL{RawQuery: "a=x&n=-3&f=2.5&t=1&l=1&l=2"}, "a", "n", "f", "t", "l")
	if q.Text("a") != "x" || q.Int("n") != -3 || q.Float("f") != 2.5 || !q.Bool("t") || len(q.List("l")) != 2 || q.Err() != nil {
		t.Errorf("%+v", q)
	}
}

func TestProblems(t *testing.T) {
	r := web.NewRefuser(nil, "test_refused_total")
	for _, test := range []struct {
		refuse func(http.ResponseWriter)
		want   web.Problem
	}{
		{
			func(w http.ResponseWriter) { r.Closed(w, wire.CloseLost) },
			web.Problem{Status: http.StatusNotFound, Code: "lost", Close: wire.CloseLost},
		},
		{
			func(w http.ResponseWriter) { r.Closed(w, wire.CloseShutdown) },
			web.Problem{Status: http.StatusServiceUnavailable, Code: "shutdown", Retry: true, Close: wire.CloseShutdown},
		},
		{
			func(w http.ResponseWriter) { r.Error(w, wire.Errorf(wire.CodeTooMany, "x")) },
			web.Problem{Status: http.StatusBadRequest, Code: wire.CodeTooMany},
		},
		{
			func(w http.ResponseWriter) {
				r.Error(w, &wire.Error{Code: wire.CodeTooMany, Message: "x", Retry: true})
			},
			web.Problem{Status: http.StatusTooManyRequests, Code: wire.CodeTooMany, Retry: true},
		},
		{
			func(w http.ResponseWriter) { r.Error(w, wire.Errorf(wire.CodeUnauthorized, "x")) },
			web.Problem{Status: http.StatusUnauthorized, Code: wire.CodeUnauthorized},
		},
	} {
		w := httptest.NewRecorder()
		test.refuse(w)
		var p web.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if p.Title != http.StatusText(test.want.Status) || p.Detail == "" || (w.Header().Get("Retry-After") != "") != test.want.Retry {
			t.Errorf("%+v %v", p, w.Header())
		}
		p.Title, p.Detail = "", ""
		if p != test.want || w.Code != p.Status {
			t.Errorf("%d %+v, want %+v", w.Code, p, test.want)
		}
	}
}

func TestTokens(t *testing.T) {
	var tokens web.Tokens[int]
	seen := map[string]bool{}
	for i := range 1000 {
		token := web.NewToken()
		if len(token) != 22 || seen[token] {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
		tokens.Put(token, i)
		if got, found := tokens.Find(token); got != i || !found {
			t.Errorf("%d, %t", got, found)
		}
	}
	for token := range seen {
		tokens.Remove(token)
		if _, found := tokens.Find(token); found {
			t.Error("it is still there")
		}
	}
	if n := len(tokens.All()); n != 0 {
		t.Errorf("%d are left", n)
	}
}
