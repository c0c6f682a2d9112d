// Package facts keeps what devices announce (names, units, aliases) over a restart: it is the view through which a
// decoder's facts are saved and restored.
//
// Decoding learns by itself, so that there is nothing to apply. After a start this view catches up first: what follows
// then decodes the past with the facts of the past.
package facts

import (
	"io"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// A View saves and restores the facts of a Decoder. It implements view.View.
type View struct {
	decoder *decode.Decoder
}

// New returns the View of a Decoder's facts.
func New(d *decode.Decoder) *View { return &View{decoder: d} }

// Name implements view.View.
func (*View) Name() string { return "facts" }

// Apply implements view.View: whoever decoded the batch has learned from it.
func (*View) Apply([]event.Decoded) {}

// Save implements view.View.
func (v *View) Save(w io.Writer) error { return v.decoder.SaveFacts(w) }

// Restore implements view.View.
func (v *View) Restore(r io.Reader) error { return v.decoder.RestoreFacts(r) }
