package api

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"

	"pulso/bridge/wire"
	"pulso/contract"
	made "pulso/internal/pages"
)

//go:embed pages
var files embed.FS

var (
	languages = made.Read(files, "pages", "en", "es")
	pages     = template.Must(template.New("").Funcs(template.FuncMap{"pretty": pretty, "dict": dict}).ParseFS(files, "pages/contracts.html"))
)

// pretty is JSON as people read it.
func pretty(text json.RawMessage) string {
	var out bytes.Buffer
	if json.Indent(&out, text, "", "  ") != nil {
		return string(text)
	}
	return out.String()
}

// dict is a map of names and values, for a template that takes several.
func dict(pairs ...any) map[string]any {
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			m[name] = pairs[i+1]
		}
	}
	return m
}

// A page is what the page of contracts shows.
type page struct {
	Words         made.Words
	Problem, Done string
	MayChange     bool
	Contracts     []contract.Watched
	Modes         []contract.Mode
	// What is in the form.
	Name, Filter, Schema string
	Mode                 contract.Mode
	Learned              *Learned
	Tried                *Tried
}

// ServePage shows the contracts; with the parameter learn, a proposal for a filter.
func (h *Handler) ServePage(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	p := h.newPage(r)
	status := http.StatusOK
	if q := r.URL.Query(); q.Get("edit") != "" {
		for _, k := range p.Contracts {
			if k.Name == q.Get("edit") {
				p.Name, p.Filter, p.Mode, p.Schema = k.Name, k.Last().Filter, k.Mode, pretty(k.Last().Schema)
			}
		}
	} else if q.Get("learn") != "" {
		p.Filter = q.Get("learn")
		var err error
		if p.Learned, err = h.learn(r, p.Filter); err == nil {
			p.Schema = pretty(p.Learned.Schema)
		} else {
			p.Problem, status = err.Error(), h.count(err)
		}
	}
	h.show(w, status, p)
}

func (h *Handler) newPage(r *http.Request) *page {
	return &page{
		Words: languages.For(r), Contracts: h.visible(r), MayChange: h.cfg.MayChange(r), Mode: contract.Observe,
		Modes: []contract.Mode{contract.Observe, contract.Quarantine, contract.Reject},
	}
}

// count counts an error, and returns the status for it.
func (h *Handler) count(err error) int {
	told := (*wire.Error)(nil)
	switch {
	case errors.As(err, &told):
		h.refuser.Count(told.Code)
		return http.StatusServiceUnavailable
	case contract.IsWrong(err):
		h.refuser.Count(wire.CodeBadCommand)
		return http.StatusBadRequest
	}
	h.refuser.Count(wire.CodeUnavailable)
	return http.StatusServiceUnavailable
}

// ServeForm does what a form of the page asks for, and shows the page with what came of it. What it does is the path's {what}.
func (h *Handler) ServeForm(w http.ResponseWriter, r *http.Request) {
	h.serveForm(w, r, r.PathValue("what"))
}

// ServeTrial shows the page with what a schema would have refused.
func (h *Handler) ServeTrial(w http.ResponseWriter, r *http.Request) { h.serveForm(w, r, "try") }

func (h *Handler) serveForm(w http.ResponseWriter, r *http.Request, what string) {
	if h.refuser.Method(w, r, http.MethodPost) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4*maxBody) // it is escaped
	if err := r.ParseForm(); err != nil {
		h.refuser.Error(w, wire.Errorf(wire.CodeBadCommand, "the form could not be read"))
		return
	}
	name := r.PostForm.Get("name")
	wanted := wish{Filter: r.PostForm.Get("filter"), Mode: contract.Mode(r.PostForm.Get("mode")), Schema: json.RawMessage(r.PostForm.Get("schema"))}
	var tried *Tried
	var err error
	done := ""
	switch what {
	case "keep":
		err, done = h.put(r, name, &wanted), "kept"
	case "mode":
		err, done = h.changeMode(name, wanted.Mode), "kept"
	case "remove":
		err, done = h.remove(name), "removed"
	case "try":
		tried, err = h.try(r, &wanted)
	default:
		http.NotFound(w, r)
		return
	}
	p := h.newPage(r)
	p.Tried = tried
	status := http.StatusOK
	if err != nil {
		p.Problem, status = err.Error(), h.count(err)
	} else {
		p.Done = p.Words[done]
	}
	if err != nil || tried != nil {
		p.Name, p.Filter, p.Mode, p.Schema = name, wanted.Filter, wanted.Mode, string(wanted.Schema)
	}
	h.show(w, status, p)
}

func (h *Handler) changeMode(name string, mode contract.Mode) error {
	return h.cfg.Book.Edit(func(c *contract.Content) error {
		k := c.Find(name)
		if k == nil {
			return contract.ErrNone
		}
		k.Mode = mode
		return nil
	})
}

func (h *Handler) show(w http.ResponseWriter, status int, p *page) {
	if err := made.Write(w, status, pages, "contracts.html", p.Words, p); err != nil {
		h.refuser.Count("internal")
	}
}
