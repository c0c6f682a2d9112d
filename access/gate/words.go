package gate

import (
	"encoding/json"
	"net/http"
	"strings"
)

// words are what the pages say, in one language, by what it is.
type words map[string]string

var languages = readWords("en", "es")

// readWords reads what is embedded.
func readWords(names ...string) map[string]words {
	all := make(map[string]words)
	for _, name := range names {
		text, err := files.ReadFile("pages/" + name + ".json")
		said := words{}
		if err == nil {
			err = json.Unmarshal(text, &said)
		}
		if err == nil { // a test reads them all
			all[name] = said
		}
	}
	return all
}

// say is the words in the language that a browser prefers (RFC 9110, 12.5.4), of those there are.
func say(r *http.Request) words {
	for item := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(item, ";")
		language, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if said, ok := languages[language]; ok {
			return said
		}
	}
	return languages["en"]
}
