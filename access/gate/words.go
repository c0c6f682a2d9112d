package gate

import (
	"net/http"
	"strings"
)

// words are what the pages say, in one language.
type words struct {
	Language                                   string
	Title, User, Password, Login               string
	denied, slow, busy, foreign, badForm, Hint string
}

var (
	english = &words{
		Language: "en", Title: "Log in", User: "Name", Password: "Password", Login: "Log in",
		Hint:    "Accounts are made by an administrator, on the hub's machine: pulso user add NAME",
		denied:  "The name or the password is not right.",
		slow:    "Too many tries. The next one is possible in %d s.",
		busy:    "The hub has too much to do at present. Try again.",
		foreign: "This form came from a page of another site.",
		badForm: "The form could not be read.",
	}
	spanish = &words{
		Language: "es", Title: "Entrar", User: "Nombre", Password: "Contraseña", Login: "Entrar",
		Hint:    "Las cuentas las crea quien administra, en la máquina del hub: pulso user add NOMBRE",
		denied:  "El nombre o la contraseña no es correcto.",
		slow:    "Demasiados intentos. El siguiente será posible en %d s.",
		busy:    "El hub tiene demasiado que hacer ahora. Inténtalo de nuevo.",
		foreign: "Este formulario vino de una página de otro sitio.",
		badForm: "No se pudo leer el formulario.",
	}
)

// say is the words in the language that a browser prefers (RFC 9110, 12.5.4), of those there are.
func say(r *http.Request) *words {
	for item := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(item, ";")
		language, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		switch language {
		case "en":
			return english
		case "es":
			return spanish
		}
	}
	return english
}
