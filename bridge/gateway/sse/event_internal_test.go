package sse

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// read reads one event as the HTML standard says (9.2.6) and returns its data.
func read(stream string) (data []string, rest string) {
	for {
		i := strings.IndexAny(stream, "\r\n")
		if i < 0 {
			return data, stream
		}
		line := stream[:i]
		if strings.HasPrefix(stream[i:], "\r\n") {
			i++
		}
		stream = stream[i+1:]
		if line == "" {
			return data, stream
		}
		if field, value, _ := strings.Cut(line, ":"); field == "data" {
			data = append(data, strings.TrimPrefix(value, " "))
		}
	}
}

// Whatever a message holds, its event is one event, and its data are the message with its line breaks as LF.
func FuzzData(f *testing.F) {
	for _, s := range []string{"", "{}", "\n", "\r", "\r\n", "\n\r", "a\nb", "a\r\n\r\nb\r", " x", ":", "id: 1\n\nevent: close\ndata: {}", "\n\n\n"} {
		f.Add(s)
	}
	lf := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	f.Fuzz(func(t *testing.T, message string) {
		data, rest := read(string(appendData(nil, []byte(message))))
		if got, want := strings.Join(data, "\n"), lf.Replace(message); got != want || rest != "" {
			t.Errorf("%q became %q, and %q behind it", message, got, rest)
		}
	})
}

// Whatever a request asks for, it is refused or what a subscription may be.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"", "filter=a&filter=b/%23&rate=5", "form=hub", "device=d1", "from=start", "lastEventId=close.4500", "name=x", "filter=%2B%23",
		"rate=NaN",
	} {
		f.Add(s, "")
	}
	f.Add("filter=a", "1son4ke.7")
	f.Fuzz(func(t *testing.T, query, last string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Last-Event-Id": {last}}}
		w, bad := parse(r)
		switch {
		case bad != nil && bad.Message == "":
			t.Error("an error without a word")
		case bad == nil && w.subscribe != nil && (len(w.subscribe.Filters) == 0 || w.subscribe.Rate < 0 || w.subscribe.History < 0):
			t.Errorf("%+v", w.subscribe)
		}
	})
}
