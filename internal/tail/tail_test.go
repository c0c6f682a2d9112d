package tail

import "testing"

func TestStreamURL(t *testing.T) {
	for text, want := range map[string]string{
		"ws://127.0.0.1:8080/ws":     "ws://127.0.0.1:8080/ws",
		"http://127.0.0.1:8080":      "ws://127.0.0.1:8080/ws",
		"https://hub.example/":       "wss://hub.example/ws",
		"localhost:8080":             "ws://localhost:8080/ws",
		"wss://hub.example/pulso/ws": "wss://hub.example/pulso/ws",
		"ftp://hub.example":          "",
		"http://[::1":                "",
	} {
		got, err := streamURL(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestCleanIsHarmlessInATerminal(t *testing.T) {
	if got := clean("a\x1b[31mb\r\u202ec"); got != "a.[31mb..c" {
		t.Errorf("%q", got)
	}
}
