package gate

import (
	"net/http"
	"strings"
)

// words are what the pages say, in one language.
type words struct {
	Language                            string
	Title, User, Password, Login, Hint  string
	denied, slow, busy, foreign         string
	badForm, notAll, notYours, notSelf  string
	badDays, loggedOut                  string
	Account, Nobody, Roles, Logout      string
	OldPassword, NewPassword, Change    string
	Accounts, Name, Kind, Tokens        string
	Person, Device, Service             string
	Add, Give, Revoke, MakeToken, Days  string
	ForEver, Until, Once, Rules, Role   string
	SetRole, RulesHint, BuiltIn         string
	Explain, As, Topic, Yes, No, NoRule string
	Dashboard, Ask                      string
}

var (
	english = &words{
		Language: "en", Title: "Log in", User: "Name", Password: "Password", Login: "Log in",
		Hint:        "Accounts are made by an administrator, on the hub's machine: pulso user add NAME",
		denied:      "The name or the password is not right.",
		slow:        "Too many tries. The next one is possible in %d s.",
		busy:        "The hub has too much to do at present. Try again.",
		foreign:     "This form came from a page of another site.",
		badForm:     "The form could not be read.",
		notAll:      "%s may see a part of the topics only; the dashboard shows all. Log in as somebody else, or ask an administrator.",
		notYours:    "This takes the right to administer.",
		notSelf:     "Nobody can take from themselves what they need to undo it.",
		badDays:     "Days are a number from 0 (for ever) to 36,500.",
		loggedOut:   "The password is another one now. Log in with it.",
		Account:     "Account",
		Nobody:      "This hub has no accounts: everybody on this machine may do everything. The first one is made on the command line, and shuts it: pulso user add NAME",
		Roles:       "Roles",
		Logout:      "Log out",
		OldPassword: "Password so far", NewPassword: "New password", Change: "Change the password",
		Accounts: "Accounts", Name: "Name", Kind: "Kind", Tokens: "Tokens",
		Person: "person", Device: "device", Service: "service",
		Add: "Add", Give: "Change the roles", Revoke: "Revoke", MakeToken: "Make a token", Days: "Days (0: for ever)",
		ForEver: "for ever", Until: "until", Once: "Shown this once:",
		Rules: "Rules", Role: "Role", SetRole: "Save the role", BuiltIn: "built in",
		RulesHint: "One a line, such as: allow publish,subscribe plant/# – %u is the account, %c the client id, %d the device. Without rules the role is removed.",
		Explain:   "Who may do what with a topic", As: "Account", Topic: "Topic", Yes: "yes", No: "no", NoRule: "no rule allows it",
		Dashboard: "Dashboard", Ask: "Explain",
	}
	spanish = &words{
		Language: "es", Title: "Entrar", User: "Nombre", Password: "Contraseña", Login: "Entrar",
		Hint:        "Las cuentas las crea quien administra, en la máquina del hub: pulso user add NOMBRE",
		denied:      "El nombre o la contraseña no es correcto.",
		slow:        "Demasiados intentos. El siguiente será posible en %d s.",
		busy:        "El hub tiene demasiado que hacer ahora. Inténtalo de nuevo.",
		foreign:     "Este formulario vino de una página de otro sitio.",
		badForm:     "No se pudo leer el formulario.",
		notAll:      "%s solo puede ver una parte de los topics; el panel los muestra todos. Entra con otra cuenta o pregunta a quien administra.",
		notYours:    "Para esto hace falta el derecho de administrar.",
		notSelf:     "Nadie puede quitarse lo que necesita para deshacerlo.",
		badDays:     "Los días son un número de 0 (para siempre) a 36.500.",
		loggedOut:   "La contraseña ya es otra. Entra con ella.",
		Account:     "Cuenta",
		Nobody:      "Este hub no tiene cuentas: cualquiera en esta máquina puede hacerlo todo. La primera se crea en la línea de órdenes, y lo cierra: pulso user add NOMBRE",
		Roles:       "Roles",
		Logout:      "Salir",
		OldPassword: "Contraseña actual", NewPassword: "Contraseña nueva", Change: "Cambiar la contraseña",
		Accounts: "Cuentas", Name: "Nombre", Kind: "Tipo", Tokens: "Tokens",
		Person: "persona", Device: "dispositivo", Service: "servicio",
		Add: "Añadir", Give: "Cambiar los roles", Revoke: "Revocar", MakeToken: "Crear un token", Days: "Días (0: para siempre)",
		ForEver: "para siempre", Until: "hasta", Once: "Se muestra solo esta vez:",
		Rules: "Reglas", Role: "Rol", SetRole: "Guardar el rol", BuiltIn: "incluido",
		RulesHint: "Una por línea, como: allow publish,subscribe plant/# – %u es la cuenta, %c el identificador del cliente, %d el dispositivo. Sin reglas, el rol se elimina.",
		Explain:   "Quién puede hacer qué con un topic", As: "Cuenta", Topic: "Topic", Yes: "sí", No: "no", NoRule: "ninguna regla lo permite",
		Dashboard: "Panel", Ask: "Explicar",
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
