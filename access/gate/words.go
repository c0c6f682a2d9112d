package gate

import (
	"net/http"

	made "pulso/internal/pages"
)

// words are what the pages say, in one language, by what it is.
type words = made.Words

var languages = made.Read(files, "pages", "en", "es")

// say is the words in the language that a browser prefers, of those there are.
func say(r *http.Request) words { return languages.For(r) }
