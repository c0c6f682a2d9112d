package decode

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// wled are lights with WLED: https://kno.wled.ge/interfaces/mqtt/. What comes on the device's own topic, and on those of a
// group, are commands.
var wled = &Scheme{
	Name: "wled",
	Rules: []Rule{
		{Topic: "wled/{device}", Role: RoleCommand},
		{Topic: "wled/{device}/col|api", Role: RoleCommand},
		{Topic: "wled/{device}/status", Role: RoleStatus},
		{Topic: "wled/{device}/{subject:v}", Decode: wledState},
		{Topic: "wled/{device}/{subject:c}", Decode: verbatim},
		{Topic: "wled/{device}/{subject:g}"},
	},
}

// wledState reads the state in XML besides the text that it is: numbers by their elements.
func wledState(s *Scope, in *Input, out *Result) (bool, error) {
	b := trim(in.Payload)
	if len(b) == 0 || b[0] != '<' || unprintable(b) >= 0 {
		return false, nil
	}
	s.text(out, s.bare(), b)
	return true, s.elements(out, b)
}

// elements adds the numbers in a document, by the paths of their elements.
func (s *Scope) elements(out *Result, document []byte) error {
	d := xml.NewDecoder(bytes.NewReader(document))
	var path []byte
	var lengths []int
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("not valid XML: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			lengths = append(lengths, len(path))
			if len(lengths) > MaxDepth || len(path)+len(t.Name.Local) >= MaxNameBytes {
				return errDeepXML
			}
			if len(path) > 0 {
				path = append(path, '.')
			}
			path = append(path, t.Name.Local...)
		case xml.EndElement:
			path, lengths = path[:lengths[len(lengths)-1]], lengths[:len(lengths)-1]
		case xml.CharData:
			if v, ok := plainNumber(trim(t)); ok && len(path) > 0 && s.asked < maxAsked {
				s.Add(out, path, "", v)
			}
		}
	}
}

var errDeepXML = errors.New("XML with elements that are nested too deep or have too long names")
