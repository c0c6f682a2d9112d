package gate

import (
	"net/http"

	lang "pulso/internal/words"
)

// words are what the pages say, in one language, by what it is.
type words = lang.Words

var languages = lang.Read(files, "pages", "en", "es")

// say is the words in the language that a browser prefers, of those there are.
func say(r *http.Request) words { return languages.For(r) }
