package decode_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"
)

func packed(t *testing.T, plain string, writer func(io.Writer) io.WriteCloser) string {
	t.Helper()
	var b bytes.Buffer
	w := writer(&b)
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func gzipped(t *testing.T, plain string) string {
	t.Helper()
	return packed(t, plain, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func TestWrappedPayloads(t *testing.T) {
	const plain = `{"t":21.5,"name":"Köln"}`
	for name, test := range map[string]struct{ payload, want string }{
		"gzip":          {gzipped(t, plain), "t=21.5;name:Köln"},
		"zlib":          {packed(t, plain, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }), "t=21.5;name:Köln"},
		"UTF-16 LE":     {"\xff\xfe{\x00\"\x00t\x00\"\x00:\x002\x00}\x00", "t=2;"},
		"UTF-16 BE":     {"\xfe\xff\x00{\x00\"\x00t\x00\"\x00:\x002\x00}", "t=2;"},
		"Python":        {`{'t': 21.5, 'ok': True, 'no': None, 'x': nan, 'text': 'it\'s "so"'}`, `t=21.5 ok=1;text:it's "so"`},
		"JSON in JSON":  {`{"payload":"{\"t\":21.5,\"a\":[1]}","x":1}`, "payload.t=21.5 payload.a.0=1 x=1;"},
		"twice in JSON": {`{"a":"{\"b\":\"{\\\"c\\\":1}\",\"d\":2}"}`, `a.d=2;a.b:{"c":1}`},
		"not JSON":      {`{"a":"{b}","c":"[1,2","d":"[x]","e":"{\"f\":1]"}`, `;a:{b} c:[1,2 d:[x] e:{"f":1]`},
	} {
		r := decodeOne(t, "devices/d1/telemetry", test.payload)
		if show(&r) != test.want || r.JSON != strings.Contains(name, "JSON") || r.Problem != "" {
			t.Errorf("%s: %s (JSON %t, problem %q), want %s", name, show(&r), r.JSON, r.Problem, test.want)
		}
	}
	for name, payload := range map[string]string{
		"a bomb":               gzipped(t, strings.Repeat(" ", 5<<20)),
		"half of gzip":         gzipped(t, plain)[:20],
		"gzip in gzip":         gzipped(t, gzipped(t, plain)),
		"odd UTF-16":           "\xff\xfe{",
		"half of a surrogate":  "\xff\xfe\x00\xd8",
		"Python without end":   `{'t': 21.5, 'x': 'abc`,
		"Python with a lambda": `{'t': lambda: 1}`,
	} {
		if r := decodeOne(t, "devices/d1/telemetry", payload); r.Problem == "" || len(r.Readings) > 0 {
			t.Errorf("%s was understood: %+v", name, r)
		}
	}
}
