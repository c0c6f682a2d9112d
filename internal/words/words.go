// Package words is what pages that are made on the hub say, in several languages.
package words

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"strings"
)

// Words are texts in one language, by what they say.
type Words map[string]string

// Languages are Words by language, such as "en".
type Languages map[string]Words

// Read reads a file for each language, such as "pages/en.json". One that cannot be read is left out: they are embedded, and a test
// reads them all.
func Read(files fs.FS, folder string, names ...string) Languages {
	all := make(Languages)
	for _, name := range names {
		text, err := fs.ReadFile(files, folder+"/"+name+".json")
		said := Words{}
		if err == nil {
			err = json.Unmarshal(text, &said)
		}
		if err == nil {
			all[name] = said
		}
	}
	return all
}

// For are those that a browser prefers (RFC 9110, 12.5.4), else the English.
func (l Languages) For(r *http.Request) Words {
	for item := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(item, ";")
		language, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if said, ok := l[language]; ok {
			return said
		}
	}
	return l["en"]
}
