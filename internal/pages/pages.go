// Package pages is for pages that are made on the hub, without script: what they say, in several languages, and what they may load.
package pages

import (
	"bytes"
	"encoding/json"
	"html/template"
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

// policy lets a page load its style and send its forms, and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Secure sets the headers of pages that hold what is one person's.
func Secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Add("Vary", "Accept-Language")
}

// Write makes a page of a template and sends it, in the language of some words. Its error is the template's, and has been answered.
func Write(w http.ResponseWriter, status int, t *template.Template, name string, said Words, data any) error {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return err
	}
	Secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", said["language"])
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whether the client hears it is beyond us
	return nil
}
